// Made by `landfall generate` from landfall.toml; made anew rather than edited.

import type { Schema } from "@landfall/client";

/** A JSON value. JSON's own `null` as a whole value is NULL. */
export type Json = boolean | number | string | null | readonly Json[] | { readonly [name: string]: Json };

/** A row of `people`. */
export interface People {
  /** text, key, at most 200 characters */
  subject: string;
  /** text, required, at most 80 characters */
  name: string;
  /** text, matches `[a-z][a-z0-9_]{1,29}`, unique */
  handle: string | null;
  /** date, at least "1900-01-01" */
  born: string | null;
  /** bytes, at most 65536 bytes */
  avatar: Uint8Array | null;
}

/** What an insert into `people` takes; what may be left out has a default or is NULL. */
export interface PeopleInsert {
  subject: string;
  name: string;
  handle?: string | null;
  born?: string | null;
  avatar?: Uint8Array | null;
}

/** What an update of `people` takes; a key never changes. */
export interface PeopleUpdate {
  name?: string;
  handle?: string | null;
  born?: string | null;
  avatar?: Uint8Array | null;
}

/** The key of a row of `people`: its `subject`. */
export type PeopleKey = string;

/** A row of `notes`. */
export interface Notes {
  /** uuid, key, by default a new one */
  id: string;
  /** text, required, at most 200 characters */
  owner: string;
  /** text, required, at most 200 characters */
  title: string;
  /** text, required, by default "" */
  body: string;
  /** boolean, required, by default false */
  pinned: boolean;
  /** boolean, required, by default false */
  public: boolean;
  /** text, one of "calm", "glad", "low", "tired" */
  mood: "calm" | "glad" | "low" | "tired" | null;
  /** float, 0.0 to 5.0 */
  rating: number | null;
  /** decimal(2), at least "0.00" */
  budget: string | null;
  /** json */
  place: Json | null;
  /** date, by default now */
  day: string | null;
  /** timestamp, required, by default now */
  created: string;
  /** json, required, by default [] */
  tags: readonly (string | number | boolean)[];
  /** text */
  position: string | null;
}

/** What an insert into `notes` takes; what may be left out has a default or is NULL. */
export interface NotesInsert {
  id?: string;
  owner: string;
  title: string;
  body?: string;
  pinned?: boolean;
  public?: boolean;
  mood?: "calm" | "glad" | "low" | "tired" | null;
  rating?: number | null;
  budget?: string | null;
  place?: Json | null;
  day?: string | null;
  created?: string | Date;
  tags?: readonly (string | number | boolean)[];
  position?: string | null;
}

/** What an update of `notes` takes; a key never changes. */
export interface NotesUpdate {
  owner?: string;
  title?: string;
  body?: string;
  pinned?: boolean;
  public?: boolean;
  mood?: "calm" | "glad" | "low" | "tired" | null;
  rating?: number | null;
  budget?: string | null;
  place?: Json | null;
  day?: string | null;
  created?: string | Date;
  tags?: readonly (string | number | boolean)[];
  position?: string | null;
}

/** The key of a row of `notes`: its `id`. */
export type NotesKey = string;

/** A row of `tags`. */
export interface Tags {
  /** uuid, key, a row of `notes`, deleted with it */
  note_id: string;
  /** text, key, at most 40 characters, matches `[^\s#]+` */
  tag: string;
  /** text, required, at most 200 characters */
  owner: string;
  /** timestamp, by default now */
  added: string | null;
}

/** What an insert into `tags` takes; what may be left out has a default or is NULL. */
export interface TagsInsert {
  note_id: string;
  tag: string;
  owner: string;
  added?: string | Date | null;
}

/** What an update of `tags` takes; a key never changes. */
export interface TagsUpdate {
  owner?: string;
  added?: string | Date | null;
}

/** The key of a row of `tags`. */
export interface TagsKey {
  note_id: string;
  tag: string;
}

/** A row of `posts`. */
export interface Posts {
  /** uuid, key, by default a new one */
  id: string;
  /** text, required, at most 200 characters, a row of `people`, deleted with it */
  author: string;
  /** uuid, a row of `posts`, null when that is deleted */
  reply_to: string | null;
  /** text, required, at most 200 characters */
  title: string;
  /** text, required, by default "" */
  body: string;
  /** text, at most 40 characters */
  topic: string | null;
  /** text, required, one of "draft", "live", by default "draft" */
  status: "draft" | "live";
  /** integer, required, at least 0, by default 0 */
  likes: number | bigint;
  /** decimal(2), "0.00" to "9999.99", by default "0.00" */
  price: string | null;
  /** timestamp */
  published: string | null;
}

/** What an insert into `posts` takes; what may be left out has a default or is NULL. */
export interface PostsInsert {
  id?: string;
  author: string;
  reply_to?: string | null;
  title: string;
  body?: string;
  topic?: string | null;
  status?: "draft" | "live";
  likes?: number | bigint;
  price?: string | null;
  published?: string | Date | null;
}

/** What an update of `posts` takes; a key never changes. */
export interface PostsUpdate {
  author?: string;
  reply_to?: string | null;
  title?: string;
  body?: string;
  topic?: string | null;
  status?: "draft" | "live";
  likes?: number | bigint;
  price?: string | null;
  published?: string | Date | null;
}

/** The key of a row of `posts`: its `id`. */
export type PostsKey = string;

/** A row of `likes`. */
export interface Likes {
  /** uuid, key, a row of `posts`, deleted with it */
  post: string;
  /** text, key, at most 200 characters */
  person: string;
  /** integer, required, by default 0 */
  times: number | bigint;
}

/** What an insert into `likes` takes; what may be left out has a default or is NULL. */
export interface LikesInsert {
  post: string;
  person: string;
  times?: number | bigint;
}

/** What an update of `likes` takes; a key never changes. */
export interface LikesUpdate {
  times?: number | bigint;
}

/** The key of a row of `likes`. */
export interface LikesKey {
  post: string;
  person: string;
}

/** A row of `pages`. */
export interface Pages {
  /** uuid, key, by default a new one */
  id: string;
  /** text, required, at most 200 characters */
  owner: string;
  /** text, required, at most 200 characters */
  title: string;
  /** boolean, required, by default false */
  open: boolean;
  /** timestamp, required, by default now */
  created: string;
}

/** What an insert into `pages` takes; what may be left out has a default or is NULL. */
export interface PagesInsert {
  id?: string;
  owner: string;
  title: string;
  open?: boolean;
  created?: string | Date;
}

/** What an update of `pages` takes; a key never changes. */
export interface PagesUpdate {
  owner?: string;
  title?: string;
  open?: boolean;
  created?: string | Date;
}

/** The key of a row of `pages`: its `id`. */
export type PagesKey = string;

/** A row of `drafts` (on this device only). */
export interface Drafts {
  /** uuid, key, by default a new one */
  id: string;
  /** text, by default "" */
  text: string | null;
  /** timestamp, by default now */
  saved: string | null;
}

/** What an insert into `drafts` takes; what may be left out has a default or is NULL. */
export interface DraftsInsert {
  id?: string;
  text?: string | null;
  saved?: string | Date | null;
}

/** What an update of `drafts` takes; a key never changes. */
export interface DraftsUpdate {
  text?: string | null;
  saved?: string | Date | null;
}

/** The key of a row of `drafts`: its `id`. */
export type DraftsKey = string;

/** A change of a row of `notes`: the row after it (before it, for a delete), and about it. */
export interface NotesHistory {
  /** uuid, key */
  change_id: string;
  /** uuid, required, filled by the server, null until then */
  change_row: string;
  /** integer, required, filled by the server, null until then */
  change_seq: number | bigint;
  /** timestamp, filled by the server, null until then */
  change_at: string | null;
  /** timestamp, filled by the server, null until then */
  change_written: string | null;
  /** text, filled by the server, null until then */
  change_by: string | null;
  /** uuid, filled by the server, null until then */
  change_device: string | null;
  /** text, filled by the server, null until then */
  change_action: string | null;
  /**
   * text, required, filled by the server, null until then, one of "before", "insert", "update", "delete",
   * "lost"
   */
  change_kind: "before" | "insert" | "update" | "delete" | "lost";
  /** json, filled by the server, null until then */
  change_columns: Json | null;
  /** uuid, filled by the server, null until then */
  id: string | null;
  /** text, filled by the server, null until then */
  owner: string | null;
  /** text, filled by the server, null until then */
  title: string | null;
  /** text, filled by the server, null until then, by default "" */
  body: string | null;
  /** boolean, filled by the server, null until then, by default false */
  pinned: boolean | null;
  /** boolean, filled by the server, null until then, by default false */
  public: boolean | null;
  /** text, filled by the server, null until then */
  mood: string | null;
  /** float, filled by the server, null until then */
  rating: number | null;
  /** decimal(2), filled by the server, null until then */
  budget: string | null;
  /** json, filled by the server, null until then */
  place: Json | null;
  /** date, filled by the server, null until then */
  day: string | null;
  /** timestamp, filled by the server, null until then */
  created: string | null;
  /** json, filled by the server, null until then, by default [] */
  tags: Json | null;
  /** text, filled by the server, null until then */
  position: string | null;
}

/** Only the server writes `notes_history`. */
export type NotesHistoryInsert = never;
export type NotesHistoryUpdate = never;

/** The key of a row of `notes_history`: its `change_id`. */
export type NotesHistoryKey = string;

/** A value that could not be merged, in the row as it was, and about it. */
export interface NotesConflicts {
  /** uuid, key */
  conflict_id: string;
  /** uuid, required, filled by the server, null until then */
  conflict_row: string;
  /** text, required, filled by the server, null until then */
  conflict_column: string;
  /** integer, required, filled by the server, null until then */
  conflict_seq: number | bigint;
  /** timestamp, filled by the server, null until then */
  conflict_at: string | null;
  /** timestamp, filled by the server, null until then */
  conflict_written: string | null;
  /** text, filled by the server, null until then */
  conflict_by: string | null;
  /** uuid, filled by the server, null until then */
  conflict_device: string | null;
  /** json, filled by the server, null until then */
  conflict_base: Json | null;
  /** uuid, filled by the server, null until then */
  id: string | null;
  /** text, filled by the server, null until then */
  owner: string | null;
  /** text, filled by the server, null until then */
  title: string | null;
  /** text, filled by the server, null until then, by default "" */
  body: string | null;
  /** boolean, filled by the server, null until then, by default false */
  pinned: boolean | null;
  /** boolean, filled by the server, null until then, by default false */
  public: boolean | null;
  /** text, filled by the server, null until then */
  mood: string | null;
  /** float, filled by the server, null until then */
  rating: number | null;
  /** decimal(2), filled by the server, null until then */
  budget: string | null;
  /** json, filled by the server, null until then */
  place: Json | null;
  /** date, filled by the server, null until then */
  day: string | null;
  /** timestamp, filled by the server, null until then */
  created: string | null;
  /** json, filled by the server, null until then, by default [] */
  tags: Json | null;
  /** text, filled by the server, null until then */
  position: string | null;
}

/** Only the server writes `notes_conflicts`. */
export type NotesConflictsInsert = never;
export type NotesConflictsUpdate = never;

/** The key of a row of `notes_conflicts`: its `conflict_id`. */
export type NotesConflictsKey = string;

/** A version of a row of `notes`: what it was when somebody kept it. */
export interface NotesVersions {
  /** uuid, key, by default a new one */
  version_id: string;
  /** uuid, required, a row of `notes`, deleted with it */
  id: string;
  /** text, at most 200 characters */
  version_name: string | null;
  /** integer, filled by the server, null until then */
  version_seq: number | bigint | null;
  /** timestamp, filled by the server, null until then */
  version_at: string | null;
  /** text, filled by the server, null until then */
  version_by: string | null;
  /** text */
  owner: string | null;
  /** text */
  title: string | null;
  /** text, by default "" */
  body: string | null;
  /** boolean, by default false */
  pinned: boolean | null;
  /** boolean, by default false */
  public: boolean | null;
  /** text */
  mood: string | null;
  /** float */
  rating: number | null;
  /** decimal(2) */
  budget: string | null;
  /** json */
  place: Json | null;
  /** date */
  day: string | null;
  /** timestamp */
  created: string | null;
  /** json, by default [] */
  tags: Json | null;
  /** text */
  position: string | null;
}

/** What an insert into `notes_versions` takes; what may be left out has a default or is NULL. */
export interface NotesVersionsInsert {
  version_id?: string;
  id: string;
  version_name?: string | null;
  owner?: string | null;
  title?: string | null;
  body?: string | null;
  pinned?: boolean | null;
  public?: boolean | null;
  mood?: string | null;
  rating?: number | null;
  budget?: string | null;
  place?: Json | null;
  day?: string | null;
  created?: string | Date | null;
  tags?: Json | null;
  position?: string | null;
}

/** What is in `notes_versions` is never changed. */
export type NotesVersionsUpdate = never;

/** The key of a row of `notes_versions`: its `version_id`. */
export type NotesVersionsKey = string;

/** An update of a document of a row of `pages`: together they are the document. */
export interface PagesDocs {
  /** uuid, key, by default a new one */
  doc_id: string;
  /** uuid, required, a row of `pages`, deleted with it */
  id: string;
  /** text, required, one of "body" */
  doc_column: "body";
  /** bytes, required */
  doc_update: Uint8Array;
  /** integer, filled by the server, null until then */
  doc_seq: number | bigint | null;
  /** timestamp, filled by the server, null until then */
  doc_at: string | null;
  /** text, filled by the server, null until then */
  doc_by: string | null;
  /** text, filled by the server, null until then */
  owner: string | null;
  /** boolean, filled by the server, null until then */
  open: boolean | null;
}

/** What an insert into `pages_docs` takes; what may be left out has a default or is NULL. */
export interface PagesDocsInsert {
  doc_id?: string;
  id: string;
  doc_column: "body";
  doc_update: Uint8Array;
}

/** What is in `pages_docs` is never changed. */
export type PagesDocsUpdate = never;

/** The key of a row of `pages_docs`: its `doc_id`. */
export type PagesDocsKey = string;

/** A version of a row of `pages`: what it was when somebody kept it. */
export interface PagesVersions {
  /** uuid, key, by default a new one */
  version_id: string;
  /** uuid, required, a row of `pages`, deleted with it */
  id: string;
  /** text, at most 200 characters */
  version_name: string | null;
  /** integer, filled by the server, null until then */
  version_seq: number | bigint | null;
  /** timestamp, filled by the server, null until then */
  version_at: string | null;
  /** text, filled by the server, null until then */
  version_by: string | null;
  /** text */
  owner: string | null;
  /** text */
  title: string | null;
  /** boolean, by default false */
  open: boolean | null;
  /** timestamp */
  created: string | null;
  /** bytes */
  body: Uint8Array | null;
}

/** What an insert into `pages_versions` takes; what may be left out has a default or is NULL. */
export interface PagesVersionsInsert {
  version_id?: string;
  id: string;
  version_name?: string | null;
  owner?: string | null;
  title?: string | null;
  open?: boolean | null;
  created?: string | Date | null;
  body?: Uint8Array | null;
}

/** What is in `pages_versions` is never changed. */
export type PagesVersionsUpdate = never;

/** The key of a row of `pages_versions`: its `version_id`. */
export type PagesVersionsKey = string;

/** Each table's row, and what insert, update and key take. */
export interface Tables {
  people: { row: People; insert: PeopleInsert; update: PeopleUpdate; key: PeopleKey };
  notes: { row: Notes; insert: NotesInsert; update: NotesUpdate; key: NotesKey; set: "tags"; list: "position" };
  tags: { row: Tags; insert: TagsInsert; update: TagsUpdate; key: TagsKey };
  posts: { row: Posts; insert: PostsInsert; update: PostsUpdate; key: PostsKey; counter: "likes" };
  likes: { row: Likes; insert: LikesInsert; update: LikesUpdate; key: LikesKey; counter: "times" };
  pages: { row: Pages; insert: PagesInsert; update: PagesUpdate; key: PagesKey };
  drafts: { row: Drafts; insert: DraftsInsert; update: DraftsUpdate; key: DraftsKey };
  notes_history: {
    row: NotesHistory;
    insert: NotesHistoryInsert;
    update: NotesHistoryUpdate;
    key: NotesHistoryKey;
  };
  notes_conflicts: {
    row: NotesConflicts;
    insert: NotesConflictsInsert;
    update: NotesConflictsUpdate;
    key: NotesConflictsKey;
  };
  notes_versions: {
    row: NotesVersions;
    insert: NotesVersionsInsert;
    update: NotesVersionsUpdate;
    key: NotesVersionsKey;
  };
  pages_docs: { row: PagesDocs; insert: PagesDocsInsert; update: PagesDocsUpdate; key: PagesDocsKey };
  pages_versions: {
    row: PagesVersions;
    insert: PagesVersionsInsert;
    update: PagesVersionsUpdate;
    key: PagesVersionsKey;
  };
}

/** What a device can hold: each shape's parameters. */
export interface Shapes {
  /** Rows of `notes`. */
  my_notes: Record<string, never>;
  /** Rows of `notes_conflicts`. */
  my_conflicts: Record<string, never>;
  /** Rows of `notes_history`. */
  note_history: { note: string };
  /** Rows of `notes_versions`. */
  note_versions: { note: string };
  /** Rows of `notes`: owner, title, body, mood, created, and the key. */
  public_notes: { owner: string };
  /** Rows of `tags`. */
  my_tags: Record<string, never>;
  /** Rows of `tags`. */
  note_tags: { note: string };
  /** Rows of `people`: name, handle, and the key. */
  people: Record<string, never>;
  /** Rows of `posts`. */
  feed: Record<string, never>;
  /** Rows of `likes`. */
  likes: Record<string, never>;
  /** Rows of `posts`. */
  posts_by_author: { author: string };
  /** Rows of `posts`. */
  posts_by_topic: { topic: string; likes: number | bigint };
  /** Rows of `pages`. */
  my_pages: Record<string, never>;
  /** Rows of `pages`. */
  open_pages: Record<string, never>;
  /** Rows of `pages_docs`. */
  my_page_texts: Record<string, never>;
  /** Rows of `pages_docs`. */
  page_text: { page: string };
  /** Rows of `pages_versions`. */
  page_versions: { page: string };
}

/** What a transaction can ask of the server: each action's arguments. */
export type Actions = Record<never, object>;

/** The schema, for `openDatabase`. */
export const schema: Schema<Tables, Shapes, Actions> = {
  name: "journal",
  version: 3,
  tables: {
    people: {
      key: ["subject"],
      sync: true,
      columns: {
        subject: { type: "text" },
        name: { type: "text" },
        handle: { type: "text", nullable: true },
        born: { type: "date", nullable: true },
        avatar: { type: "bytes", nullable: true },
      },
    },
    notes: {
      key: ["id"],
      sync: true,
      columns: {
        id: { type: "uuid" },
        owner: { type: "text" },
        title: { type: "text" },
        body: { type: "text" },
        pinned: { type: "boolean" },
        public: { type: "boolean" },
        mood: { type: "text", nullable: true },
        rating: { type: "float", nullable: true },
        budget: { type: "decimal", scale: 2, nullable: true },
        place: { type: "json", nullable: true },
        day: { type: "date", nullable: true },
        created: { type: "timestamp" },
        tags: { type: "json" },
        position: { type: "text", nullable: true },
      },
    },
    tags: {
      key: ["note_id", "tag"],
      sync: true,
      columns: {
        note_id: { type: "uuid" },
        tag: { type: "text" },
        owner: { type: "text" },
        added: { type: "timestamp", nullable: true },
      },
    },
    posts: {
      key: ["id"],
      sync: true,
      columns: {
        id: { type: "uuid" },
        author: { type: "text" },
        reply_to: { type: "uuid", nullable: true },
        title: { type: "text" },
        body: { type: "text" },
        topic: { type: "text", nullable: true },
        status: { type: "text" },
        likes: { type: "integer" },
        price: { type: "decimal", scale: 2, nullable: true },
        published: { type: "timestamp", nullable: true },
      },
    },
    likes: {
      key: ["post", "person"],
      sync: true,
      columns: {
        post: { type: "uuid" },
        person: { type: "text" },
        times: { type: "integer" },
      },
    },
    pages: {
      key: ["id"],
      sync: true,
      columns: {
        id: { type: "uuid" },
        owner: { type: "text" },
        title: { type: "text" },
        open: { type: "boolean" },
        created: { type: "timestamp" },
      },
    },
    drafts: {
      key: ["id"],
      sync: false,
      columns: {
        id: { type: "uuid" },
        text: { type: "text", nullable: true },
        saved: { type: "timestamp", nullable: true },
      },
    },
    notes_history: {
      key: ["change_id"],
      sync: true,
      columns: {
        change_id: { type: "uuid" },
        change_row: { type: "uuid", assigned: true },
        change_seq: { type: "integer", assigned: true },
        change_at: { type: "timestamp", nullable: true, assigned: true },
        change_written: { type: "timestamp", nullable: true, assigned: true },
        change_by: { type: "text", nullable: true, assigned: true },
        change_device: { type: "uuid", nullable: true, assigned: true },
        change_action: { type: "text", nullable: true, assigned: true },
        change_kind: { type: "text", assigned: true },
        change_columns: { type: "json", nullable: true, assigned: true },
        id: { type: "uuid", nullable: true, assigned: true },
        owner: { type: "text", nullable: true, assigned: true },
        title: { type: "text", nullable: true, assigned: true },
        body: { type: "text", nullable: true, assigned: true },
        pinned: { type: "boolean", nullable: true, assigned: true },
        public: { type: "boolean", nullable: true, assigned: true },
        mood: { type: "text", nullable: true, assigned: true },
        rating: { type: "float", nullable: true, assigned: true },
        budget: { type: "decimal", scale: 2, nullable: true, assigned: true },
        place: { type: "json", nullable: true, assigned: true },
        day: { type: "date", nullable: true, assigned: true },
        created: { type: "timestamp", nullable: true, assigned: true },
        tags: { type: "json", nullable: true, assigned: true },
        position: { type: "text", nullable: true, assigned: true },
      },
    },
    notes_conflicts: {
      key: ["conflict_id"],
      sync: true,
      columns: {
        conflict_id: { type: "uuid" },
        conflict_row: { type: "uuid", assigned: true },
        conflict_column: { type: "text", assigned: true },
        conflict_seq: { type: "integer", assigned: true },
        conflict_at: { type: "timestamp", nullable: true, assigned: true },
        conflict_written: { type: "timestamp", nullable: true, assigned: true },
        conflict_by: { type: "text", nullable: true, assigned: true },
        conflict_device: { type: "uuid", nullable: true, assigned: true },
        conflict_base: { type: "json", nullable: true, assigned: true },
        id: { type: "uuid", nullable: true, assigned: true },
        owner: { type: "text", nullable: true, assigned: true },
        title: { type: "text", nullable: true, assigned: true },
        body: { type: "text", nullable: true, assigned: true },
        pinned: { type: "boolean", nullable: true, assigned: true },
        public: { type: "boolean", nullable: true, assigned: true },
        mood: { type: "text", nullable: true, assigned: true },
        rating: { type: "float", nullable: true, assigned: true },
        budget: { type: "decimal", scale: 2, nullable: true, assigned: true },
        place: { type: "json", nullable: true, assigned: true },
        day: { type: "date", nullable: true, assigned: true },
        created: { type: "timestamp", nullable: true, assigned: true },
        tags: { type: "json", nullable: true, assigned: true },
        position: { type: "text", nullable: true, assigned: true },
      },
    },
    notes_versions: {
      key: ["version_id"],
      sync: true,
      columns: {
        version_id: { type: "uuid" },
        id: { type: "uuid" },
        version_name: { type: "text", nullable: true },
        version_seq: { type: "integer", nullable: true, assigned: true },
        version_at: { type: "timestamp", nullable: true, assigned: true },
        version_by: { type: "text", nullable: true, assigned: true },
        owner: { type: "text", nullable: true },
        title: { type: "text", nullable: true },
        body: { type: "text", nullable: true },
        pinned: { type: "boolean", nullable: true },
        public: { type: "boolean", nullable: true },
        mood: { type: "text", nullable: true },
        rating: { type: "float", nullable: true },
        budget: { type: "decimal", scale: 2, nullable: true },
        place: { type: "json", nullable: true },
        day: { type: "date", nullable: true },
        created: { type: "timestamp", nullable: true },
        tags: { type: "json", nullable: true },
        position: { type: "text", nullable: true },
      },
    },
    pages_docs: {
      key: ["doc_id"],
      sync: true,
      columns: {
        doc_id: { type: "uuid" },
        id: { type: "uuid" },
        doc_column: { type: "text" },
        doc_update: { type: "bytes" },
        doc_seq: { type: "integer", nullable: true, assigned: true },
        doc_at: { type: "timestamp", nullable: true, assigned: true },
        doc_by: { type: "text", nullable: true, assigned: true },
        owner: { type: "text", nullable: true, assigned: true },
        open: { type: "boolean", nullable: true, assigned: true },
      },
    },
    pages_versions: {
      key: ["version_id"],
      sync: true,
      columns: {
        version_id: { type: "uuid" },
        id: { type: "uuid" },
        version_name: { type: "text", nullable: true },
        version_seq: { type: "integer", nullable: true, assigned: true },
        version_at: { type: "timestamp", nullable: true, assigned: true },
        version_by: { type: "text", nullable: true, assigned: true },
        owner: { type: "text", nullable: true },
        title: { type: "text", nullable: true },
        open: { type: "boolean", nullable: true },
        created: { type: "timestamp", nullable: true },
        body: { type: "bytes", nullable: true },
      },
    },
  },
  shapes: {
    my_notes: {
      table: "notes",
      params: {},
    },
    my_conflicts: {
      table: "notes_conflicts",
      params: {},
    },
    note_history: {
      table: "notes_history",
      params: {
        note: { type: "uuid" },
      },
    },
    note_versions: {
      table: "notes_versions",
      params: {
        note: { type: "uuid" },
      },
    },
    public_notes: {
      table: "notes",
      params: {
        owner: { type: "text" },
      },
    },
    my_tags: {
      table: "tags",
      params: {},
    },
    note_tags: {
      table: "tags",
      params: {
        note: { type: "uuid" },
      },
    },
    people: {
      table: "people",
      params: {},
    },
    feed: {
      table: "posts",
      params: {},
    },
    likes: {
      table: "likes",
      params: {},
    },
    posts_by_author: {
      table: "posts",
      params: {
        author: { type: "text" },
      },
    },
    posts_by_topic: {
      table: "posts",
      params: {
        topic: { type: "text" },
        likes: { type: "integer" },
      },
    },
    my_pages: {
      table: "pages",
      params: {},
    },
    open_pages: {
      table: "pages",
      params: {},
    },
    my_page_texts: {
      table: "pages_docs",
      params: {},
    },
    page_text: {
      table: "pages_docs",
      params: {
        page: { type: "uuid" },
      },
    },
    page_versions: {
      table: "pages_versions",
      params: {
        page: { type: "uuid" },
      },
    },
  },
  actions: {
  },
  compiled: [
    '{"name":"journal","version":3,"tables":[{"name":"people","columns":[{"name":"subject","type":"text",',
    '"required":true,"default":null,"max_length":200,"pattern":null,"min":null,"max":null,"one_of":[],"re',
    'ferences":null,"unique":false,"merge":"lww"},{"name":"name","type":"text","required":true,"default":',
    'null,"max_length":80,"pattern":null,"min":null,"max":null,"one_of":[],"references":null,"unique":fal',
    'se,"merge":"lww"},{"name":"handle","type":"text","required":false,"default":null,"max_length":null,"',
    'pattern":"[a-z][a-z0-9_]{1,29}","min":null,"max":null,"one_of":[],"references":null,"unique":true,"m',
    'erge":"lww"},{"name":"born","type":"date","required":false,"default":null,"max_length":null,"pattern',
    '":null,"min":{"date":"1900-01-01"},"max":null,"one_of":[],"references":null,"unique":false,"merge":"',
    'lww"},{"name":"avatar","type":"bytes","required":false,"default":null,"max_length":65536,"pattern":n',
    'ull,"min":null,"max":null,"one_of":[],"references":null,"unique":false,"merge":"lww"}],"primary_key"',
    ':["subject"],"sync":true,"on_delete_conflict":"update_wins","access":{"read":null,"insert":{"compare',
    '":{"op":"=","left":{"column":{"name":"subject","type":"text"}},"right":{"claim":{"name":"sub","type"',
    ':"text"}}}},"update":{"compare":{"op":"=","left":{"column":{"name":"subject","type":"text"}},"right"',
    ':{"claim":{"name":"sub","type":"text"}}}},"delete":{"compare":{"op":"=","left":{"column":{"name":"su',
    'bject","type":"text"}},"right":{"claim":{"name":"sub","type":"text"}}}}}},{"name":"notes","columns":',
    '[{"name":"id","type":"uuid","required":true,"default":"uuid","max_length":null,"pattern":null,"min":',
    'null,"max":null,"one_of":[],"references":null,"unique":false,"merge":"lww"},{"name":"owner","type":"',
    'text","required":true,"default":null,"max_length":200,"pattern":null,"min":null,"max":null,"one_of":',
    '[],"references":null,"unique":false,"merge":"lww"},{"name":"title","type":"text","required":true,"de',
    'fault":null,"max_length":200,"pattern":null,"min":null,"max":null,"one_of":[],"references":null,"uni',
    'que":false,"merge":"manual"},{"name":"body","type":"text","required":true,"default":{"value":{"text"',
    ':""}},"max_length":null,"pattern":null,"min":null,"max":null,"one_of":[],"references":null,"unique":',
    'false,"merge":"text"},{"name":"pinned","type":"boolean","required":true,"default":{"value":{"bool":f',
    'alse}},"max_length":null,"pattern":null,"min":null,"max":null,"one_of":[],"references":null,"unique"',
    ':false,"merge":"lww"},{"name":"public","type":"boolean","required":true,"default":{"value":{"bool":f',
    'alse}},"max_length":null,"pattern":null,"min":null,"max":null,"one_of":[],"references":null,"unique"',
    ':false,"merge":"lww"},{"name":"mood","type":"text","required":false,"default":null,"max_length":null',
    ',"pattern":null,"min":null,"max":null,"one_of":[{"text":"calm"},{"text":"glad"},{"text":"low"},{"tex',
    't":"tired"}],"references":null,"unique":false,"merge":"lww"},{"name":"rating","type":"float","requir',
    'ed":false,"default":null,"max_length":null,"pattern":null,"min":{"float":0.0},"max":{"float":5.0},"o',
    'ne_of":[],"references":null,"unique":false,"merge":"lww"},{"name":"budget","type":{"decimal":2},"req',
    'uired":false,"default":null,"max_length":null,"pattern":null,"min":{"decimal":"0.00"},"max":null,"on',
    'e_of":[],"references":null,"unique":false,"merge":"lww"},{"name":"place","type":"json","required":fa',
    'lse,"default":null,"max_length":null,"pattern":null,"min":null,"max":null,"one_of":[],"references":n',
    'ull,"unique":false,"merge":"lww"},{"name":"day","type":"date","required":false,"default":"now","max_',
    'length":null,"pattern":null,"min":null,"max":null,"one_of":[],"references":null,"unique":false,"merg',
    'e":"lww"},{"name":"created","type":"timestamp","required":true,"default":"now","max_length":null,"pa',
    'ttern":null,"min":null,"max":null,"one_of":[],"references":null,"unique":false,"merge":"lww"},{"name',
    '":"tags","type":"json","required":true,"default":{"value":{"json":[]}},"max_length":null,"pattern":n',
    'ull,"min":null,"max":null,"one_of":[],"references":null,"unique":false,"merge":"set"},{"name":"posit',
    'ion","type":"text","required":false,"default":null,"max_length":null,"pattern":null,"min":null,"max"',
    ':null,"one_of":[],"references":null,"unique":false,"merge":"list"}],"primary_key":["id"],"sync":true',
    ',"on_delete_conflict":"update_wins","access":{"read":{"or":[{"compare":{"op":"=","left":{"column":{"',
    'name":"owner","type":"text"}},"right":{"claim":{"name":"sub","type":"text"}}}},{"column":{"name":"pu',
    'blic","type":"boolean"}}]},"insert":{"compare":{"op":"=","left":{"column":{"name":"owner","type":"te',
    'xt"}},"right":{"claim":{"name":"sub","type":"text"}}}},"update":{"compare":{"op":"=","left":{"column',
    '":{"name":"owner","type":"text"}},"right":{"claim":{"name":"sub","type":"text"}}}},"delete":{"compar',
    'e":{"op":"=","left":{"column":{"name":"owner","type":"text"}},"right":{"claim":{"name":"sub","type":',
    '"text"}}}}},"search":["title","body"],"history":{"keep_ms":31536000000},"versions":true},{"name":"ta',
    'gs","columns":[{"name":"note_id","type":"uuid","required":true,"default":null,"max_length":null,"pat',
    'tern":null,"min":null,"max":null,"one_of":[],"references":{"table":"notes","on_delete":"cascade"},"u',
    'nique":false,"merge":"lww"},{"name":"tag","type":"text","required":true,"default":null,"max_length":',
    '40,"pattern":"[^\\\\s#]+","min":null,"max":null,"one_of":[],"references":null,"unique":false,"merge":"',
    'lww"},{"name":"owner","type":"text","required":true,"default":null,"max_length":200,"pattern":null,"',
    'min":null,"max":null,"one_of":[],"references":null,"unique":false,"merge":"lww"},{"name":"added","ty',
    'pe":"timestamp","required":false,"default":"now","max_length":null,"pattern":null,"min":null,"max":n',
    'ull,"one_of":[],"references":null,"unique":false,"merge":"lww"}],"primary_key":["note_id","tag"],"sy',
    'nc":true,"on_delete_conflict":"delete_wins","access":{"read":{"compare":{"op":"=","left":{"column":{',
    '"name":"owner","type":"text"}},"right":{"claim":{"name":"sub","type":"text"}}}},"insert":{"compare":',
    '{"op":"=","left":{"column":{"name":"owner","type":"text"}},"right":{"claim":{"name":"sub","type":"te',
    'xt"}}}},"update":{"compare":{"op":"=","left":{"column":{"name":"owner","type":"text"}},"right":{"cla',
    'im":{"name":"sub","type":"text"}}}},"delete":{"compare":{"op":"=","left":{"column":{"name":"owner","',
    'type":"text"}},"right":{"claim":{"name":"sub","type":"text"}}}}}},{"name":"posts","columns":[{"name"',
    ':"id","type":"uuid","required":true,"default":"uuid","max_length":null,"pattern":null,"min":null,"ma',
    'x":null,"one_of":[],"references":null,"unique":false,"merge":"lww"},{"name":"author","type":"text","',
    'required":true,"default":null,"max_length":200,"pattern":null,"min":null,"max":null,"one_of":[],"ref',
    'erences":{"table":"people","on_delete":"cascade"},"unique":false,"merge":"lww"},{"name":"reply_to","',
    'type":"uuid","required":false,"default":null,"max_length":null,"pattern":null,"min":null,"max":null,',
    '"one_of":[],"references":{"table":"posts","on_delete":"set_null"},"unique":false,"merge":"lww"},{"na',
    'me":"title","type":"text","required":true,"default":null,"max_length":200,"pattern":null,"min":null,',
    '"max":null,"one_of":[],"references":null,"unique":false,"merge":"lww"},{"name":"body","type":"text",',
    '"required":true,"default":{"value":{"text":""}},"max_length":null,"pattern":null,"min":null,"max":nu',
    'll,"one_of":[],"references":null,"unique":false,"merge":"lww"},{"name":"topic","type":"text","requir',
    'ed":false,"default":null,"max_length":40,"pattern":null,"min":null,"max":null,"one_of":[],"reference',
    's":null,"unique":false,"merge":"lww"},{"name":"status","type":"text","required":true,"default":{"val',
    'ue":{"text":"draft"}},"max_length":null,"pattern":null,"min":null,"max":null,"one_of":[{"text":"draf',
    't"},{"text":"live"}],"references":null,"unique":false,"merge":"lww"},{"name":"likes","type":"integer',
    '","required":true,"default":{"value":{"int":"0"}},"max_length":null,"pattern":null,"min":{"int":"0"}',
    ',"max":null,"one_of":[],"references":null,"unique":false,"merge":"counter"},{"name":"price","type":{',
    '"decimal":2},"required":false,"default":{"value":{"decimal":"0.00"}},"max_length":null,"pattern":nul',
    'l,"min":{"decimal":"0.00"},"max":{"decimal":"9999.99"},"one_of":[],"references":null,"unique":false,',
    '"merge":"lww"},{"name":"published","type":"timestamp","required":false,"default":null,"max_length":n',
    'ull,"pattern":null,"min":null,"max":null,"one_of":[],"references":null,"unique":false,"merge":"lww"}',
    '],"primary_key":["id"],"sync":true,"on_delete_conflict":"update_wins","access":{"read":{"or":[{"comp',
    'are":{"op":"=","left":{"column":{"name":"status","type":"text"}},"right":{"literal":{"text":"live"}}',
    '}},{"compare":{"op":"=","left":{"column":{"name":"author","type":"text"}},"right":{"claim":{"name":"',
    'sub","type":"text"}}}}]},"insert":{"compare":{"op":"=","left":{"column":{"name":"author","type":"tex',
    't"}},"right":{"claim":{"name":"sub","type":"text"}}}},"update":{"compare":{"op":"=","left":{"column"',
    ':{"name":"author","type":"text"}},"right":{"claim":{"name":"sub","type":"text"}}}},"delete":{"compar',
    'e":{"op":"=","left":{"column":{"name":"author","type":"text"}},"right":{"claim":{"name":"sub","type"',
    ':"text"}}}}},"search":["title","body"]},{"name":"likes","columns":[{"name":"post","type":"uuid","req',
    'uired":true,"default":null,"max_length":null,"pattern":null,"min":null,"max":null,"one_of":[],"refer',
    'ences":{"table":"posts","on_delete":"cascade"},"unique":false,"merge":"lww"},{"name":"person","type"',
    ':"text","required":true,"default":null,"max_length":200,"pattern":null,"min":null,"max":null,"one_of',
    '":[],"references":null,"unique":false,"merge":"lww"},{"name":"times","type":"integer","required":tru',
    'e,"default":{"value":{"int":"0"}},"max_length":null,"pattern":null,"min":null,"max":null,"one_of":[]',
    ',"references":null,"unique":false,"merge":"counter"}],"primary_key":["post","person"],"sync":true,"o',
    'n_delete_conflict":"update_wins","access":{"read":null,"insert":{"compare":{"op":"=","left":{"column',
    '":{"name":"person","type":"text"}},"right":{"claim":{"name":"sub","type":"text"}}}},"update":{"compa',
    're":{"op":"=","left":{"column":{"name":"person","type":"text"}},"right":{"claim":{"name":"sub","type',
    '":"text"}}}},"delete":{"compare":{"op":"=","left":{"column":{"name":"person","type":"text"}},"right"',
    ':{"claim":{"name":"sub","type":"text"}}}}}},{"name":"pages","columns":[{"name":"id","type":"uuid","r',
    'equired":true,"default":"uuid","max_length":null,"pattern":null,"min":null,"max":null,"one_of":[],"r',
    'eferences":null,"unique":false,"merge":"lww"},{"name":"owner","type":"text","required":true,"default',
    '":null,"max_length":200,"pattern":null,"min":null,"max":null,"one_of":[],"references":null,"unique":',
    'false,"merge":"lww"},{"name":"title","type":"text","required":true,"default":null,"max_length":200,"',
    'pattern":null,"min":null,"max":null,"one_of":[],"references":null,"unique":false,"merge":"lww"},{"na',
    'me":"open","type":"boolean","required":true,"default":{"value":{"bool":false}},"max_length":null,"pa',
    'ttern":null,"min":null,"max":null,"one_of":[],"references":null,"unique":false,"merge":"lww"},{"name',
    '":"created","type":"timestamp","required":true,"default":"now","max_length":null,"pattern":null,"min',
    '":null,"max":null,"one_of":[],"references":null,"unique":false,"merge":"lww"}],"primary_key":["id"],',
    '"sync":true,"on_delete_conflict":"update_wins","access":{"read":{"or":[{"compare":{"op":"=","left":{',
    '"column":{"name":"owner","type":"text"}},"right":{"claim":{"name":"sub","type":"text"}}}},{"column":',
    '{"name":"open","type":"boolean"}}]},"insert":{"compare":{"op":"=","left":{"column":{"name":"owner","',
    'type":"text"}},"right":{"claim":{"name":"sub","type":"text"}}}},"update":{"or":[{"compare":{"op":"="',
    ',"left":{"column":{"name":"owner","type":"text"}},"right":{"claim":{"name":"sub","type":"text"}}}},{',
    '"column":{"name":"open","type":"boolean"}}]},"delete":{"compare":{"op":"=","left":{"column":{"name":',
    '"owner","type":"text"}},"right":{"claim":{"name":"sub","type":"text"}}}}},"docs":["body"],"versions"',
    ':true},{"name":"drafts","columns":[{"name":"id","type":"uuid","required":true,"default":"uuid","max_',
    'length":null,"pattern":null,"min":null,"max":null,"one_of":[],"references":null,"unique":false,"merg',
    'e":"lww"},{"name":"text","type":"text","required":false,"default":{"value":{"text":""}},"max_length"',
    ':null,"pattern":null,"min":null,"max":null,"one_of":[],"references":null,"unique":false,"merge":"lww',
    '"},{"name":"saved","type":"timestamp","required":false,"default":"now","max_length":null,"pattern":n',
    'ull,"min":null,"max":null,"one_of":[],"references":null,"unique":false,"merge":"lww"}],"primary_key"',
    ':["id"],"sync":false,"on_delete_conflict":"update_wins","access":{"read":null,"insert":null,"update"',
    ':null,"delete":null}},{"name":"notes_history","columns":[{"name":"change_id","type":"uuid","required',
    '":true,"default":null,"max_length":null,"pattern":null,"min":null,"max":null,"one_of":[],"references',
    '":null,"unique":false,"merge":"lww"},{"name":"change_row","type":"uuid","required":true,"default":nu',
    'll,"max_length":null,"pattern":null,"min":null,"max":null,"one_of":[],"references":null,"unique":fal',
    'se,"merge":"lww","assigned":true},{"name":"change_seq","type":"integer","required":true,"default":nu',
    'll,"max_length":null,"pattern":null,"min":null,"max":null,"one_of":[],"references":null,"unique":fal',
    'se,"merge":"lww","assigned":true},{"name":"change_at","type":"timestamp","required":false,"default":',
    'null,"max_length":null,"pattern":null,"min":null,"max":null,"one_of":[],"references":null,"unique":f',
    'alse,"merge":"lww","assigned":true},{"name":"change_written","type":"timestamp","required":false,"de',
    'fault":null,"max_length":null,"pattern":null,"min":null,"max":null,"one_of":[],"references":null,"un',
    'ique":false,"merge":"lww","assigned":true},{"name":"change_by","type":"text","required":false,"defau',
    'lt":null,"max_length":null,"pattern":null,"min":null,"max":null,"one_of":[],"references":null,"uniqu',
    'e":false,"merge":"lww","assigned":true},{"name":"change_device","type":"uuid","required":false,"defa',
    'ult":null,"max_length":null,"pattern":null,"min":null,"max":null,"one_of":[],"references":null,"uniq',
    'ue":false,"merge":"lww","assigned":true},{"name":"change_action","type":"text","required":false,"def',
    'ault":null,"max_length":null,"pattern":null,"min":null,"max":null,"one_of":[],"references":null,"uni',
    'que":false,"merge":"lww","assigned":true},{"name":"change_kind","type":"text","required":true,"defau',
    'lt":null,"max_length":null,"pattern":null,"min":null,"max":null,"one_of":[{"text":"before"},{"text":',
    '"insert"},{"text":"update"},{"text":"delete"},{"text":"lost"}],"references":null,"unique":false,"mer',
    'ge":"lww","assigned":true},{"name":"change_columns","type":"json","required":false,"default":null,"m',
    'ax_length":null,"pattern":null,"min":null,"max":null,"one_of":[],"references":null,"unique":false,"m',
    'erge":"lww","assigned":true},{"name":"id","type":"uuid","required":false,"default":null,"max_length"',
    ':null,"pattern":null,"min":null,"max":null,"one_of":[],"references":null,"unique":false,"merge":"lww',
    '","assigned":true},{"name":"owner","type":"text","required":false,"default":null,"max_length":null,"',
    'pattern":null,"min":null,"max":null,"one_of":[],"references":null,"unique":false,"merge":"lww","assi',
    'gned":true},{"name":"title","type":"text","required":false,"default":null,"max_length":null,"pattern',
    '":null,"min":null,"max":null,"one_of":[],"references":null,"unique":false,"merge":"lww","assigned":t',
    'rue},{"name":"body","type":"text","required":false,"default":{"value":{"text":""}},"max_length":null',
    ',"pattern":null,"min":null,"max":null,"one_of":[],"references":null,"unique":false,"merge":"lww","as',
    'signed":true},{"name":"pinned","type":"boolean","required":false,"default":{"value":{"bool":false}},',
    '"max_length":null,"pattern":null,"min":null,"max":null,"one_of":[],"references":null,"unique":false,',
    '"merge":"lww","assigned":true},{"name":"public","type":"boolean","required":false,"default":{"value"',
    ':{"bool":false}},"max_length":null,"pattern":null,"min":null,"max":null,"one_of":[],"references":nul',
    'l,"unique":false,"merge":"lww","assigned":true},{"name":"mood","type":"text","required":false,"defau',
    'lt":null,"max_length":null,"pattern":null,"min":null,"max":null,"one_of":[],"references":null,"uniqu',
    'e":false,"merge":"lww","assigned":true},{"name":"rating","type":"float","required":false,"default":n',
    'ull,"max_length":null,"pattern":null,"min":null,"max":null,"one_of":[],"references":null,"unique":fa',
    'lse,"merge":"lww","assigned":true},{"name":"budget","type":{"decimal":2},"required":false,"default":',
    'null,"max_length":null,"pattern":null,"min":null,"max":null,"one_of":[],"references":null,"unique":f',
    'alse,"merge":"lww","assigned":true},{"name":"place","type":"json","required":false,"default":null,"m',
    'ax_length":null,"pattern":null,"min":null,"max":null,"one_of":[],"references":null,"unique":false,"m',
    'erge":"lww","assigned":true},{"name":"day","type":"date","required":false,"default":null,"max_length',
    '":null,"pattern":null,"min":null,"max":null,"one_of":[],"references":null,"unique":false,"merge":"lw',
    'w","assigned":true},{"name":"created","type":"timestamp","required":false,"default":null,"max_length',
    '":null,"pattern":null,"min":null,"max":null,"one_of":[],"references":null,"unique":false,"merge":"lw',
    'w","assigned":true},{"name":"tags","type":"json","required":false,"default":{"value":{"json":[]}},"m',
    'ax_length":null,"pattern":null,"min":null,"max":null,"one_of":[],"references":null,"unique":false,"m',
    'erge":"lww","assigned":true},{"name":"position","type":"text","required":false,"default":null,"max_l',
    'ength":null,"pattern":null,"min":null,"max":null,"one_of":[],"references":null,"unique":false,"merge',
    '":"lww","assigned":true}],"primary_key":["change_id"],"sync":true,"on_delete_conflict":"update_wins"',
    ',"access":{"read":{"or":[{"compare":{"op":"=","left":{"column":{"name":"owner","type":"text"}},"righ',
    't":{"claim":{"name":"sub","type":"text"}}}},{"column":{"name":"public","type":"boolean"}}]},"insert"',
    ':{"literal":{"bool":false}},"update":{"literal":{"bool":false}},"delete":{"literal":{"bool":false}}}',
    ',"history_of":{"table":"notes","key":["id"]}},{"name":"notes_conflicts","columns":[{"name":"conflict',
    '_id","type":"uuid","required":true,"default":null,"max_length":null,"pattern":null,"min":null,"max":',
    'null,"one_of":[],"references":null,"unique":false,"merge":"lww"},{"name":"conflict_row","type":"uuid',
    '","required":true,"default":null,"max_length":null,"pattern":null,"min":null,"max":null,"one_of":[],',
    '"references":null,"unique":false,"merge":"lww","assigned":true},{"name":"conflict_column","type":"te',
    'xt","required":true,"default":null,"max_length":null,"pattern":null,"min":null,"max":null,"one_of":[',
    '],"references":null,"unique":false,"merge":"lww","assigned":true},{"name":"conflict_seq","type":"int',
    'eger","required":true,"default":null,"max_length":null,"pattern":null,"min":null,"max":null,"one_of"',
    ':[],"references":null,"unique":false,"merge":"lww","assigned":true},{"name":"conflict_at","type":"ti',
    'mestamp","required":false,"default":null,"max_length":null,"pattern":null,"min":null,"max":null,"one',
    '_of":[],"references":null,"unique":false,"merge":"lww","assigned":true},{"name":"conflict_written","',
    'type":"timestamp","required":false,"default":null,"max_length":null,"pattern":null,"min":null,"max":',
    'null,"one_of":[],"references":null,"unique":false,"merge":"lww","assigned":true},{"name":"conflict_b',
    'y","type":"text","required":false,"default":null,"max_length":null,"pattern":null,"min":null,"max":n',
    'ull,"one_of":[],"references":null,"unique":false,"merge":"lww","assigned":true},{"name":"conflict_de',
    'vice","type":"uuid","required":false,"default":null,"max_length":null,"pattern":null,"min":null,"max',
    '":null,"one_of":[],"references":null,"unique":false,"merge":"lww","assigned":true},{"name":"conflict',
    '_base","type":"json","required":false,"default":null,"max_length":null,"pattern":null,"min":null,"ma',
    'x":null,"one_of":[],"references":null,"unique":false,"merge":"lww","assigned":true},{"name":"id","ty',
    'pe":"uuid","required":false,"default":null,"max_length":null,"pattern":null,"min":null,"max":null,"o',
    'ne_of":[],"references":null,"unique":false,"merge":"lww","assigned":true},{"name":"owner","type":"te',
    'xt","required":false,"default":null,"max_length":null,"pattern":null,"min":null,"max":null,"one_of":',
    '[],"references":null,"unique":false,"merge":"lww","assigned":true},{"name":"title","type":"text","re',
    'quired":false,"default":null,"max_length":null,"pattern":null,"min":null,"max":null,"one_of":[],"ref',
    'erences":null,"unique":false,"merge":"lww","assigned":true},{"name":"body","type":"text","required":',
    'false,"default":{"value":{"text":""}},"max_length":null,"pattern":null,"min":null,"max":null,"one_of',
    '":[],"references":null,"unique":false,"merge":"lww","assigned":true},{"name":"pinned","type":"boolea',
    'n","required":false,"default":{"value":{"bool":false}},"max_length":null,"pattern":null,"min":null,"',
    'max":null,"one_of":[],"references":null,"unique":false,"merge":"lww","assigned":true},{"name":"publi',
    'c","type":"boolean","required":false,"default":{"value":{"bool":false}},"max_length":null,"pattern":',
    'null,"min":null,"max":null,"one_of":[],"references":null,"unique":false,"merge":"lww","assigned":tru',
    'e},{"name":"mood","type":"text","required":false,"default":null,"max_length":null,"pattern":null,"mi',
    'n":null,"max":null,"one_of":[],"references":null,"unique":false,"merge":"lww","assigned":true},{"nam',
    'e":"rating","type":"float","required":false,"default":null,"max_length":null,"pattern":null,"min":nu',
    'll,"max":null,"one_of":[],"references":null,"unique":false,"merge":"lww","assigned":true},{"name":"b',
    'udget","type":{"decimal":2},"required":false,"default":null,"max_length":null,"pattern":null,"min":n',
    'ull,"max":null,"one_of":[],"references":null,"unique":false,"merge":"lww","assigned":true},{"name":"',
    'place","type":"json","required":false,"default":null,"max_length":null,"pattern":null,"min":null,"ma',
    'x":null,"one_of":[],"references":null,"unique":false,"merge":"lww","assigned":true},{"name":"day","t',
    'ype":"date","required":false,"default":null,"max_length":null,"pattern":null,"min":null,"max":null,"',
    'one_of":[],"references":null,"unique":false,"merge":"lww","assigned":true},{"name":"created","type":',
    '"timestamp","required":false,"default":null,"max_length":null,"pattern":null,"min":null,"max":null,"',
    'one_of":[],"references":null,"unique":false,"merge":"lww","assigned":true},{"name":"tags","type":"js',
    'on","required":false,"default":{"value":{"json":[]}},"max_length":null,"pattern":null,"min":null,"ma',
    'x":null,"one_of":[],"references":null,"unique":false,"merge":"lww","assigned":true},{"name":"positio',
    'n","type":"text","required":false,"default":null,"max_length":null,"pattern":null,"min":null,"max":n',
    'ull,"one_of":[],"references":null,"unique":false,"merge":"lww","assigned":true}],"primary_key":["con',
    'flict_id"],"sync":true,"on_delete_conflict":"update_wins","access":{"read":{"or":[{"compare":{"op":"',
    '=","left":{"column":{"name":"owner","type":"text"}},"right":{"claim":{"name":"sub","type":"text"}}}}',
    ',{"column":{"name":"public","type":"boolean"}}]},"insert":{"literal":{"bool":false}},"update":{"lite',
    'ral":{"bool":false}},"delete":{"compare":{"op":"=","left":{"column":{"name":"owner","type":"text"}},',
    '"right":{"claim":{"name":"sub","type":"text"}}}}},"conflicts_of":{"table":"notes","key":["id"]}},{"n',
    'ame":"notes_versions","columns":[{"name":"version_id","type":"uuid","required":false,"default":"uuid',
    '","max_length":null,"pattern":null,"min":null,"max":null,"one_of":[],"references":null,"unique":fals',
    'e,"merge":"lww"},{"name":"id","type":"uuid","required":true,"default":null,"max_length":null,"patter',
    'n":null,"min":null,"max":null,"one_of":[],"references":{"table":"notes","on_delete":"cascade"},"uniq',
    'ue":false,"merge":"lww"},{"name":"version_name","type":"text","required":false,"default":null,"max_l',
    'ength":200,"pattern":null,"min":null,"max":null,"one_of":[],"references":null,"unique":false,"merge"',
    ':"lww"},{"name":"version_seq","type":"integer","required":false,"default":null,"max_length":null,"pa',
    'ttern":null,"min":null,"max":null,"one_of":[],"references":null,"unique":false,"merge":"lww","assign',
    'ed":true},{"name":"version_at","type":"timestamp","required":false,"default":null,"max_length":null,',
    '"pattern":null,"min":null,"max":null,"one_of":[],"references":null,"unique":false,"merge":"lww","ass',
    'igned":true},{"name":"version_by","type":"text","required":false,"default":null,"max_length":null,"p',
    'attern":null,"min":null,"max":null,"one_of":[],"references":null,"unique":false,"merge":"lww","assig',
    'ned":true},{"name":"owner","type":"text","required":false,"default":null,"max_length":null,"pattern"',
    ':null,"min":null,"max":null,"one_of":[],"references":null,"unique":false,"merge":"lww"},{"name":"tit',
    'le","type":"text","required":false,"default":null,"max_length":null,"pattern":null,"min":null,"max":',
    'null,"one_of":[],"references":null,"unique":false,"merge":"lww"},{"name":"body","type":"text","requi',
    'red":false,"default":{"value":{"text":""}},"max_length":null,"pattern":null,"min":null,"max":null,"o',
    'ne_of":[],"references":null,"unique":false,"merge":"lww"},{"name":"pinned","type":"boolean","require',
    'd":false,"default":{"value":{"bool":false}},"max_length":null,"pattern":null,"min":null,"max":null,"',
    'one_of":[],"references":null,"unique":false,"merge":"lww"},{"name":"public","type":"boolean","requir',
    'ed":false,"default":{"value":{"bool":false}},"max_length":null,"pattern":null,"min":null,"max":null,',
    '"one_of":[],"references":null,"unique":false,"merge":"lww"},{"name":"mood","type":"text","required":',
    'false,"default":null,"max_length":null,"pattern":null,"min":null,"max":null,"one_of":[],"references"',
    ':null,"unique":false,"merge":"lww"},{"name":"rating","type":"float","required":false,"default":null,',
    '"max_length":null,"pattern":null,"min":null,"max":null,"one_of":[],"references":null,"unique":false,',
    '"merge":"lww"},{"name":"budget","type":{"decimal":2},"required":false,"default":null,"max_length":nu',
    'll,"pattern":null,"min":null,"max":null,"one_of":[],"references":null,"unique":false,"merge":"lww"},',
    '{"name":"place","type":"json","required":false,"default":null,"max_length":null,"pattern":null,"min"',
    ':null,"max":null,"one_of":[],"references":null,"unique":false,"merge":"lww"},{"name":"day","type":"d',
    'ate","required":false,"default":null,"max_length":null,"pattern":null,"min":null,"max":null,"one_of"',
    ':[],"references":null,"unique":false,"merge":"lww"},{"name":"created","type":"timestamp","required":',
    'false,"default":null,"max_length":null,"pattern":null,"min":null,"max":null,"one_of":[],"references"',
    ':null,"unique":false,"merge":"lww"},{"name":"tags","type":"json","required":false,"default":{"value"',
    ':{"json":[]}},"max_length":null,"pattern":null,"min":null,"max":null,"one_of":[],"references":null,"',
    'unique":false,"merge":"lww"},{"name":"position","type":"text","required":false,"default":null,"max_l',
    'ength":null,"pattern":null,"min":null,"max":null,"one_of":[],"references":null,"unique":false,"merge',
    '":"lww"}],"primary_key":["version_id"],"sync":true,"on_delete_conflict":"update_wins","access":{"rea',
    'd":{"or":[{"compare":{"op":"=","left":{"column":{"name":"owner","type":"text"}},"right":{"claim":{"n',
    'ame":"sub","type":"text"}}}},{"column":{"name":"public","type":"boolean"}}]},"insert":{"compare":{"o',
    'p":"=","left":{"column":{"name":"owner","type":"text"}},"right":{"claim":{"name":"sub","type":"text"',
    '}}}},"update":{"literal":{"bool":false}},"delete":{"compare":{"op":"=","left":{"column":{"name":"own',
    'er","type":"text"}},"right":{"claim":{"name":"sub","type":"text"}}}}},"versions_of":{"table":"notes"',
    ',"key":"id"}},{"name":"pages_docs","columns":[{"name":"doc_id","type":"uuid","required":false,"defau',
    'lt":"uuid","max_length":null,"pattern":null,"min":null,"max":null,"one_of":[],"references":null,"uni',
    'que":false,"merge":"lww"},{"name":"id","type":"uuid","required":true,"default":null,"max_length":nul',
    'l,"pattern":null,"min":null,"max":null,"one_of":[],"references":{"table":"pages","on_delete":"cascad',
    'e"},"unique":false,"merge":"lww"},{"name":"doc_column","type":"text","required":true,"default":null,',
    '"max_length":null,"pattern":null,"min":null,"max":null,"one_of":[{"text":"body"}],"references":null,',
    '"unique":false,"merge":"lww"},{"name":"doc_update","type":"bytes","required":true,"default":null,"ma',
    'x_length":null,"pattern":null,"min":null,"max":null,"one_of":[],"references":null,"unique":false,"me',
    'rge":"lww"},{"name":"doc_seq","type":"integer","required":false,"default":null,"max_length":null,"pa',
    'ttern":null,"min":null,"max":null,"one_of":[],"references":null,"unique":false,"merge":"lww","assign',
    'ed":true},{"name":"doc_at","type":"timestamp","required":false,"default":null,"max_length":null,"pat',
    'tern":null,"min":null,"max":null,"one_of":[],"references":null,"unique":false,"merge":"lww","assigne',
    'd":true},{"name":"doc_by","type":"text","required":false,"default":null,"max_length":null,"pattern":',
    'null,"min":null,"max":null,"one_of":[],"references":null,"unique":false,"merge":"lww","assigned":tru',
    'e},{"name":"owner","type":"text","required":false,"default":null,"max_length":null,"pattern":null,"m',
    'in":null,"max":null,"one_of":[],"references":null,"unique":false,"merge":"lww","assigned":true},{"na',
    'me":"open","type":"boolean","required":false,"default":null,"max_length":null,"pattern":null,"min":n',
    'ull,"max":null,"one_of":[],"references":null,"unique":false,"merge":"lww","assigned":true}],"primary',
    '_key":["doc_id"],"sync":true,"on_delete_conflict":"update_wins","access":{"read":{"or":[{"compare":{',
    '"op":"=","left":{"column":{"name":"owner","type":"text"}},"right":{"claim":{"name":"sub","type":"tex',
    't"}}}},{"column":{"name":"open","type":"boolean"}}]},"insert":{"or":[{"compare":{"op":"=","left":{"c',
    'olumn":{"name":"owner","type":"text"}},"right":{"claim":{"name":"sub","type":"text"}}}},{"column":{"',
    'name":"open","type":"boolean"}}]},"update":{"literal":{"bool":false}},"delete":{"literal":{"bool":fa',
    'lse}}},"docs_of":{"table":"pages","key":"id"}},{"name":"pages_versions","columns":[{"name":"version_',
    'id","type":"uuid","required":false,"default":"uuid","max_length":null,"pattern":null,"min":null,"max',
    '":null,"one_of":[],"references":null,"unique":false,"merge":"lww"},{"name":"id","type":"uuid","requi',
    'red":true,"default":null,"max_length":null,"pattern":null,"min":null,"max":null,"one_of":[],"referen',
    'ces":{"table":"pages","on_delete":"cascade"},"unique":false,"merge":"lww"},{"name":"version_name","t',
    'ype":"text","required":false,"default":null,"max_length":200,"pattern":null,"min":null,"max":null,"o',
    'ne_of":[],"references":null,"unique":false,"merge":"lww"},{"name":"version_seq","type":"integer","re',
    'quired":false,"default":null,"max_length":null,"pattern":null,"min":null,"max":null,"one_of":[],"ref',
    'erences":null,"unique":false,"merge":"lww","assigned":true},{"name":"version_at","type":"timestamp",',
    '"required":false,"default":null,"max_length":null,"pattern":null,"min":null,"max":null,"one_of":[],"',
    'references":null,"unique":false,"merge":"lww","assigned":true},{"name":"version_by","type":"text","r',
    'equired":false,"default":null,"max_length":null,"pattern":null,"min":null,"max":null,"one_of":[],"re',
    'ferences":null,"unique":false,"merge":"lww","assigned":true},{"name":"owner","type":"text","required',
    '":false,"default":null,"max_length":null,"pattern":null,"min":null,"max":null,"one_of":[],"reference',
    's":null,"unique":false,"merge":"lww"},{"name":"title","type":"text","required":false,"default":null,',
    '"max_length":null,"pattern":null,"min":null,"max":null,"one_of":[],"references":null,"unique":false,',
    '"merge":"lww"},{"name":"open","type":"boolean","required":false,"default":{"value":{"bool":false}},"',
    'max_length":null,"pattern":null,"min":null,"max":null,"one_of":[],"references":null,"unique":false,"',
    'merge":"lww"},{"name":"created","type":"timestamp","required":false,"default":null,"max_length":null',
    ',"pattern":null,"min":null,"max":null,"one_of":[],"references":null,"unique":false,"merge":"lww"},{"',
    'name":"body","type":"bytes","required":false,"default":null,"max_length":null,"pattern":null,"min":n',
    'ull,"max":null,"one_of":[],"references":null,"unique":false,"merge":"lww"}],"primary_key":["version_',
    'id"],"sync":true,"on_delete_conflict":"update_wins","access":{"read":{"or":[{"compare":{"op":"=","le',
    'ft":{"column":{"name":"owner","type":"text"}},"right":{"claim":{"name":"sub","type":"text"}}}},{"col',
    'umn":{"name":"open","type":"boolean"}}]},"insert":{"or":[{"compare":{"op":"=","left":{"column":{"nam',
    'e":"owner","type":"text"}},"right":{"claim":{"name":"sub","type":"text"}}}},{"column":{"name":"open"',
    ',"type":"boolean"}}]},"update":{"literal":{"bool":false}},"delete":{"or":[{"compare":{"op":"=","left',
    '":{"column":{"name":"owner","type":"text"}},"right":{"claim":{"name":"sub","type":"text"}}}},{"colum',
    'n":{"name":"open","type":"boolean"}}]}},"versions_of":{"table":"pages","key":"id"}}],"shapes":[{"nam',
    'e":"my_notes","table":"notes","where":{"compare":{"op":"=","left":{"column":{"name":"owner","type":"',
    'text"}},"right":{"claim":{"name":"sub","type":"text"}}}},"params":[],"columns":null},{"name":"my_con',
    'flicts","table":"notes_conflicts","where":{"compare":{"op":"=","left":{"column":{"name":"owner","typ',
    'e":"text"}},"right":{"claim":{"name":"sub","type":"text"}}}},"params":[],"columns":null},{"name":"no',
    'te_history","table":"notes_history","where":{"and":[{"compare":{"op":"=","left":{"column":{"name":"i',
    'd","type":"uuid"}},"right":{"param":{"name":"note","type":"uuid"}}}},{"compare":{"op":"=","left":{"c',
    'olumn":{"name":"owner","type":"text"}},"right":{"claim":{"name":"sub","type":"text"}}}}]},"params":[',
    '{"name":"note","type":"uuid"}],"columns":null},{"name":"note_versions","table":"notes_versions","whe',
    're":{"and":[{"compare":{"op":"=","left":{"column":{"name":"id","type":"uuid"}},"right":{"param":{"na',
    'me":"note","type":"uuid"}}}},{"compare":{"op":"=","left":{"column":{"name":"owner","type":"text"}},"',
    'right":{"claim":{"name":"sub","type":"text"}}}}]},"params":[{"name":"note","type":"uuid"}],"columns"',
    ':null},{"name":"public_notes","table":"notes","where":{"and":[{"column":{"name":"public","type":"boo',
    'lean"}},{"compare":{"op":"=","left":{"column":{"name":"owner","type":"text"}},"right":{"param":{"nam',
    'e":"owner","type":"text"}}}}]},"params":[{"name":"owner","type":"text"}],"columns":["owner","title",',
    '"body","mood","created"]},{"name":"my_tags","table":"tags","where":{"compare":{"op":"=","left":{"col',
    'umn":{"name":"owner","type":"text"}},"right":{"claim":{"name":"sub","type":"text"}}}},"params":[],"c',
    'olumns":null},{"name":"note_tags","table":"tags","where":{"compare":{"op":"=","left":{"column":{"nam',
    'e":"note_id","type":"uuid"}},"right":{"param":{"name":"note","type":"uuid"}}}},"params":[{"name":"no',
    'te","type":"uuid"}],"columns":null},{"name":"people","table":"people","where":null,"params":[],"colu',
    'mns":["name","handle"]},{"name":"feed","table":"posts","where":{"compare":{"op":"=","left":{"column"',
    ':{"name":"status","type":"text"}},"right":{"literal":{"text":"live"}}}},"params":[],"columns":null},',
    '{"name":"likes","table":"likes","where":null,"params":[],"columns":null},{"name":"posts_by_author","',
    'table":"posts","where":{"compare":{"op":"=","left":{"column":{"name":"author","type":"text"}},"right',
    '":{"param":{"name":"author","type":"text"}}}},"params":[{"name":"author","type":"text"}],"columns":n',
    'ull},{"name":"posts_by_topic","table":"posts","where":{"and":[{"compare":{"op":"=","left":{"column":',
    '{"name":"topic","type":"text"}},"right":{"param":{"name":"topic","type":"text"}}}},{"compare":{"op":',
    '"=","left":{"column":{"name":"status","type":"text"}},"right":{"literal":{"text":"live"}}}},{"compar',
    'e":{"op":">=","left":{"column":{"name":"likes","type":"integer"}},"right":{"param":{"name":"likes","',
    'type":"integer"}}}}]},"params":[{"name":"topic","type":"text"},{"name":"likes","type":"integer"}],"c',
    'olumns":null},{"name":"my_pages","table":"pages","where":{"compare":{"op":"=","left":{"column":{"nam',
    'e":"owner","type":"text"}},"right":{"claim":{"name":"sub","type":"text"}}}},"params":[],"columns":nu',
    'll},{"name":"open_pages","table":"pages","where":{"column":{"name":"open","type":"boolean"}},"params',
    '":[],"columns":null},{"name":"my_page_texts","table":"pages_docs","where":{"compare":{"op":"=","left',
    '":{"column":{"name":"owner","type":"text"}},"right":{"claim":{"name":"sub","type":"text"}}}},"params',
    '":[],"columns":null},{"name":"page_text","table":"pages_docs","where":{"compare":{"op":"=","left":{"',
    'column":{"name":"id","type":"uuid"}},"right":{"param":{"name":"page","type":"uuid"}}}},"params":[{"n',
    'ame":"page","type":"uuid"}],"columns":null},{"name":"page_versions","table":"pages_versions","where"',
    ':{"compare":{"op":"=","left":{"column":{"name":"id","type":"uuid"}},"right":{"param":{"name":"page",',
    '"type":"uuid"}}}},"params":[{"name":"page","type":"uuid"}],"columns":null}]}',
  ].join(""),
};
