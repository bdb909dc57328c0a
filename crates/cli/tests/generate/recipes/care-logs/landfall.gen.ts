// Made by `landfall generate` from landfall.toml; made anew rather than edited.

import type { Schema } from "@landfall/client";

/** A row of `patients`. */
export interface Patients {
  /** uuid, key */
  id: string;
  /** text, required */
  name: string;
}

/** What an insert into `patients` takes; what may be left out has a default or is NULL. */
export interface PatientsInsert {
  id: string;
  name: string;
}

/** What an update of `patients` takes; a key never changes. */
export interface PatientsUpdate {
  name?: string;
}

/** The key of a row of `patients`: its `id`. */
export type PatientsKey = string;

/** A row of `doses`. */
export interface Doses {
  /** uuid, key, by default a new one */
  id: string;
  /** uuid, required, a row of `patients`, which then cannot be deleted */
  patient: string;
  /** text, required, at most 200 characters */
  medicine: string;
  /** integer, required, at least 1 */
  micrograms: number | bigint;
  /** timestamp, required, by default now */
  given: string;
  /** text, required */
  by: string;
}

/** What an insert into `doses` takes; what may be left out has a default or is NULL. */
export interface DosesInsert {
  id?: string;
  patient: string;
  medicine: string;
  micrograms: number | bigint;
  given?: string | Date;
  by: string;
}

/** What an update of `doses` takes; a key never changes. */
export interface DosesUpdate {
  patient?: string;
  medicine?: string;
  micrograms?: number | bigint;
  given?: string | Date;
  by?: string;
}

/** The key of a row of `doses`: its `id`. */
export type DosesKey = string;

/** A row of `strikes`. */
export interface Strikes {
  /** uuid, key, a row of `doses`, which then cannot be deleted */
  dose: string;
  /** text, required */
  by: string;
  /** text, required, at most 500 characters */
  why: string;
}

/** What an insert into `strikes` takes; what may be left out has a default or is NULL. */
export interface StrikesInsert {
  dose: string;
  by: string;
  why: string;
}

/** What an update of `strikes` takes; a key never changes. */
export interface StrikesUpdate {
  by?: string;
  why?: string;
}

/** The key of a row of `strikes`: its `dose`. */
export type StrikesKey = string;

/** A row of `notes`. */
export interface Notes {
  /** uuid, key, by default a new one */
  id: string;
  /** text, required */
  text: string;
}

/** What an insert into `notes` takes; what may be left out has a default or is NULL. */
export interface NotesInsert {
  id?: string;
  text: string;
}

/** What an update of `notes` takes; a key never changes. */
export interface NotesUpdate {
  text?: string;
}

/** The key of a row of `notes`: its `id`. */
export type NotesKey = string;

/** Each table's row, and what insert, update and key take. */
export interface Tables {
  patients: { row: Patients; insert: PatientsInsert; update: PatientsUpdate; key: PatientsKey };
  doses: { row: Doses; insert: DosesInsert; update: DosesUpdate; key: DosesKey };
  strikes: { row: Strikes; insert: StrikesInsert; update: StrikesUpdate; key: StrikesKey };
  notes: { row: Notes; insert: NotesInsert; update: NotesUpdate; key: NotesKey };
}

/** What a device can hold: each shape's parameters. */
export interface Shapes {
  /** Rows of `patients`. */
  all_patients: Record<string, never>;
  /** Rows of `doses`. */
  all_doses: Record<string, never>;
  /** Rows of `strikes`. */
  all_strikes: Record<string, never>;
  /** Rows of `notes`. */
  all_notes: Record<string, never>;
}

/** What a transaction can ask of the server: each action's arguments. */
export type Actions = Record<never, object>;

/** The schema, for `openDatabase`. */
export const schema: Schema<Tables, Shapes, Actions> = {
  name: "care",
  version: 1,
  tables: {
    patients: {
      key: ["id"],
      sync: true,
      columns: {
        id: { type: "uuid" },
        name: { type: "text" },
      },
    },
    doses: {
      key: ["id"],
      sync: true,
      columns: {
        id: { type: "uuid" },
        patient: { type: "uuid" },
        medicine: { type: "text" },
        micrograms: { type: "integer" },
        given: { type: "timestamp" },
        by: { type: "text" },
      },
    },
    strikes: {
      key: ["dose"],
      sync: true,
      columns: {
        dose: { type: "uuid" },
        by: { type: "text" },
        why: { type: "text" },
      },
    },
    notes: {
      key: ["id"],
      sync: true,
      columns: {
        id: { type: "uuid" },
        text: { type: "text" },
      },
    },
  },
  shapes: {
    all_patients: {
      table: "patients",
      params: {},
    },
    all_doses: {
      table: "doses",
      params: {},
    },
    all_strikes: {
      table: "strikes",
      params: {},
    },
    all_notes: {
      table: "notes",
      params: {},
    },
  },
  actions: {
  },
  compiled: [
    '{"name":"care","version":1,"tables":[{"name":"patients","columns":[{"name":"id","type":"uuid","requi',
    'red":true,"default":null,"max_length":null,"pattern":null,"min":null,"max":null,"one_of":[],"referen',
    'ces":null,"unique":false,"merge":"lww"},{"name":"name","type":"text","required":true,"default":null,',
    '"max_length":null,"pattern":null,"min":null,"max":null,"one_of":[],"references":null,"unique":false,',
    '"merge":"lww"}],"primary_key":["id"],"sync":true,"on_delete_conflict":"update_wins","access":{"read"',
    ':null,"insert":{"literal":{"bool":false}},"update":{"literal":{"bool":false}},"delete":{"literal":{"',
    'bool":false}}}},{"name":"doses","columns":[{"name":"id","type":"uuid","required":true,"default":"uui',
    'd","max_length":null,"pattern":null,"min":null,"max":null,"one_of":[],"references":null,"unique":fal',
    'se,"merge":"lww"},{"name":"patient","type":"uuid","required":true,"default":null,"max_length":null,"',
    'pattern":null,"min":null,"max":null,"one_of":[],"references":{"table":"patients","on_delete":"restri',
    'ct"},"unique":false,"merge":"lww"},{"name":"medicine","type":"text","required":true,"default":null,"',
    'max_length":200,"pattern":null,"min":null,"max":null,"one_of":[],"references":null,"unique":false,"m',
    'erge":"lww"},{"name":"micrograms","type":"integer","required":true,"default":null,"max_length":null,',
    '"pattern":null,"min":{"int":"1"},"max":null,"one_of":[],"references":null,"unique":false,"merge":"lw',
    'w"},{"name":"given","type":"timestamp","required":true,"default":"now","max_length":null,"pattern":n',
    'ull,"min":null,"max":null,"one_of":[],"references":null,"unique":false,"merge":"lww"},{"name":"by","',
    'type":"text","required":true,"default":null,"max_length":null,"pattern":null,"min":null,"max":null,"',
    'one_of":[],"references":null,"unique":false,"merge":"lww"}],"primary_key":["id"],"sync":true,"on_del',
    'ete_conflict":"update_wins","access":{"read":null,"insert":{"compare":{"op":"=","left":{"column":{"n',
    'ame":"by","type":"text"}},"right":{"claim":{"name":"sub","type":"text"}}}},"update":{"literal":{"boo',
    'l":false}},"delete":{"literal":{"bool":false}}},"sending":{"priority":100,"attempts":5}},{"name":"st',
    'rikes","columns":[{"name":"dose","type":"uuid","required":true,"default":null,"max_length":null,"pat',
    'tern":null,"min":null,"max":null,"one_of":[],"references":{"table":"doses","on_delete":"restrict"},"',
    'unique":false,"merge":"lww"},{"name":"by","type":"text","required":true,"default":null,"max_length":',
    'null,"pattern":null,"min":null,"max":null,"one_of":[],"references":null,"unique":false,"merge":"lww"',
    '},{"name":"why","type":"text","required":true,"default":null,"max_length":500,"pattern":null,"min":n',
    'ull,"max":null,"one_of":[],"references":null,"unique":false,"merge":"lww"}],"primary_key":["dose"],"',
    'sync":true,"on_delete_conflict":"update_wins","access":{"read":null,"insert":{"compare":{"op":"=","l',
    'eft":{"column":{"name":"by","type":"text"}},"right":{"claim":{"name":"sub","type":"text"}}}},"update',
    '":{"literal":{"bool":false}},"delete":{"literal":{"bool":false}}},"sending":{"priority":100,"attempt',
    's":5}},{"name":"notes","columns":[{"name":"id","type":"uuid","required":true,"default":"uuid","max_l',
    'ength":null,"pattern":null,"min":null,"max":null,"one_of":[],"references":null,"unique":false,"merge',
    '":"lww"},{"name":"text","type":"text","required":true,"default":null,"max_length":null,"pattern":nul',
    'l,"min":null,"max":null,"one_of":[],"references":null,"unique":false,"merge":"lww"}],"primary_key":[',
    '"id"],"sync":true,"on_delete_conflict":"update_wins","access":{"read":null,"insert":null,"update":nu',
    'll,"delete":null},"sending":{"priority":10,"attempts":5}}],"shapes":[{"name":"all_patients","table":',
    '"patients","where":null,"params":[],"columns":null},{"name":"all_doses","table":"doses","where":null',
    ',"params":[],"columns":null},{"name":"all_strikes","table":"strikes","where":null,"params":[],"colum',
    'ns":null},{"name":"all_notes","table":"notes","where":null,"params":[],"columns":null}],"outbox":{"m',
    'ax_entries":250000,"max_bytes":256000000,"collapse_ms":0}}',
  ].join(""),
};
