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
  /** text, required, filled by the server, null until then, one of "before", "insert", "update", "delete" */
  change_kind: "before" | "insert" | "update" | "delete";
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

/** Updates in `pages_docs` are never changed. */
export type PagesDocsUpdate = never;

/** The key of a row of `pages_docs`: its `doc_id`. */
export type PagesDocsKey = string;

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
  pages_docs: { row: PagesDocs; insert: PagesDocsInsert; update: PagesDocsUpdate; key: PagesDocsKey };
}

/** What a device can hold: each shape's parameters. */
export interface Shapes {
  /** Rows of `notes`. */
  my_notes: Record<string, never>;
  /** Rows of `notes_conflicts`. */
  my_conflicts: Record<string, never>;
  /** Rows of `notes_history`. */
  note_history: { note: string };
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
}

/** What a transaction can ask of the server: each action's arguments. */
export type Actions = Record<never, object>;

/** The schema, for `openDatabase`. */
export const schema: Schema<Tables, Shapes, Actions> = {
  name: "journal",
  version: 2,
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
  },
  actions: {
  },
  compiled: [
    '{"name":"journal","version":2,"tables":[{"name":"people","columns":[{"name":"subject","type":"text",',
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
    '"text"}}}}},"search":["title","body"],"history":{"keep_ms":31536000000}},{"name":"tags","columns":[{',
    '"name":"note_id","type":"uuid","required":true,"default":null,"max_length":null,"pattern":null,"min"',
    ':null,"max":null,"one_of":[],"references":{"table":"notes","on_delete":"cascade"},"unique":false,"me',
    'rge":"lww"},{"name":"tag","type":"text","required":true,"default":null,"max_length":40,"pattern":"[^',
    '\\\\s#]+","min":null,"max":null,"one_of":[],"references":null,"unique":false,"merge":"lww"},{"name":"o',
    'wner","type":"text","required":true,"default":null,"max_length":200,"pattern":null,"min":null,"max":',
    'null,"one_of":[],"references":null,"unique":false,"merge":"lww"},{"name":"added","type":"timestamp",',
    '"required":false,"default":"now","max_length":null,"pattern":null,"min":null,"max":null,"one_of":[],',
    '"references":null,"unique":false,"merge":"lww"}],"primary_key":["note_id","tag"],"sync":true,"on_del',
    'ete_conflict":"delete_wins","access":{"read":{"compare":{"op":"=","left":{"column":{"name":"owner","',
    'type":"text"}},"right":{"claim":{"name":"sub","type":"text"}}}},"insert":{"compare":{"op":"=","left"',
    ':{"column":{"name":"owner","type":"text"}},"right":{"claim":{"name":"sub","type":"text"}}}},"update"',
    ':{"compare":{"op":"=","left":{"column":{"name":"owner","type":"text"}},"right":{"claim":{"name":"sub',
    '","type":"text"}}}},"delete":{"compare":{"op":"=","left":{"column":{"name":"owner","type":"text"}},"',
    'right":{"claim":{"name":"sub","type":"text"}}}}}},{"name":"posts","columns":[{"name":"id","type":"uu',
    'id","required":true,"default":"uuid","max_length":null,"pattern":null,"min":null,"max":null,"one_of"',
    ':[],"references":null,"unique":false,"merge":"lww"},{"name":"author","type":"text","required":true,"',
    'default":null,"max_length":200,"pattern":null,"min":null,"max":null,"one_of":[],"references":{"table',
    '":"people","on_delete":"cascade"},"unique":false,"merge":"lww"},{"name":"reply_to","type":"uuid","re',
    'quired":false,"default":null,"max_length":null,"pattern":null,"min":null,"max":null,"one_of":[],"ref',
    'erences":{"table":"posts","on_delete":"set_null"},"unique":false,"merge":"lww"},{"name":"title","typ',
    'e":"text","required":true,"default":null,"max_length":200,"pattern":null,"min":null,"max":null,"one_',
    'of":[],"references":null,"unique":false,"merge":"lww"},{"name":"body","type":"text","required":true,',
    '"default":{"value":{"text":""}},"max_length":null,"pattern":null,"min":null,"max":null,"one_of":[],"',
    'references":null,"unique":false,"merge":"lww"},{"name":"topic","type":"text","required":false,"defau',
    'lt":null,"max_length":40,"pattern":null,"min":null,"max":null,"one_of":[],"references":null,"unique"',
    ':false,"merge":"lww"},{"name":"status","type":"text","required":true,"default":{"value":{"text":"dra',
    'ft"}},"max_length":null,"pattern":null,"min":null,"max":null,"one_of":[{"text":"draft"},{"text":"liv',
    'e"}],"references":null,"unique":false,"merge":"lww"},{"name":"likes","type":"integer","required":tru',
    'e,"default":{"value":{"int":"0"}},"max_length":null,"pattern":null,"min":{"int":"0"},"max":null,"one',
    '_of":[],"references":null,"unique":false,"merge":"counter"},{"name":"price","type":{"decimal":2},"re',
    'quired":false,"default":{"value":{"decimal":"0.00"}},"max_length":null,"pattern":null,"min":{"decima',
    'l":"0.00"},"max":{"decimal":"9999.99"},"one_of":[],"references":null,"unique":false,"merge":"lww"},{',
    '"name":"published","type":"timestamp","required":false,"default":null,"max_length":null,"pattern":nu',
    'll,"min":null,"max":null,"one_of":[],"references":null,"unique":false,"merge":"lww"}],"primary_key":',
    '["id"],"sync":true,"on_delete_conflict":"update_wins","access":{"read":{"or":[{"compare":{"op":"=","',
    'left":{"column":{"name":"status","type":"text"}},"right":{"literal":{"text":"live"}}}},{"compare":{"',
    'op":"=","left":{"column":{"name":"author","type":"text"}},"right":{"claim":{"name":"sub","type":"tex',
    't"}}}}]},"insert":{"compare":{"op":"=","left":{"column":{"name":"author","type":"text"}},"right":{"c',
    'laim":{"name":"sub","type":"text"}}}},"update":{"compare":{"op":"=","left":{"column":{"name":"author',
    '","type":"text"}},"right":{"claim":{"name":"sub","type":"text"}}}},"delete":{"compare":{"op":"=","le',
    'ft":{"column":{"name":"author","type":"text"}},"right":{"claim":{"name":"sub","type":"text"}}}}},"se',
    'arch":["title","body"]},{"name":"likes","columns":[{"name":"post","type":"uuid","required":true,"def',
    'ault":null,"max_length":null,"pattern":null,"min":null,"max":null,"one_of":[],"references":{"table":',
    '"posts","on_delete":"cascade"},"unique":false,"merge":"lww"},{"name":"person","type":"text","require',
    'd":true,"default":null,"max_length":200,"pattern":null,"min":null,"max":null,"one_of":[],"references',
    '":null,"unique":false,"merge":"lww"},{"name":"times","type":"integer","required":true,"default":{"va',
    'lue":{"int":"0"}},"max_length":null,"pattern":null,"min":null,"max":null,"one_of":[],"references":nu',
    'll,"unique":false,"merge":"counter"}],"primary_key":["post","person"],"sync":true,"on_delete_conflic',
    't":"update_wins","access":{"read":null,"insert":{"compare":{"op":"=","left":{"column":{"name":"perso',
    'n","type":"text"}},"right":{"claim":{"name":"sub","type":"text"}}}},"update":{"compare":{"op":"=","l',
    'eft":{"column":{"name":"person","type":"text"}},"right":{"claim":{"name":"sub","type":"text"}}}},"de',
    'lete":{"compare":{"op":"=","left":{"column":{"name":"person","type":"text"}},"right":{"claim":{"name',
    '":"sub","type":"text"}}}}}},{"name":"pages","columns":[{"name":"id","type":"uuid","required":true,"d',
    'efault":"uuid","max_length":null,"pattern":null,"min":null,"max":null,"one_of":[],"references":null,',
    '"unique":false,"merge":"lww"},{"name":"owner","type":"text","required":true,"default":null,"max_leng',
    'th":200,"pattern":null,"min":null,"max":null,"one_of":[],"references":null,"unique":false,"merge":"l',
    'ww"},{"name":"title","type":"text","required":true,"default":null,"max_length":200,"pattern":null,"m',
    'in":null,"max":null,"one_of":[],"references":null,"unique":false,"merge":"lww"},{"name":"open","type',
    '":"boolean","required":true,"default":{"value":{"bool":false}},"max_length":null,"pattern":null,"min',
    '":null,"max":null,"one_of":[],"references":null,"unique":false,"merge":"lww"},{"name":"created","typ',
    'e":"timestamp","required":true,"default":"now","max_length":null,"pattern":null,"min":null,"max":nul',
    'l,"one_of":[],"references":null,"unique":false,"merge":"lww"}],"primary_key":["id"],"sync":true,"on_',
    'delete_conflict":"update_wins","access":{"read":{"or":[{"compare":{"op":"=","left":{"column":{"name"',
    ':"owner","type":"text"}},"right":{"claim":{"name":"sub","type":"text"}}}},{"column":{"name":"open","',
    'type":"boolean"}}]},"insert":{"compare":{"op":"=","left":{"column":{"name":"owner","type":"text"}},"',
    'right":{"claim":{"name":"sub","type":"text"}}}},"update":{"or":[{"compare":{"op":"=","left":{"column',
    '":{"name":"owner","type":"text"}},"right":{"claim":{"name":"sub","type":"text"}}}},{"column":{"name"',
    ':"open","type":"boolean"}}]},"delete":{"compare":{"op":"=","left":{"column":{"name":"owner","type":"',
    'text"}},"right":{"claim":{"name":"sub","type":"text"}}}}},"docs":["body"]},{"name":"drafts","columns',
    '":[{"name":"id","type":"uuid","required":true,"default":"uuid","max_length":null,"pattern":null,"min',
    '":null,"max":null,"one_of":[],"references":null,"unique":false,"merge":"lww"},{"name":"text","type":',
    '"text","required":false,"default":{"value":{"text":""}},"max_length":null,"pattern":null,"min":null,',
    '"max":null,"one_of":[],"references":null,"unique":false,"merge":"lww"},{"name":"saved","type":"times',
    'tamp","required":false,"default":"now","max_length":null,"pattern":null,"min":null,"max":null,"one_o',
    'f":[],"references":null,"unique":false,"merge":"lww"}],"primary_key":["id"],"sync":false,"on_delete_',
    'conflict":"update_wins","access":{"read":null,"insert":null,"update":null,"delete":null}},{"name":"n',
    'otes_history","columns":[{"name":"change_id","type":"uuid","required":true,"default":null,"max_lengt',
    'h":null,"pattern":null,"min":null,"max":null,"one_of":[],"references":null,"unique":false,"merge":"l',
    'ww"},{"name":"change_row","type":"uuid","required":true,"default":null,"max_length":null,"pattern":n',
    'ull,"min":null,"max":null,"one_of":[],"references":null,"unique":false,"merge":"lww","assigned":true',
    '},{"name":"change_seq","type":"integer","required":true,"default":null,"max_length":null,"pattern":n',
    'ull,"min":null,"max":null,"one_of":[],"references":null,"unique":false,"merge":"lww","assigned":true',
    '},{"name":"change_at","type":"timestamp","required":false,"default":null,"max_length":null,"pattern"',
    ':null,"min":null,"max":null,"one_of":[],"references":null,"unique":false,"merge":"lww","assigned":tr',
    'ue},{"name":"change_written","type":"timestamp","required":false,"default":null,"max_length":null,"p',
    'attern":null,"min":null,"max":null,"one_of":[],"references":null,"unique":false,"merge":"lww","assig',
    'ned":true},{"name":"change_by","type":"text","required":false,"default":null,"max_length":null,"patt',
    'ern":null,"min":null,"max":null,"one_of":[],"references":null,"unique":false,"merge":"lww","assigned',
    '":true},{"name":"change_device","type":"uuid","required":false,"default":null,"max_length":null,"pat',
    'tern":null,"min":null,"max":null,"one_of":[],"references":null,"unique":false,"merge":"lww","assigne',
    'd":true},{"name":"change_action","type":"text","required":false,"default":null,"max_length":null,"pa',
    'ttern":null,"min":null,"max":null,"one_of":[],"references":null,"unique":false,"merge":"lww","assign',
    'ed":true},{"name":"change_kind","type":"text","required":true,"default":null,"max_length":null,"patt',
    'ern":null,"min":null,"max":null,"one_of":[{"text":"before"},{"text":"insert"},{"text":"update"},{"te',
    'xt":"delete"}],"references":null,"unique":false,"merge":"lww","assigned":true},{"name":"change_colum',
    'ns","type":"json","required":false,"default":null,"max_length":null,"pattern":null,"min":null,"max":',
    'null,"one_of":[],"references":null,"unique":false,"merge":"lww","assigned":true},{"name":"id","type"',
    ':"uuid","required":false,"default":null,"max_length":null,"pattern":null,"min":null,"max":null,"one_',
    'of":[],"references":null,"unique":false,"merge":"lww","assigned":true},{"name":"owner","type":"text"',
    ',"required":false,"default":null,"max_length":null,"pattern":null,"min":null,"max":null,"one_of":[],',
    '"references":null,"unique":false,"merge":"lww","assigned":true},{"name":"title","type":"text","requi',
    'red":false,"default":null,"max_length":null,"pattern":null,"min":null,"max":null,"one_of":[],"refere',
    'nces":null,"unique":false,"merge":"lww","assigned":true},{"name":"body","type":"text","required":fal',
    'se,"default":{"value":{"text":""}},"max_length":null,"pattern":null,"min":null,"max":null,"one_of":[',
    '],"references":null,"unique":false,"merge":"lww","assigned":true},{"name":"pinned","type":"boolean",',
    '"required":false,"default":{"value":{"bool":false}},"max_length":null,"pattern":null,"min":null,"max',
    '":null,"one_of":[],"references":null,"unique":false,"merge":"lww","assigned":true},{"name":"public",',
    '"type":"boolean","required":false,"default":{"value":{"bool":false}},"max_length":null,"pattern":nul',
    'l,"min":null,"max":null,"one_of":[],"references":null,"unique":false,"merge":"lww","assigned":true},',
    '{"name":"mood","type":"text","required":false,"default":null,"max_length":null,"pattern":null,"min":',
    'null,"max":null,"one_of":[],"references":null,"unique":false,"merge":"lww","assigned":true},{"name":',
    '"rating","type":"float","required":false,"default":null,"max_length":null,"pattern":null,"min":null,',
    '"max":null,"one_of":[],"references":null,"unique":false,"merge":"lww","assigned":true},{"name":"budg',
    'et","type":{"decimal":2},"required":false,"default":null,"max_length":null,"pattern":null,"min":null',
    ',"max":null,"one_of":[],"references":null,"unique":false,"merge":"lww","assigned":true},{"name":"pla',
    'ce","type":"json","required":false,"default":null,"max_length":null,"pattern":null,"min":null,"max":',
    'null,"one_of":[],"references":null,"unique":false,"merge":"lww","assigned":true},{"name":"day","type',
    '":"date","required":false,"default":null,"max_length":null,"pattern":null,"min":null,"max":null,"one',
    '_of":[],"references":null,"unique":false,"merge":"lww","assigned":true},{"name":"created","type":"ti',
    'mestamp","required":false,"default":null,"max_length":null,"pattern":null,"min":null,"max":null,"one',
    '_of":[],"references":null,"unique":false,"merge":"lww","assigned":true},{"name":"tags","type":"json"',
    ',"required":false,"default":{"value":{"json":[]}},"max_length":null,"pattern":null,"min":null,"max":',
    'null,"one_of":[],"references":null,"unique":false,"merge":"lww","assigned":true},{"name":"position",',
    '"type":"text","required":false,"default":null,"max_length":null,"pattern":null,"min":null,"max":null',
    ',"one_of":[],"references":null,"unique":false,"merge":"lww","assigned":true}],"primary_key":["change',
    '_id"],"sync":true,"on_delete_conflict":"update_wins","access":{"read":{"or":[{"compare":{"op":"=","l',
    'eft":{"column":{"name":"owner","type":"text"}},"right":{"claim":{"name":"sub","type":"text"}}}},{"co',
    'lumn":{"name":"public","type":"boolean"}}]},"insert":{"literal":{"bool":false}},"update":{"literal":',
    '{"bool":false}},"delete":{"literal":{"bool":false}}},"history_of":{"table":"notes","key":["id"]}},{"',
    'name":"notes_conflicts","columns":[{"name":"conflict_id","type":"uuid","required":true,"default":nul',
    'l,"max_length":null,"pattern":null,"min":null,"max":null,"one_of":[],"references":null,"unique":fals',
    'e,"merge":"lww"},{"name":"conflict_row","type":"uuid","required":true,"default":null,"max_length":nu',
    'll,"pattern":null,"min":null,"max":null,"one_of":[],"references":null,"unique":false,"merge":"lww","',
    'assigned":true},{"name":"conflict_column","type":"text","required":true,"default":null,"max_length":',
    'null,"pattern":null,"min":null,"max":null,"one_of":[],"references":null,"unique":false,"merge":"lww"',
    ',"assigned":true},{"name":"conflict_seq","type":"integer","required":true,"default":null,"max_length',
    '":null,"pattern":null,"min":null,"max":null,"one_of":[],"references":null,"unique":false,"merge":"lw',
    'w","assigned":true},{"name":"conflict_at","type":"timestamp","required":false,"default":null,"max_le',
    'ngth":null,"pattern":null,"min":null,"max":null,"one_of":[],"references":null,"unique":false,"merge"',
    ':"lww","assigned":true},{"name":"conflict_written","type":"timestamp","required":false,"default":nul',
    'l,"max_length":null,"pattern":null,"min":null,"max":null,"one_of":[],"references":null,"unique":fals',
    'e,"merge":"lww","assigned":true},{"name":"conflict_by","type":"text","required":false,"default":null',
    ',"max_length":null,"pattern":null,"min":null,"max":null,"one_of":[],"references":null,"unique":false',
    ',"merge":"lww","assigned":true},{"name":"conflict_device","type":"uuid","required":false,"default":n',
    'ull,"max_length":null,"pattern":null,"min":null,"max":null,"one_of":[],"references":null,"unique":fa',
    'lse,"merge":"lww","assigned":true},{"name":"conflict_base","type":"json","required":false,"default":',
    'null,"max_length":null,"pattern":null,"min":null,"max":null,"one_of":[],"references":null,"unique":f',
    'alse,"merge":"lww","assigned":true},{"name":"id","type":"uuid","required":false,"default":null,"max_',
    'length":null,"pattern":null,"min":null,"max":null,"one_of":[],"references":null,"unique":false,"merg',
    'e":"lww","assigned":true},{"name":"owner","type":"text","required":false,"default":null,"max_length"',
    ':null,"pattern":null,"min":null,"max":null,"one_of":[],"references":null,"unique":false,"merge":"lww',
    '","assigned":true},{"name":"title","type":"text","required":false,"default":null,"max_length":null,"',
    'pattern":null,"min":null,"max":null,"one_of":[],"references":null,"unique":false,"merge":"lww","assi',
    'gned":true},{"name":"body","type":"text","required":false,"default":{"value":{"text":""}},"max_lengt',
    'h":null,"pattern":null,"min":null,"max":null,"one_of":[],"references":null,"unique":false,"merge":"l',
    'ww","assigned":true},{"name":"pinned","type":"boolean","required":false,"default":{"value":{"bool":f',
    'alse}},"max_length":null,"pattern":null,"min":null,"max":null,"one_of":[],"references":null,"unique"',
    ':false,"merge":"lww","assigned":true},{"name":"public","type":"boolean","required":false,"default":{',
    '"value":{"bool":false}},"max_length":null,"pattern":null,"min":null,"max":null,"one_of":[],"referenc',
    'es":null,"unique":false,"merge":"lww","assigned":true},{"name":"mood","type":"text","required":false',
    ',"default":null,"max_length":null,"pattern":null,"min":null,"max":null,"one_of":[],"references":null',
    ',"unique":false,"merge":"lww","assigned":true},{"name":"rating","type":"float","required":false,"def',
    'ault":null,"max_length":null,"pattern":null,"min":null,"max":null,"one_of":[],"references":null,"uni',
    'que":false,"merge":"lww","assigned":true},{"name":"budget","type":{"decimal":2},"required":false,"de',
    'fault":null,"max_length":null,"pattern":null,"min":null,"max":null,"one_of":[],"references":null,"un',
    'ique":false,"merge":"lww","assigned":true},{"name":"place","type":"json","required":false,"default":',
    'null,"max_length":null,"pattern":null,"min":null,"max":null,"one_of":[],"references":null,"unique":f',
    'alse,"merge":"lww","assigned":true},{"name":"day","type":"date","required":false,"default":null,"max',
    '_length":null,"pattern":null,"min":null,"max":null,"one_of":[],"references":null,"unique":false,"mer',
    'ge":"lww","assigned":true},{"name":"created","type":"timestamp","required":false,"default":null,"max',
    '_length":null,"pattern":null,"min":null,"max":null,"one_of":[],"references":null,"unique":false,"mer',
    'ge":"lww","assigned":true},{"name":"tags","type":"json","required":false,"default":{"value":{"json":',
    '[]}},"max_length":null,"pattern":null,"min":null,"max":null,"one_of":[],"references":null,"unique":f',
    'alse,"merge":"lww","assigned":true},{"name":"position","type":"text","required":false,"default":null',
    ',"max_length":null,"pattern":null,"min":null,"max":null,"one_of":[],"references":null,"unique":false',
    ',"merge":"lww","assigned":true}],"primary_key":["conflict_id"],"sync":true,"on_delete_conflict":"upd',
    'ate_wins","access":{"read":{"or":[{"compare":{"op":"=","left":{"column":{"name":"owner","type":"text',
    '"}},"right":{"claim":{"name":"sub","type":"text"}}}},{"column":{"name":"public","type":"boolean"}}]}',
    ',"insert":{"literal":{"bool":false}},"update":{"literal":{"bool":false}},"delete":{"compare":{"op":"',
    '=","left":{"column":{"name":"owner","type":"text"}},"right":{"claim":{"name":"sub","type":"text"}}}}',
    '},"conflicts_of":{"table":"notes","key":["id"]}},{"name":"pages_docs","columns":[{"name":"doc_id","t',
    'ype":"uuid","required":false,"default":"uuid","max_length":null,"pattern":null,"min":null,"max":null',
    ',"one_of":[],"references":null,"unique":false,"merge":"lww"},{"name":"id","type":"uuid","required":t',
    'rue,"default":null,"max_length":null,"pattern":null,"min":null,"max":null,"one_of":[],"references":{',
    '"table":"pages","on_delete":"cascade"},"unique":false,"merge":"lww"},{"name":"doc_column","type":"te',
    'xt","required":true,"default":null,"max_length":null,"pattern":null,"min":null,"max":null,"one_of":[',
    '{"text":"body"}],"references":null,"unique":false,"merge":"lww"},{"name":"doc_update","type":"bytes"',
    ',"required":true,"default":null,"max_length":null,"pattern":null,"min":null,"max":null,"one_of":[],"',
    'references":null,"unique":false,"merge":"lww"},{"name":"doc_seq","type":"integer","required":false,"',
    'default":null,"max_length":null,"pattern":null,"min":null,"max":null,"one_of":[],"references":null,"',
    'unique":false,"merge":"lww","assigned":true},{"name":"doc_at","type":"timestamp","required":false,"d',
    'efault":null,"max_length":null,"pattern":null,"min":null,"max":null,"one_of":[],"references":null,"u',
    'nique":false,"merge":"lww","assigned":true},{"name":"doc_by","type":"text","required":false,"default',
    '":null,"max_length":null,"pattern":null,"min":null,"max":null,"one_of":[],"references":null,"unique"',
    ':false,"merge":"lww","assigned":true},{"name":"owner","type":"text","required":false,"default":null,',
    '"max_length":null,"pattern":null,"min":null,"max":null,"one_of":[],"references":null,"unique":false,',
    '"merge":"lww","assigned":true},{"name":"open","type":"boolean","required":false,"default":null,"max_',
    'length":null,"pattern":null,"min":null,"max":null,"one_of":[],"references":null,"unique":false,"merg',
    'e":"lww","assigned":true}],"primary_key":["doc_id"],"sync":true,"on_delete_conflict":"update_wins","',
    'access":{"read":{"or":[{"compare":{"op":"=","left":{"column":{"name":"owner","type":"text"}},"right"',
    ':{"claim":{"name":"sub","type":"text"}}}},{"column":{"name":"open","type":"boolean"}}]},"insert":{"o',
    'r":[{"compare":{"op":"=","left":{"column":{"name":"owner","type":"text"}},"right":{"claim":{"name":"',
    'sub","type":"text"}}}},{"column":{"name":"open","type":"boolean"}}]},"update":{"literal":{"bool":fal',
    'se}},"delete":{"literal":{"bool":false}}},"docs_of":{"table":"pages","key":"id"}}],"shapes":[{"name"',
    ':"my_notes","table":"notes","where":{"compare":{"op":"=","left":{"column":{"name":"owner","type":"te',
    'xt"}},"right":{"claim":{"name":"sub","type":"text"}}}},"params":[],"columns":null},{"name":"my_confl',
    'icts","table":"notes_conflicts","where":{"compare":{"op":"=","left":{"column":{"name":"owner","type"',
    ':"text"}},"right":{"claim":{"name":"sub","type":"text"}}}},"params":[],"columns":null},{"name":"note',
    '_history","table":"notes_history","where":{"and":[{"compare":{"op":"=","left":{"column":{"name":"id"',
    ',"type":"uuid"}},"right":{"param":{"name":"note","type":"uuid"}}}},{"compare":{"op":"=","left":{"col',
    'umn":{"name":"owner","type":"text"}},"right":{"claim":{"name":"sub","type":"text"}}}}]},"params":[{"',
    'name":"note","type":"uuid"}],"columns":null},{"name":"public_notes","table":"notes","where":{"and":[',
    '{"column":{"name":"public","type":"boolean"}},{"compare":{"op":"=","left":{"column":{"name":"owner",',
    '"type":"text"}},"right":{"param":{"name":"owner","type":"text"}}}}]},"params":[{"name":"owner","type',
    '":"text"}],"columns":["owner","title","body","mood","created"]},{"name":"my_tags","table":"tags","wh',
    'ere":{"compare":{"op":"=","left":{"column":{"name":"owner","type":"text"}},"right":{"claim":{"name":',
    '"sub","type":"text"}}}},"params":[],"columns":null},{"name":"note_tags","table":"tags","where":{"com',
    'pare":{"op":"=","left":{"column":{"name":"note_id","type":"uuid"}},"right":{"param":{"name":"note","',
    'type":"uuid"}}}},"params":[{"name":"note","type":"uuid"}],"columns":null},{"name":"people","table":"',
    'people","where":null,"params":[],"columns":["name","handle"]},{"name":"feed","table":"posts","where"',
    ':{"compare":{"op":"=","left":{"column":{"name":"status","type":"text"}},"right":{"literal":{"text":"',
    'live"}}}},"params":[],"columns":null},{"name":"likes","table":"likes","where":null,"params":[],"colu',
    'mns":null},{"name":"posts_by_author","table":"posts","where":{"compare":{"op":"=","left":{"column":{',
    '"name":"author","type":"text"}},"right":{"param":{"name":"author","type":"text"}}}},"params":[{"name',
    '":"author","type":"text"}],"columns":null},{"name":"posts_by_topic","table":"posts","where":{"and":[',
    '{"compare":{"op":"=","left":{"column":{"name":"topic","type":"text"}},"right":{"param":{"name":"topi',
    'c","type":"text"}}}},{"compare":{"op":"=","left":{"column":{"name":"status","type":"text"}},"right":',
    '{"literal":{"text":"live"}}}},{"compare":{"op":">=","left":{"column":{"name":"likes","type":"integer',
    '"}},"right":{"param":{"name":"likes","type":"integer"}}}}]},"params":[{"name":"topic","type":"text"}',
    ',{"name":"likes","type":"integer"}],"columns":null},{"name":"my_pages","table":"pages","where":{"com',
    'pare":{"op":"=","left":{"column":{"name":"owner","type":"text"}},"right":{"claim":{"name":"sub","typ',
    'e":"text"}}}},"params":[],"columns":null},{"name":"open_pages","table":"pages","where":{"column":{"n',
    'ame":"open","type":"boolean"}},"params":[],"columns":null},{"name":"my_page_texts","table":"pages_do',
    'cs","where":{"compare":{"op":"=","left":{"column":{"name":"owner","type":"text"}},"right":{"claim":{',
    '"name":"sub","type":"text"}}}},"params":[],"columns":null},{"name":"page_text","table":"pages_docs",',
    '"where":{"compare":{"op":"=","left":{"column":{"name":"id","type":"uuid"}},"right":{"param":{"name":',
    '"page","type":"uuid"}}}},"params":[{"name":"page","type":"uuid"}],"columns":null}]}',
  ].join(""),
};
