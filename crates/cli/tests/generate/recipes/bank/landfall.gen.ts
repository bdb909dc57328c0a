// Made by `landfall generate` from landfall.toml; made anew rather than edited.

import type { Schema } from "@landfall/client";

/** A row of `accounts`. */
export interface Accounts {
  /** uuid, key */
  id: string;
  /** text */
  owner: string | null;
  /** integer, required, at least 0 */
  cents: number | bigint;
}

/** What an insert into `accounts` takes; what may be left out has a default or is NULL. */
export interface AccountsInsert {
  id: string;
  owner?: string | null;
  cents: number | bigint;
}

/** What an update of `accounts` takes; a key never changes. */
export interface AccountsUpdate {
  owner?: string | null;
  cents?: number | bigint;
}

/** The key of a row of `accounts`: its `id`. */
export type AccountsKey = string;

/** A row of `transfers`. */
export interface Transfers {
  /** uuid, key, by default a new one */
  id: string;
  /** text, required */
  owner: string;
  /** uuid, required, a row of `accounts`, which then cannot be deleted */
  source: string;
  /** uuid, required, a row of `accounts`, which then cannot be deleted */
  target: string;
  /** integer, required, at least 1 */
  cents: number | bigint;
  /** boolean, filled by the server, null until then */
  booked: boolean | null;
}

/** What an insert into `transfers` takes; what may be left out has a default or is NULL. */
export interface TransfersInsert {
  id?: string;
  owner: string;
  source: string;
  target: string;
  cents: number | bigint;
}

/** What an update of `transfers` takes; a key never changes. */
export interface TransfersUpdate {
  owner?: string;
  source?: string;
  target?: string;
  cents?: number | bigint;
}

/** The key of a row of `transfers`: its `id`. */
export type TransfersKey = string;

/** A row of `bills`. */
export interface Bills {
  /** uuid, key, by default a new one */
  id: string;
  /** text, required */
  owner: string;
  /** uuid, required, a row of `accounts`, which then cannot be deleted */
  source: string;
  /** integer, required, at least 1 */
  cents: number | bigint;
  /** timestamp, required */
  due: string;
}

/** What an insert into `bills` takes; what may be left out has a default or is NULL. */
export interface BillsInsert {
  id?: string;
  owner: string;
  source: string;
  cents: number | bigint;
  due: string | Date;
}

/** What an update of `bills` takes; a key never changes. */
export interface BillsUpdate {
  owner?: string;
  source?: string;
  cents?: number | bigint;
  due?: string | Date;
}

/** The key of a row of `bills`: its `id`. */
export type BillsKey = string;

/** Each table's row, and what insert, update and key take. */
export interface Tables {
  accounts: { row: Accounts; insert: AccountsInsert; update: AccountsUpdate; key: AccountsKey };
  transfers: { row: Transfers; insert: TransfersInsert; update: TransfersUpdate; key: TransfersKey };
  bills: { row: Bills; insert: BillsInsert; update: BillsUpdate; key: BillsKey };
}

/** What a device can hold: each shape's parameters. */
export interface Shapes {
  /** Rows of `transfers`. */
  all_transfers: Record<string, never>;
  /** Rows of `bills`. */
  all_bills: Record<string, never>;
}

/** What a transaction can ask of the server: each action's arguments. */
export interface Actions {
  transfer: {
    /** uuid, required */
    id: string;
  };
}

/** The schema, for `openDatabase`. */
export const schema: Schema<Tables, Shapes, Actions> = {
  name: "bank",
  version: 1,
  tables: {
    accounts: {
      key: ["id"],
      sync: true,
      columns: {
        id: { type: "uuid" },
        owner: { type: "text", nullable: true },
        cents: { type: "integer" },
      },
    },
    transfers: {
      key: ["id"],
      sync: true,
      columns: {
        id: { type: "uuid" },
        owner: { type: "text" },
        source: { type: "uuid" },
        target: { type: "uuid" },
        cents: { type: "integer" },
        booked: { type: "boolean", nullable: true, assigned: true },
      },
    },
    bills: {
      key: ["id"],
      sync: true,
      columns: {
        id: { type: "uuid" },
        owner: { type: "text" },
        source: { type: "uuid" },
        cents: { type: "integer" },
        due: { type: "timestamp" },
      },
    },
  },
  shapes: {
    all_transfers: {
      table: "transfers",
      params: {},
    },
    all_bills: {
      table: "bills",
      params: {},
    },
  },
  actions: {
    transfer: {
      args: {
        id: { type: "uuid" },
      },
    },
  },
  compiled: [
    '{"name":"bank","version":1,"tables":[{"name":"accounts","columns":[{"name":"id","type":"uuid","requi',
    'red":true,"default":null,"max_length":null,"pattern":null,"min":null,"max":null,"one_of":[],"referen',
    'ces":null,"unique":false,"merge":"lww"},{"name":"owner","type":"text","required":false,"default":nul',
    'l,"max_length":null,"pattern":null,"min":null,"max":null,"one_of":[],"references":null,"unique":fals',
    'e,"merge":"lww"},{"name":"cents","type":"integer","required":true,"default":null,"max_length":null,"',
    'pattern":null,"min":{"int":"0"},"max":null,"one_of":[],"references":null,"unique":false,"merge":"lww',
    '"}],"primary_key":["id"],"sync":true,"on_delete_conflict":"update_wins","access":{"read":{"literal":',
    '{"bool":false}},"insert":{"literal":{"bool":false}},"update":{"literal":{"bool":false}},"delete":{"l',
    'iteral":{"bool":false}}}},{"name":"transfers","columns":[{"name":"id","type":"uuid","required":true,',
    '"default":"uuid","max_length":null,"pattern":null,"min":null,"max":null,"one_of":[],"references":nul',
    'l,"unique":false,"merge":"lww"},{"name":"owner","type":"text","required":true,"default":null,"max_le',
    'ngth":null,"pattern":null,"min":null,"max":null,"one_of":[],"references":null,"unique":false,"merge"',
    ':"lww"},{"name":"source","type":"uuid","required":true,"default":null,"max_length":null,"pattern":nu',
    'll,"min":null,"max":null,"one_of":[],"references":{"table":"accounts","on_delete":"restrict"},"uniqu',
    'e":false,"merge":"lww"},{"name":"target","type":"uuid","required":true,"default":null,"max_length":n',
    'ull,"pattern":null,"min":null,"max":null,"one_of":[],"references":{"table":"accounts","on_delete":"r',
    'estrict"},"unique":false,"merge":"lww"},{"name":"cents","type":"integer","required":true,"default":n',
    'ull,"max_length":null,"pattern":null,"min":{"int":"1"},"max":null,"one_of":[],"references":null,"uni',
    'que":false,"merge":"lww"},{"name":"booked","type":"boolean","required":false,"default":null,"max_len',
    'gth":null,"pattern":null,"min":null,"max":null,"one_of":[],"references":null,"unique":false,"merge":',
    '"lww","assigned":true}],"primary_key":["id"],"sync":true,"on_delete_conflict":"update_wins","access"',
    ':{"read":{"compare":{"op":"=","left":{"column":{"name":"owner","type":"text"}},"right":{"claim":{"na',
    'me":"sub","type":"text"}}}},"insert":{"compare":{"op":"=","left":{"column":{"name":"owner","type":"t',
    'ext"}},"right":{"claim":{"name":"sub","type":"text"}}}},"update":{"literal":{"bool":false}},"delete"',
    ':{"literal":{"bool":false}}}},{"name":"bills","columns":[{"name":"id","type":"uuid","required":true,',
    '"default":"uuid","max_length":null,"pattern":null,"min":null,"max":null,"one_of":[],"references":nul',
    'l,"unique":false,"merge":"lww"},{"name":"owner","type":"text","required":true,"default":null,"max_le',
    'ngth":null,"pattern":null,"min":null,"max":null,"one_of":[],"references":null,"unique":false,"merge"',
    ':"lww"},{"name":"source","type":"uuid","required":true,"default":null,"max_length":null,"pattern":nu',
    'll,"min":null,"max":null,"one_of":[],"references":{"table":"accounts","on_delete":"restrict"},"uniqu',
    'e":false,"merge":"lww"},{"name":"cents","type":"integer","required":true,"default":null,"max_length"',
    ':null,"pattern":null,"min":{"int":"1"},"max":null,"one_of":[],"references":null,"unique":false,"merg',
    'e":"lww"},{"name":"due","type":"timestamp","required":true,"default":null,"max_length":null,"pattern',
    '":null,"min":null,"max":null,"one_of":[],"references":null,"unique":false,"merge":"lww"}],"primary_k',
    'ey":["id"],"sync":true,"on_delete_conflict":"update_wins","access":{"read":{"compare":{"op":"=","lef',
    't":{"column":{"name":"owner","type":"text"}},"right":{"claim":{"name":"sub","type":"text"}}}},"inser',
    't":{"compare":{"op":"=","left":{"column":{"name":"owner","type":"text"}},"right":{"claim":{"name":"s',
    'ub","type":"text"}}}},"update":{"compare":{"op":"=","left":{"column":{"name":"owner","type":"text"}}',
    ',"right":{"claim":{"name":"sub","type":"text"}}}},"delete":{"compare":{"op":"=","left":{"column":{"n',
    'ame":"owner","type":"text"}},"right":{"claim":{"name":"sub","type":"text"}}}}},"schedule":{"by":"due',
    '","lead_ms":86400000}}],"shapes":[{"name":"all_transfers","table":"transfers","where":null,"params":',
    '[],"columns":null},{"name":"all_bills","table":"bills","where":null,"params":[],"columns":null}],"ac',
    'tions":[{"name":"transfer","sending":{"priority":50,"attempts":5,"deny":true},"args":[{"name":"id","',
    'type":"uuid","required":true,"default":null,"max_length":null,"pattern":null,"min":null,"max":null,"',
    'one_of":[],"references":null,"unique":false,"merge":"lww"}]}],"cache":{"max_bytes":16777216,"policie',
    's":[{"name":"balance","strategy":"network_first","max_age_ms":300000,"timeout_ms":3000,"priority":90',
    '}]}}',
  ].join(""),
};
