// Made by `landfall generate` from landfall.toml; made anew rather than edited.

import type { Schema } from "@landfall/client";

/** A JSON value. JSON's own `null` as a whole value is NULL. */
export type Json = boolean | number | string | null | readonly Json[] | { readonly [name: string]: Json };

/** A row of `things`. */
export interface Things {
  /** uuid, key, by default a new one */
  id: string;
  /** text, required, at most 80 characters */
  label: string;
  /** text, matches `[a-z]*\/[a-z]*`, unique */
  slug: string | null;
  /** text, required, one of "new", "half \"done\"", "done", by default "new" */
  state: "new" | "half \"done\"" | "done";
  /** integer, required, 0 to "9007199254740993", by default 0 */
  count: number | bigint;
  /** integer, one of 1, 2, "9007199254740993" */
  size: 1 | 2 | 9007199254740993n | null;
  /** float, one of 0.5, 1.0 */
  ratio: 0.5 | 1.0 | null;
  /** decimal(2), at least "0.00", by default "1.50" */
  price: string | null;
  /** boolean, required, by default false */
  flag: boolean;
  /** timestamp, required, at least "2000-01-01T00:00:00Z", by default now */
  at: string;
  /** date, one of "2026-01-01", "2026-12-31" */
  day: "2026-01-01" | "2026-12-31" | null;
  /** json, by default {"a":[1,2]} */
  extra: Json | null;
  /** bytes, at most 64 bytes */
  cover: Uint8Array | null;
  /** integer, required, by default 0 */
  likes: number | bigint;
  /** json, required, by default [] */
  words: readonly (string | number | boolean)[];
  /** json, required, by default {} */
  traits: { readonly [name: string]: Json };
  /** text */
  place: string | null;
  /** text, required, at most 2000 characters, by default "" */
  essay: string;
  /** text, required, at most 200 characters, by default "" */
  caption: string;
  /** text */
  choice: string | null;
  /** uuid, a row of `things`, null when that is deleted */
  parent: string | null;
  /** text */
  __proto__: string | null;
  /** integer, filled by the server, null until then */
  serial: number | bigint | null;
}

/** What an insert into `things` takes; what may be left out has a default or is NULL. */
export interface ThingsInsert {
  id?: string;
  label: string;
  slug?: string | null;
  state?: "new" | "half \"done\"" | "done";
  count?: number | bigint;
  size?: 1 | 2 | 9007199254740993n | null;
  ratio?: 0.5 | 1.0 | null;
  price?: string | null;
  flag?: boolean;
  at?: string | Date;
  day?: "2026-01-01" | "2026-12-31" | null;
  extra?: Json | null;
  cover?: Uint8Array | null;
  likes?: number | bigint;
  words?: readonly (string | number | boolean)[];
  traits?: { readonly [name: string]: Json };
  place?: string | null;
  essay?: string;
  caption?: string;
  choice?: string | null;
  parent?: string | null;
  __proto__?: string | null;
}

/** What an update of `things` takes; a key never changes. */
export interface ThingsUpdate {
  label?: string;
  slug?: string | null;
  state?: "new" | "half \"done\"" | "done";
  count?: number | bigint;
  size?: 1 | 2 | 9007199254740993n | null;
  ratio?: 0.5 | 1.0 | null;
  price?: string | null;
  flag?: boolean;
  at?: string | Date;
  day?: "2026-01-01" | "2026-12-31" | null;
  extra?: Json | null;
  cover?: Uint8Array | null;
  likes?: number | bigint;
  words?: readonly (string | number | boolean)[];
  traits?: { readonly [name: string]: Json };
  place?: string | null;
  essay?: string;
  caption?: string;
  choice?: string | null;
  parent?: string | null;
  __proto__?: string | null;
}

/** The key of a row of `things`: its `id`. */
export type ThingsKey = string;

/** A row of `date`. */
export interface DateTable {
  /** uuid, key, a row of `things`, deleted with it */
  thing: string;
  /** integer, key */
  number: number | bigint;
}

/** What an insert into `date` takes; what may be left out has a default or is NULL. */
export interface DateTableInsert {
  thing: string;
  number: number | bigint;
}

/** What an update of `date` takes; a key never changes. */
export type DateTableUpdate = { readonly [column: string]: never };

/** The key of a row of `date`. */
export interface DateTableKey {
  thing: string;
  number: number | bigint;
}

/** A row of `scratch_pad` (on this device only). */
export interface ScratchPad {
  /** uuid, key, by default a new one */
  id: string;
  /** text, required */
  text: string;
}

/** What an insert into `scratch_pad` takes; what may be left out has a default or is NULL. */
export interface ScratchPadInsert {
  id?: string;
  text: string;
}

/** What an update of `scratch_pad` takes; a key never changes. */
export interface ScratchPadUpdate {
  text?: string;
}

/** The key of a row of `scratch_pad`: its `id`. */
export type ScratchPadKey = string;

/** A value that could not be merged, in the row as it was, and about it. */
export interface ThingsConflicts {
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
  label: string | null;
  /** text, filled by the server, null until then */
  slug: string | null;
  /** text, filled by the server, null until then, by default "new" */
  state: string | null;
  /** integer, filled by the server, null until then, by default 0 */
  count: number | bigint | null;
  /** integer, filled by the server, null until then */
  size: number | bigint | null;
  /** float, filled by the server, null until then */
  ratio: number | null;
  /** decimal(2), filled by the server, null until then, by default "1.50" */
  price: string | null;
  /** boolean, filled by the server, null until then, by default false */
  flag: boolean | null;
  /** timestamp, filled by the server, null until then */
  at: string | null;
  /** date, filled by the server, null until then */
  day: string | null;
  /** json, filled by the server, null until then, by default {"a":[1,2]} */
  extra: Json | null;
  /** bytes, filled by the server, null until then */
  cover: Uint8Array | null;
  /** integer, filled by the server, null until then, by default 0 */
  likes: number | bigint | null;
  /** json, filled by the server, null until then, by default [] */
  words: Json | null;
  /** json, filled by the server, null until then, by default {} */
  traits: Json | null;
  /** text, filled by the server, null until then */
  place: string | null;
  /** text, filled by the server, null until then, by default "" */
  essay: string | null;
  /** text, filled by the server, null until then, by default "" */
  caption: string | null;
  /** text, filled by the server, null until then */
  choice: string | null;
  /** uuid, filled by the server, null until then */
  parent: string | null;
  /** text, filled by the server, null until then */
  __proto__: string | null;
  /** integer, filled by the server, null until then */
  serial: number | bigint | null;
}

/** Only the server writes `things_conflicts`. */
export type ThingsConflictsInsert = never;
export type ThingsConflictsUpdate = never;

/** The key of a row of `things_conflicts`: its `conflict_id`. */
export type ThingsConflictsKey = string;

/** Each table's row, and what insert, update and key take. */
export interface Tables {
  things: {
    row: Things;
    insert: ThingsInsert;
    update: ThingsUpdate;
    key: ThingsKey;
    counter: "likes";
    set: "words";
    map: "traits";
    list: "place";
  };
  date: { row: DateTable; insert: DateTableInsert; update: DateTableUpdate; key: DateTableKey };
  scratch_pad: { row: ScratchPad; insert: ScratchPadInsert; update: ScratchPadUpdate; key: ScratchPadKey };
  things_conflicts: {
    row: ThingsConflicts;
    insert: ThingsConflictsInsert;
    update: ThingsConflictsUpdate;
    key: ThingsConflictsKey;
  };
}

/** What a device can hold: each shape's parameters. */
export interface Shapes {
  /** Rows of `things`. */
  all: Record<string, never>;
  /** Rows of `things`: label, at, and the key. */
  some: { label: string; since: string | Date; below: string; day: string; flag: boolean; ratio: number };
  /** Rows of `things`. */
  counted: { count: number | bigint };
}

/** What a transaction can ask of the server: each action's arguments. */
export interface Actions {
  order: {
    /** uuid, required, a row of `things` */
    thing: string;
    /** integer, required, 1 to "9007199254740993" */
    count: number | bigint;
    /** text, one of "new", "half \"done\"", "done" */
    state?: "new" | "half \"done\"" | "done" | null;
    /** decimal(2) */
    price?: string | null;
    /** json */
    extra?: Json | null;
  };
  close: Record<string, never>;
}

/** The schema, for `openDatabase`. */
export const schema: Schema<Tables, Shapes, Actions> = {
  name: "everything",
  version: 3,
  tables: {
    things: {
      key: ["id"],
      sync: true,
      columns: {
        id: { type: "uuid" },
        label: { type: "text" },
        slug: { type: "text", nullable: true },
        state: { type: "text" },
        count: { type: "integer" },
        size: { type: "integer", nullable: true },
        ratio: { type: "float", nullable: true },
        price: { type: "decimal", scale: 2, nullable: true },
        flag: { type: "boolean" },
        at: { type: "timestamp" },
        day: { type: "date", nullable: true },
        extra: { type: "json", nullable: true },
        cover: { type: "bytes", nullable: true },
        likes: { type: "integer" },
        words: { type: "json" },
        traits: { type: "json" },
        place: { type: "text", nullable: true },
        essay: { type: "text" },
        caption: { type: "text" },
        choice: { type: "text", nullable: true },
        parent: { type: "uuid", nullable: true },
        ["__proto__"]: { type: "text", nullable: true },
        serial: { type: "integer", nullable: true, assigned: true },
      },
    },
    date: {
      key: ["thing", "number"],
      sync: true,
      columns: {
        thing: { type: "uuid" },
        number: { type: "integer" },
      },
    },
    scratch_pad: {
      key: ["id"],
      sync: false,
      columns: {
        id: { type: "uuid" },
        text: { type: "text" },
      },
    },
    things_conflicts: {
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
        label: { type: "text", nullable: true, assigned: true },
        slug: { type: "text", nullable: true, assigned: true },
        state: { type: "text", nullable: true, assigned: true },
        count: { type: "integer", nullable: true, assigned: true },
        size: { type: "integer", nullable: true, assigned: true },
        ratio: { type: "float", nullable: true, assigned: true },
        price: { type: "decimal", scale: 2, nullable: true, assigned: true },
        flag: { type: "boolean", nullable: true, assigned: true },
        at: { type: "timestamp", nullable: true, assigned: true },
        day: { type: "date", nullable: true, assigned: true },
        extra: { type: "json", nullable: true, assigned: true },
        cover: { type: "bytes", nullable: true, assigned: true },
        likes: { type: "integer", nullable: true, assigned: true },
        words: { type: "json", nullable: true, assigned: true },
        traits: { type: "json", nullable: true, assigned: true },
        place: { type: "text", nullable: true, assigned: true },
        essay: { type: "text", nullable: true, assigned: true },
        caption: { type: "text", nullable: true, assigned: true },
        choice: { type: "text", nullable: true, assigned: true },
        parent: { type: "uuid", nullable: true, assigned: true },
        ["__proto__"]: { type: "text", nullable: true, assigned: true },
        serial: { type: "integer", nullable: true, assigned: true },
      },
    },
  },
  shapes: {
    all: {
      table: "things",
      params: {},
    },
    some: {
      table: "things",
      params: {
        label: { type: "text" },
        since: { type: "timestamp" },
        below: { type: "decimal", scale: 2 },
        day: { type: "date" },
        flag: { type: "boolean" },
        ratio: { type: "float" },
      },
    },
    counted: {
      table: "things",
      params: {
        count: { type: "integer" },
      },
    },
  },
  actions: {
    order: {
      args: {
        thing: { type: "uuid" },
        count: { type: "integer" },
        state: { type: "text", nullable: true },
        price: { type: "decimal", scale: 2, nullable: true },
        extra: { type: "json", nullable: true },
      },
    },
    close: {
      args: {},
    },
  },
  compiled: [
    '{"name":"everything","version":3,"tables":[{"name":"things","columns":[{"name":"id","type":"uuid","r',
    'equired":true,"default":"uuid","max_length":null,"pattern":null,"min":null,"max":null,"one_of":[],"r',
    'eferences":null,"unique":false,"merge":"lww"},{"name":"label","type":"text","required":true,"default',
    '":null,"max_length":80,"pattern":null,"min":null,"max":null,"one_of":[],"references":null,"unique":f',
    'alse,"merge":"lww"},{"name":"slug","type":"text","required":false,"default":null,"max_length":null,"',
    'pattern":"[a-z]*/[a-z]*","min":null,"max":null,"one_of":[],"references":null,"unique":true,"merge":"',
    'lww"},{"name":"state","type":"text","required":true,"default":{"value":{"text":"new"}},"max_length":',
    'null,"pattern":null,"min":null,"max":null,"one_of":[{"text":"new"},{"text":"half \\"done\\""},{"text":',
    '"done"}],"references":null,"unique":false,"merge":"lww"},{"name":"count","type":"integer","required"',
    ':true,"default":{"value":{"int":"0"}},"max_length":null,"pattern":null,"min":{"int":"0"},"max":{"int',
    '":"9007199254740993"},"one_of":[],"references":null,"unique":false,"merge":"lww"},{"name":"size","ty',
    'pe":"integer","required":false,"default":null,"max_length":null,"pattern":null,"min":null,"max":null',
    ',"one_of":[{"int":"1"},{"int":"2"},{"int":"9007199254740993"}],"references":null,"unique":false,"mer',
    'ge":"lww"},{"name":"ratio","type":"float","required":false,"default":null,"max_length":null,"pattern',
    '":null,"min":null,"max":null,"one_of":[{"float":0.5},{"float":1.0}],"references":null,"unique":false',
    ',"merge":"lww"},{"name":"price","type":{"decimal":2},"required":false,"default":{"value":{"decimal":',
    '"1.50"}},"max_length":null,"pattern":null,"min":{"decimal":"0.00"},"max":null,"one_of":[],"reference',
    's":null,"unique":false,"merge":"lww"},{"name":"flag","type":"boolean","required":true,"default":{"va',
    'lue":{"bool":false}},"max_length":null,"pattern":null,"min":null,"max":null,"one_of":[],"references"',
    ':null,"unique":false,"merge":"lww"},{"name":"at","type":"timestamp","required":true,"default":"now",',
    '"max_length":null,"pattern":null,"min":{"timestamp":"2000-01-01T00:00:00Z"},"max":null,"one_of":[],"',
    'references":null,"unique":false,"merge":"lww"},{"name":"day","type":"date","required":false,"default',
    '":null,"max_length":null,"pattern":null,"min":null,"max":null,"one_of":[{"date":"2026-01-01"},{"date',
    '":"2026-12-31"}],"references":null,"unique":false,"merge":"lww"},{"name":"extra","type":"json","requ',
    'ired":false,"default":{"value":{"json":{"a":[1,2]}}},"max_length":null,"pattern":null,"min":null,"ma',
    'x":null,"one_of":[],"references":null,"unique":false,"merge":"lww"},{"name":"cover","type":"bytes","',
    'required":false,"default":null,"max_length":64,"pattern":null,"min":null,"max":null,"one_of":[],"ref',
    'erences":null,"unique":false,"merge":"lww"},{"name":"likes","type":"integer","required":true,"defaul',
    't":{"value":{"int":"0"}},"max_length":null,"pattern":null,"min":null,"max":null,"one_of":[],"referen',
    'ces":null,"unique":false,"merge":"counter"},{"name":"words","type":"json","required":true,"default":',
    '{"value":{"json":[]}},"max_length":null,"pattern":null,"min":null,"max":null,"one_of":[],"references',
    '":null,"unique":false,"merge":"set"},{"name":"traits","type":"json","required":true,"default":{"valu',
    'e":{"json":{}}},"max_length":null,"pattern":null,"min":null,"max":null,"one_of":[],"references":null',
    ',"unique":false,"merge":"map"},{"name":"place","type":"text","required":false,"default":null,"max_le',
    'ngth":null,"pattern":null,"min":null,"max":null,"one_of":[],"references":null,"unique":false,"merge"',
    ':"list"},{"name":"essay","type":"text","required":true,"default":{"value":{"text":""}},"max_length":',
    '2000,"pattern":null,"min":null,"max":null,"one_of":[],"references":null,"unique":false,"merge":"text',
    '"},{"name":"caption","type":"text","required":true,"default":{"value":{"text":""}},"max_length":200,',
    '"pattern":null,"min":null,"max":null,"one_of":[],"references":null,"unique":false,"merge":"ot"},{"na',
    'me":"choice","type":"text","required":false,"default":null,"max_length":null,"pattern":null,"min":nu',
    'll,"max":null,"one_of":[],"references":null,"unique":false,"merge":"manual"},{"name":"parent","type"',
    ':"uuid","required":false,"default":null,"max_length":null,"pattern":null,"min":null,"max":null,"one_',
    'of":[],"references":{"table":"things","on_delete":"set_null"},"unique":false,"merge":"lww"},{"name":',
    '"__proto__","type":"text","required":false,"default":null,"max_length":null,"pattern":null,"min":nul',
    'l,"max":null,"one_of":[],"references":null,"unique":false,"merge":"lww"},{"name":"serial","type":"in',
    'teger","required":false,"default":null,"max_length":null,"pattern":null,"min":null,"max":null,"one_o',
    'f":[],"references":null,"unique":false,"merge":"lww","assigned":true}],"primary_key":["id"],"sync":t',
    'rue,"on_delete_conflict":"update_wins","access":{"read":null,"insert":null,"update":null,"delete":nu',
    'll},"search":["label"]},{"name":"date","columns":[{"name":"thing","type":"uuid","required":true,"def',
    'ault":null,"max_length":null,"pattern":null,"min":null,"max":null,"one_of":[],"references":{"table":',
    '"things","on_delete":"cascade"},"unique":false,"merge":"lww"},{"name":"number","type":"integer","req',
    'uired":true,"default":null,"max_length":null,"pattern":null,"min":null,"max":null,"one_of":[],"refer',
    'ences":null,"unique":false,"merge":"lww"}],"primary_key":["thing","number"],"sync":true,"on_delete_c',
    'onflict":"update_wins","access":{"read":null,"insert":null,"update":null,"delete":null}},{"name":"sc',
    'ratch_pad","columns":[{"name":"id","type":"uuid","required":true,"default":"uuid","max_length":null,',
    '"pattern":null,"min":null,"max":null,"one_of":[],"references":null,"unique":false,"merge":"lww"},{"n',
    'ame":"text","type":"text","required":true,"default":null,"max_length":null,"pattern":null,"min":null',
    ',"max":null,"one_of":[],"references":null,"unique":false,"merge":"lww"}],"primary_key":["id"],"sync"',
    ':false,"on_delete_conflict":"update_wins","access":{"read":null,"insert":null,"update":null,"delete"',
    ':null}},{"name":"things_conflicts","columns":[{"name":"conflict_id","type":"uuid","required":true,"d',
    'efault":null,"max_length":null,"pattern":null,"min":null,"max":null,"one_of":[],"references":null,"u',
    'nique":false,"merge":"lww"},{"name":"conflict_row","type":"uuid","required":true,"default":null,"max',
    '_length":null,"pattern":null,"min":null,"max":null,"one_of":[],"references":null,"unique":false,"mer',
    'ge":"lww","assigned":true},{"name":"conflict_column","type":"text","required":true,"default":null,"m',
    'ax_length":null,"pattern":null,"min":null,"max":null,"one_of":[],"references":null,"unique":false,"m',
    'erge":"lww","assigned":true},{"name":"conflict_seq","type":"integer","required":true,"default":null,',
    '"max_length":null,"pattern":null,"min":null,"max":null,"one_of":[],"references":null,"unique":false,',
    '"merge":"lww","assigned":true},{"name":"conflict_at","type":"timestamp","required":false,"default":n',
    'ull,"max_length":null,"pattern":null,"min":null,"max":null,"one_of":[],"references":null,"unique":fa',
    'lse,"merge":"lww","assigned":true},{"name":"conflict_written","type":"timestamp","required":false,"d',
    'efault":null,"max_length":null,"pattern":null,"min":null,"max":null,"one_of":[],"references":null,"u',
    'nique":false,"merge":"lww","assigned":true},{"name":"conflict_by","type":"text","required":false,"de',
    'fault":null,"max_length":null,"pattern":null,"min":null,"max":null,"one_of":[],"references":null,"un',
    'ique":false,"merge":"lww","assigned":true},{"name":"conflict_device","type":"uuid","required":false,',
    '"default":null,"max_length":null,"pattern":null,"min":null,"max":null,"one_of":[],"references":null,',
    '"unique":false,"merge":"lww","assigned":true},{"name":"conflict_base","type":"json","required":false',
    ',"default":null,"max_length":null,"pattern":null,"min":null,"max":null,"one_of":[],"references":null',
    ',"unique":false,"merge":"lww","assigned":true},{"name":"id","type":"uuid","required":false,"default"',
    ':null,"max_length":null,"pattern":null,"min":null,"max":null,"one_of":[],"references":null,"unique":',
    'false,"merge":"lww","assigned":true},{"name":"label","type":"text","required":false,"default":null,"',
    'max_length":null,"pattern":null,"min":null,"max":null,"one_of":[],"references":null,"unique":false,"',
    'merge":"lww","assigned":true},{"name":"slug","type":"text","required":false,"default":null,"max_leng',
    'th":null,"pattern":null,"min":null,"max":null,"one_of":[],"references":null,"unique":false,"merge":"',
    'lww","assigned":true},{"name":"state","type":"text","required":false,"default":{"value":{"text":"new',
    '"}},"max_length":null,"pattern":null,"min":null,"max":null,"one_of":[],"references":null,"unique":fa',
    'lse,"merge":"lww","assigned":true},{"name":"count","type":"integer","required":false,"default":{"val',
    'ue":{"int":"0"}},"max_length":null,"pattern":null,"min":null,"max":null,"one_of":[],"references":nul',
    'l,"unique":false,"merge":"lww","assigned":true},{"name":"size","type":"integer","required":false,"de',
    'fault":null,"max_length":null,"pattern":null,"min":null,"max":null,"one_of":[],"references":null,"un',
    'ique":false,"merge":"lww","assigned":true},{"name":"ratio","type":"float","required":false,"default"',
    ':null,"max_length":null,"pattern":null,"min":null,"max":null,"one_of":[],"references":null,"unique":',
    'false,"merge":"lww","assigned":true},{"name":"price","type":{"decimal":2},"required":false,"default"',
    ':{"value":{"decimal":"1.50"}},"max_length":null,"pattern":null,"min":null,"max":null,"one_of":[],"re',
    'ferences":null,"unique":false,"merge":"lww","assigned":true},{"name":"flag","type":"boolean","requir',
    'ed":false,"default":{"value":{"bool":false}},"max_length":null,"pattern":null,"min":null,"max":null,',
    '"one_of":[],"references":null,"unique":false,"merge":"lww","assigned":true},{"name":"at","type":"tim',
    'estamp","required":false,"default":null,"max_length":null,"pattern":null,"min":null,"max":null,"one_',
    'of":[],"references":null,"unique":false,"merge":"lww","assigned":true},{"name":"day","type":"date","',
    'required":false,"default":null,"max_length":null,"pattern":null,"min":null,"max":null,"one_of":[],"r',
    'eferences":null,"unique":false,"merge":"lww","assigned":true},{"name":"extra","type":"json","require',
    'd":false,"default":{"value":{"json":{"a":[1,2]}}},"max_length":null,"pattern":null,"min":null,"max":',
    'null,"one_of":[],"references":null,"unique":false,"merge":"lww","assigned":true},{"name":"cover","ty',
    'pe":"bytes","required":false,"default":null,"max_length":null,"pattern":null,"min":null,"max":null,"',
    'one_of":[],"references":null,"unique":false,"merge":"lww","assigned":true},{"name":"likes","type":"i',
    'nteger","required":false,"default":{"value":{"int":"0"}},"max_length":null,"pattern":null,"min":null',
    ',"max":null,"one_of":[],"references":null,"unique":false,"merge":"lww","assigned":true},{"name":"wor',
    'ds","type":"json","required":false,"default":{"value":{"json":[]}},"max_length":null,"pattern":null,',
    '"min":null,"max":null,"one_of":[],"references":null,"unique":false,"merge":"lww","assigned":true},{"',
    'name":"traits","type":"json","required":false,"default":{"value":{"json":{}}},"max_length":null,"pat',
    'tern":null,"min":null,"max":null,"one_of":[],"references":null,"unique":false,"merge":"lww","assigne',
    'd":true},{"name":"place","type":"text","required":false,"default":null,"max_length":null,"pattern":n',
    'ull,"min":null,"max":null,"one_of":[],"references":null,"unique":false,"merge":"lww","assigned":true',
    '},{"name":"essay","type":"text","required":false,"default":{"value":{"text":""}},"max_length":null,"',
    'pattern":null,"min":null,"max":null,"one_of":[],"references":null,"unique":false,"merge":"lww","assi',
    'gned":true},{"name":"caption","type":"text","required":false,"default":{"value":{"text":""}},"max_le',
    'ngth":null,"pattern":null,"min":null,"max":null,"one_of":[],"references":null,"unique":false,"merge"',
    ':"lww","assigned":true},{"name":"choice","type":"text","required":false,"default":null,"max_length":',
    'null,"pattern":null,"min":null,"max":null,"one_of":[],"references":null,"unique":false,"merge":"lww"',
    ',"assigned":true},{"name":"parent","type":"uuid","required":false,"default":null,"max_length":null,"',
    'pattern":null,"min":null,"max":null,"one_of":[],"references":null,"unique":false,"merge":"lww","assi',
    'gned":true},{"name":"__proto__","type":"text","required":false,"default":null,"max_length":null,"pat',
    'tern":null,"min":null,"max":null,"one_of":[],"references":null,"unique":false,"merge":"lww","assigne',
    'd":true},{"name":"serial","type":"integer","required":false,"default":null,"max_length":null,"patter',
    'n":null,"min":null,"max":null,"one_of":[],"references":null,"unique":false,"merge":"lww","assigned":',
    'true}],"primary_key":["conflict_id"],"sync":true,"on_delete_conflict":"update_wins","access":{"read"',
    ':null,"insert":{"literal":{"bool":false}},"update":{"literal":{"bool":false}},"delete":null},"confli',
    'cts_of":{"table":"things","key":["id"]}}],"shapes":[{"name":"all","table":"things","where":null,"par',
    'ams":[],"columns":null},{"name":"some","table":"things","where":{"and":[{"compare":{"op":"=","left":',
    '{"column":{"name":"label","type":"text"}},"right":{"param":{"name":"label","type":"text"}}}},{"compa',
    're":{"op":">","left":{"column":{"name":"at","type":"timestamp"}},"right":{"param":{"name":"since","t',
    'ype":"timestamp"}}}},{"compare":{"op":"<","left":{"column":{"name":"price","type":{"decimal":2}}},"r',
    'ight":{"param":{"name":"below","type":{"decimal":2}}}}},{"compare":{"op":"=","left":{"column":{"name',
    '":"day","type":"date"}},"right":{"param":{"name":"day","type":"date"}}}},{"compare":{"op":"=","left"',
    ':{"column":{"name":"flag","type":"boolean"}},"right":{"param":{"name":"flag","type":"boolean"}}}},{"',
    'compare":{"op":"<","left":{"column":{"name":"ratio","type":"float"}},"right":{"param":{"name":"ratio',
    '","type":"float"}}}}]},"params":[{"name":"label","type":"text"},{"name":"since","type":"timestamp"},',
    '{"name":"below","type":{"decimal":2}},{"name":"day","type":"date"},{"name":"flag","type":"boolean"},',
    '{"name":"ratio","type":"float"}],"columns":["label","at"]},{"name":"counted","table":"things","where',
    '":{"compare":{"op":"=","left":{"column":{"name":"count","type":"integer"}},"right":{"param":{"name":',
    '"count","type":"integer"}}}},"params":[{"name":"count","type":"integer"}],"columns":null}],"actions"',
    ':[{"name":"order","sending":{"priority":90,"attempts":3},"args":[{"name":"thing","type":"uuid","requ',
    'ired":true,"default":null,"max_length":null,"pattern":null,"min":null,"max":null,"one_of":[],"refere',
    'nces":{"table":"things","on_delete":"restrict"},"unique":false,"merge":"lww"},{"name":"count","type"',
    ':"integer","required":true,"default":null,"max_length":null,"pattern":null,"min":{"int":"1"},"max":{',
    '"int":"9007199254740993"},"one_of":[],"references":null,"unique":false,"merge":"lww"},{"name":"state',
    '","type":"text","required":false,"default":null,"max_length":null,"pattern":null,"min":null,"max":nu',
    'll,"one_of":[{"text":"new"},{"text":"half \\"done\\""},{"text":"done"}],"references":null,"unique":fal',
    'se,"merge":"lww"},{"name":"price","type":{"decimal":2},"required":false,"default":null,"max_length":',
    'null,"pattern":null,"min":null,"max":null,"one_of":[],"references":null,"unique":false,"merge":"lww"',
    '},{"name":"extra","type":"json","required":false,"default":null,"max_length":null,"pattern":null,"mi',
    'n":null,"max":null,"one_of":[],"references":null,"unique":false,"merge":"lww"}]},{"name":"close","ar',
    'gs":[]}]}',
  ].join(""),
};
