// Made by `landfall generate` from landfall.toml; made anew rather than edited.

import type { Schema } from "@landfall/client";

/** A row of `documents`. */
export interface Documents {
  /** uuid, key, by default a new one */
  id: string;
  /** text, required, at most 200 characters */
  title: string;
}

/** What an insert into `documents` takes; what may be left out has a default or is NULL. */
export interface DocumentsInsert {
  id?: string;
  title: string;
}

/** What an update of `documents` takes; a key never changes. */
export interface DocumentsUpdate {
  title?: string;
}

/** The key of a row of `documents`: its `id`. */
export type DocumentsKey = string;

/** A row of `paragraphs`. */
export interface Paragraphs {
  /** uuid, key, by default a new one */
  id: string;
  /** uuid, required, a row of `documents`, deleted with it */
  document: string;
  /** text, required, at most 300 characters */
  rank: string;
  /** text, required, at most 100000 characters, by default "" */
  text: string;
}

/** What an insert into `paragraphs` takes; what may be left out has a default or is NULL. */
export interface ParagraphsInsert {
  id?: string;
  document: string;
  rank: string;
  text?: string;
}

/** What an update of `paragraphs` takes; a key never changes. */
export interface ParagraphsUpdate {
  document?: string;
  rank?: string;
  text?: string;
}

/** The key of a row of `paragraphs`: its `id`. */
export type ParagraphsKey = string;

/** A row of `kept` (on this device only). */
export interface Kept {
  /** uuid, key */
  paragraph: string;
  /** text, required */
  text: string;
}

/** What an insert into `kept` takes; what may be left out has a default or is NULL. */
export interface KeptInsert {
  paragraph: string;
  text: string;
}

/** What an update of `kept` takes; a key never changes. */
export interface KeptUpdate {
  text?: string;
}

/** The key of a row of `kept`: its `paragraph`. */
export type KeptKey = string;

/** Each table's row, and what insert, update and key take. */
export interface Tables {
  documents: { row: Documents; insert: DocumentsInsert; update: DocumentsUpdate; key: DocumentsKey };
  paragraphs: { row: Paragraphs; insert: ParagraphsInsert; update: ParagraphsUpdate; key: ParagraphsKey };
  kept: { row: Kept; insert: KeptInsert; update: KeptUpdate; key: KeptKey };
}

/** What a device can hold: each shape's parameters. */
export interface Shapes {
  /** Rows of `documents`. */
  all_documents: Record<string, never>;
  /** Rows of `paragraphs`. */
  document: { document: string };
}

/** What a transaction can ask of the server: each action's arguments. */
export type Actions = Record<never, object>;

/** The schema, for `openDatabase`. */
export const schema: Schema<Tables, Shapes, Actions> = {
  name: "writer",
  version: 1,
  tables: {
    documents: {
      key: ["id"],
      sync: true,
      columns: {
        id: { type: "uuid" },
        title: { type: "text" },
      },
    },
    paragraphs: {
      key: ["id"],
      sync: true,
      columns: {
        id: { type: "uuid" },
        document: { type: "uuid" },
        rank: { type: "text" },
        text: { type: "text" },
      },
    },
    kept: {
      key: ["paragraph"],
      sync: false,
      columns: {
        paragraph: { type: "uuid" },
        text: { type: "text" },
      },
    },
  },
  shapes: {
    all_documents: {
      table: "documents",
      params: {},
    },
    document: {
      table: "paragraphs",
      params: {
        document: { type: "uuid" },
      },
    },
  },
  actions: {
  },
  compiled: [
    '{"name":"writer","version":1,"tables":[{"name":"documents","columns":[{"name":"id","type":"uuid","re',
    'quired":true,"default":"uuid","max_length":null,"pattern":null,"min":null,"max":null,"one_of":[],"re',
    'ferences":null,"unique":false,"merge":"lww"},{"name":"title","type":"text","required":true,"default"',
    ':null,"max_length":200,"pattern":null,"min":null,"max":null,"one_of":[],"references":null,"unique":f',
    'alse,"merge":"lww"}],"primary_key":["id"],"sync":true,"on_delete_conflict":"update_wins","access":{"',
    'read":null,"insert":null,"update":null,"delete":null}},{"name":"paragraphs","columns":[{"name":"id",',
    '"type":"uuid","required":true,"default":"uuid","max_length":null,"pattern":null,"min":null,"max":nul',
    'l,"one_of":[],"references":null,"unique":false,"merge":"lww"},{"name":"document","type":"uuid","requ',
    'ired":true,"default":null,"max_length":null,"pattern":null,"min":null,"max":null,"one_of":[],"refere',
    'nces":{"table":"documents","on_delete":"cascade"},"unique":false,"merge":"lww"},{"name":"rank","type',
    '":"text","required":true,"default":null,"max_length":300,"pattern":null,"min":null,"max":null,"one_o',
    'f":[],"references":null,"unique":false,"merge":"lww"},{"name":"text","type":"text","required":true,"',
    'default":{"value":{"text":""}},"max_length":100000,"pattern":null,"min":null,"max":null,"one_of":[],',
    '"references":null,"unique":false,"merge":"lww"}],"primary_key":["id"],"sync":true,"on_delete_conflic',
    't":"update_wins","access":{"read":null,"insert":null,"update":null,"delete":null},"sending":{"priori',
    'ty":20,"attempts":5},"search":["text"]},{"name":"kept","columns":[{"name":"paragraph","type":"uuid",',
    '"required":true,"default":null,"max_length":null,"pattern":null,"min":null,"max":null,"one_of":[],"r',
    'eferences":null,"unique":false,"merge":"lww"},{"name":"text","type":"text","required":true,"default"',
    ':null,"max_length":null,"pattern":null,"min":null,"max":null,"one_of":[],"references":null,"unique":',
    'false,"merge":"lww"}],"primary_key":["paragraph"],"sync":false,"on_delete_conflict":"update_wins","a',
    'ccess":{"read":null,"insert":null,"update":null,"delete":null}}],"shapes":[{"name":"all_documents","',
    'table":"documents","where":null,"params":[],"columns":null},{"name":"document","table":"paragraphs",',
    '"where":{"compare":{"op":"=","left":{"column":{"name":"document","type":"uuid"}},"right":{"param":{"',
    'name":"document","type":"uuid"}}}},"params":[{"name":"document","type":"uuid"}],"columns":null}],"ou',
    'tbox":{"max_entries":250000,"max_bytes":2000000,"collapse_ms":10000}}',
  ].join(""),
};
