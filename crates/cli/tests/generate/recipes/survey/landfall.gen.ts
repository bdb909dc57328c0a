// Made by `landfall generate` from landfall.toml; made anew rather than edited.

import type { Schema } from "@landfall/client";

/** A JSON value. JSON's own `null` as a whole value is NULL. */
export type Json = boolean | number | string | null | readonly Json[] | { readonly [name: string]: Json };

/** A row of `surveys`. */
export interface Surveys {
  /** uuid, key */
  id: string;
  /** text, required */
  title: string;
  /** boolean, required, by default true */
  open: boolean;
  /** integer, filled by the server, null until then */
  taken: number | bigint | null;
}

/** What an insert into `surveys` takes; what may be left out has a default or is NULL. */
export interface SurveysInsert {
  id: string;
  title: string;
  open?: boolean;
}

/** What an update of `surveys` takes; a key never changes. */
export interface SurveysUpdate {
  title?: string;
  open?: boolean;
}

/** The key of a row of `surveys`: its `id`. */
export type SurveysKey = string;

/** A row of `drafts` (on this device only). */
export interface Drafts {
  /** uuid, key, by default a new one */
  id: string;
  /** uuid, required */
  survey: string;
  /** json, required */
  answers: Json;
}

/** What an insert into `drafts` takes; what may be left out has a default or is NULL. */
export interface DraftsInsert {
  id?: string;
  survey: string;
  answers: Json;
}

/** What an update of `drafts` takes; a key never changes. */
export interface DraftsUpdate {
  survey?: string;
  answers?: Json;
}

/** The key of a row of `drafts`: its `id`. */
export type DraftsKey = string;

/** A row of `responses`. */
export interface Responses {
  /** uuid, key */
  id: string;
  /** uuid, required, a row of `surveys`, which then cannot be deleted */
  survey: string;
  /** text, required */
  by: string;
  /** json, required */
  answers: Json;
  /** integer, filled by the server, null until then */
  receipt: number | bigint | null;
}

/** What an insert into `responses` takes; what may be left out has a default or is NULL. */
export interface ResponsesInsert {
  id: string;
  survey: string;
  by: string;
  answers: Json;
}

/** What an update of `responses` takes; a key never changes. */
export interface ResponsesUpdate {
  survey?: string;
  by?: string;
  answers?: Json;
}

/** The key of a row of `responses`: its `id`. */
export type ResponsesKey = string;

/** Each table's row, and what insert, update and key take. */
export interface Tables {
  surveys: { row: Surveys; insert: SurveysInsert; update: SurveysUpdate; key: SurveysKey };
  drafts: { row: Drafts; insert: DraftsInsert; update: DraftsUpdate; key: DraftsKey };
  responses: { row: Responses; insert: ResponsesInsert; update: ResponsesUpdate; key: ResponsesKey };
}

/** What a device can hold: each shape's parameters. */
export interface Shapes {
  /** Rows of `surveys`. */
  all_surveys: Record<string, never>;
  /** Rows of `responses`. */
  my_responses: Record<string, never>;
}

/** What a transaction can ask of the server: each action's arguments. */
export interface Actions {
  submit: {
    /** uuid, required */
    response: string;
  };
}

/** The schema, for `openDatabase`. */
export const schema: Schema<Tables, Shapes, Actions> = {
  name: "survey",
  version: 1,
  tables: {
    surveys: {
      key: ["id"],
      sync: true,
      columns: {
        id: { type: "uuid" },
        title: { type: "text" },
        open: { type: "boolean" },
        taken: { type: "integer", nullable: true, assigned: true },
      },
    },
    drafts: {
      key: ["id"],
      sync: false,
      columns: {
        id: { type: "uuid" },
        survey: { type: "uuid" },
        answers: { type: "json" },
      },
    },
    responses: {
      key: ["id"],
      sync: true,
      columns: {
        id: { type: "uuid" },
        survey: { type: "uuid" },
        by: { type: "text" },
        answers: { type: "json" },
        receipt: { type: "integer", nullable: true, assigned: true },
      },
    },
  },
  shapes: {
    all_surveys: {
      table: "surveys",
      params: {},
    },
    my_responses: {
      table: "responses",
      params: {},
    },
  },
  actions: {
    submit: {
      args: {
        response: { type: "uuid" },
      },
    },
  },
  compiled: [
    '{"name":"survey","version":1,"tables":[{"name":"surveys","columns":[{"name":"id","type":"uuid","requ',
    'ired":true,"default":null,"max_length":null,"pattern":null,"min":null,"max":null,"one_of":[],"refere',
    'nces":null,"unique":false,"merge":"lww"},{"name":"title","type":"text","required":true,"default":nul',
    'l,"max_length":null,"pattern":null,"min":null,"max":null,"one_of":[],"references":null,"unique":fals',
    'e,"merge":"lww"},{"name":"open","type":"boolean","required":true,"default":{"value":{"bool":true}},"',
    'max_length":null,"pattern":null,"min":null,"max":null,"one_of":[],"references":null,"unique":false,"',
    'merge":"lww"},{"name":"taken","type":"integer","required":false,"default":null,"max_length":null,"pa',
    'ttern":null,"min":null,"max":null,"one_of":[],"references":null,"unique":false,"merge":"lww","assign',
    'ed":true}],"primary_key":["id"],"sync":true,"on_delete_conflict":"update_wins","access":{"read":null',
    ',"insert":{"literal":{"bool":false}},"update":{"literal":{"bool":false}},"delete":{"literal":{"bool"',
    ':false}}}},{"name":"drafts","columns":[{"name":"id","type":"uuid","required":true,"default":"uuid","',
    'max_length":null,"pattern":null,"min":null,"max":null,"one_of":[],"references":null,"unique":false,"',
    'merge":"lww"},{"name":"survey","type":"uuid","required":true,"default":null,"max_length":null,"patte',
    'rn":null,"min":null,"max":null,"one_of":[],"references":null,"unique":false,"merge":"lww"},{"name":"',
    'answers","type":"json","required":true,"default":null,"max_length":null,"pattern":null,"min":null,"m',
    'ax":null,"one_of":[],"references":null,"unique":false,"merge":"lww"}],"primary_key":["id"],"sync":fa',
    'lse,"on_delete_conflict":"update_wins","access":{"read":null,"insert":null,"update":null,"delete":nu',
    'll}},{"name":"responses","columns":[{"name":"id","type":"uuid","required":true,"default":null,"max_l',
    'ength":null,"pattern":null,"min":null,"max":null,"one_of":[],"references":null,"unique":false,"merge',
    '":"lww"},{"name":"survey","type":"uuid","required":true,"default":null,"max_length":null,"pattern":n',
    'ull,"min":null,"max":null,"one_of":[],"references":{"table":"surveys","on_delete":"restrict"},"uniqu',
    'e":false,"merge":"lww"},{"name":"by","type":"text","required":true,"default":null,"max_length":null,',
    '"pattern":null,"min":null,"max":null,"one_of":[],"references":null,"unique":false,"merge":"lww"},{"n',
    'ame":"answers","type":"json","required":true,"default":null,"max_length":null,"pattern":null,"min":n',
    'ull,"max":null,"one_of":[],"references":null,"unique":false,"merge":"lww"},{"name":"receipt","type":',
    '"integer","required":false,"default":null,"max_length":null,"pattern":null,"min":null,"max":null,"on',
    'e_of":[],"references":null,"unique":false,"merge":"lww","assigned":true}],"primary_key":["id"],"sync',
    '":true,"on_delete_conflict":"update_wins","access":{"read":{"compare":{"op":"=","left":{"column":{"n',
    'ame":"by","type":"text"}},"right":{"claim":{"name":"sub","type":"text"}}}},"insert":{"compare":{"op"',
    ':"=","left":{"column":{"name":"by","type":"text"}},"right":{"claim":{"name":"sub","type":"text"}}}},',
    '"update":{"literal":{"bool":false}},"delete":{"literal":{"bool":false}}}}],"shapes":[{"name":"all_su',
    'rveys","table":"surveys","where":null,"params":[],"columns":null},{"name":"my_responses","table":"re',
    'sponses","where":null,"params":[],"columns":null}],"actions":[{"name":"submit","sending":{"priority"',
    ':50,"attempts":5,"expires_ms":2592000000},"args":[{"name":"response","type":"uuid","required":true,"',
    'default":null,"max_length":null,"pattern":null,"min":null,"max":null,"one_of":[],"references":null,"',
    'unique":false,"merge":"lww"}]}]}',
  ].join(""),
};
