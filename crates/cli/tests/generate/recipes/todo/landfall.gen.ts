// Made by `landfall generate` from landfall.toml; made anew rather than edited.

import type { Schema } from "@landfall/client";

/** A row of `lists`. */
export interface Lists {
  /** uuid, key, by default a new one */
  id: string;
  /** text, required, at most 100 characters */
  name: string;
}

/** What an insert into `lists` takes; what may be left out has a default or is NULL. */
export interface ListsInsert {
  id?: string;
  name: string;
}

/** What an update of `lists` takes; a key never changes. */
export interface ListsUpdate {
  name?: string;
}

/** The key of a row of `lists`: its `id`. */
export type ListsKey = string;

/** A row of `items`. */
export interface Items {
  /** uuid, key, by default a new one */
  id: string;
  /** uuid, required, a row of `lists`, deleted with it */
  list: string;
  /** text, required, at most 500 characters, matches `[0-9a-z]*[1-9a-z]` */
  rank: string;
  /** text, required, at most 500 characters */
  text: string;
  /** boolean, required, by default false */
  done: boolean;
}

/** What an insert into `items` takes; what may be left out has a default or is NULL. */
export interface ItemsInsert {
  id?: string;
  list: string;
  rank: string;
  text: string;
  done?: boolean;
}

/** What an update of `items` takes; a key never changes. */
export interface ItemsUpdate {
  list?: string;
  rank?: string;
  text?: string;
  done?: boolean;
}

/** The key of a row of `items`: its `id`. */
export type ItemsKey = string;

/** Each table's row, and what insert, update and key take. */
export interface Tables {
  lists: { row: Lists; insert: ListsInsert; update: ListsUpdate; key: ListsKey };
  items: { row: Items; insert: ItemsInsert; update: ItemsUpdate; key: ItemsKey };
}

/** What a device can hold: each shape's parameters. */
export interface Shapes {
  /** Rows of `lists`. */
  all_lists: Record<string, never>;
  /** Rows of `items`. */
  items_of: { list: string };
}

/** What a transaction can ask of the server: each action's arguments. */
export type Actions = Record<never, object>;

/** The schema, for `openDatabase`. */
export const schema: Schema<Tables, Shapes, Actions> = {
  name: "todo",
  version: 1,
  tables: {
    lists: {
      key: ["id"],
      sync: true,
      columns: {
        id: { type: "uuid" },
        name: { type: "text" },
      },
    },
    items: {
      key: ["id"],
      sync: true,
      columns: {
        id: { type: "uuid" },
        list: { type: "uuid" },
        rank: { type: "text" },
        text: { type: "text" },
        done: { type: "boolean" },
      },
    },
  },
  shapes: {
    all_lists: {
      table: "lists",
      params: {},
    },
    items_of: {
      table: "items",
      params: {
        list: { type: "uuid" },
      },
    },
  },
  actions: {
  },
  compiled: [
    '{"name":"todo","version":1,"tables":[{"name":"lists","columns":[{"name":"id","type":"uuid","required',
    '":true,"default":"uuid","max_length":null,"pattern":null,"min":null,"max":null,"one_of":[],"referenc',
    'es":null,"unique":false,"merge":"lww"},{"name":"name","type":"text","required":true,"default":null,"',
    'max_length":100,"pattern":null,"min":null,"max":null,"one_of":[],"references":null,"unique":false,"m',
    'erge":"lww"}],"primary_key":["id"],"sync":true,"on_delete_conflict":"update_wins","access":{"read":n',
    'ull,"insert":null,"update":null,"delete":null}},{"name":"items","columns":[{"name":"id","type":"uuid',
    '","required":true,"default":"uuid","max_length":null,"pattern":null,"min":null,"max":null,"one_of":[',
    '],"references":null,"unique":false,"merge":"lww"},{"name":"list","type":"uuid","required":true,"defa',
    'ult":null,"max_length":null,"pattern":null,"min":null,"max":null,"one_of":[],"references":{"table":"',
    'lists","on_delete":"cascade"},"unique":false,"merge":"lww"},{"name":"rank","type":"text","required":',
    'true,"default":null,"max_length":500,"pattern":"[0-9a-z]*[1-9a-z]","min":null,"max":null,"one_of":[]',
    ',"references":null,"unique":false,"merge":"lww"},{"name":"text","type":"text","required":true,"defau',
    'lt":null,"max_length":500,"pattern":null,"min":null,"max":null,"one_of":[],"references":null,"unique',
    '":false,"merge":"lww"},{"name":"done","type":"boolean","required":true,"default":{"value":{"bool":fa',
    'lse}},"max_length":null,"pattern":null,"min":null,"max":null,"one_of":[],"references":null,"unique":',
    'false,"merge":"lww"}],"primary_key":["id"],"sync":true,"on_delete_conflict":"update_wins","access":{',
    '"read":null,"insert":null,"update":null,"delete":null}}],"shapes":[{"name":"all_lists","table":"list',
    's","where":null,"params":[],"columns":null},{"name":"items_of","table":"items","where":{"compare":{"',
    'op":"=","left":{"column":{"name":"list","type":"uuid"}},"right":{"param":{"name":"list","type":"uuid',
    '"}}}},"params":[{"name":"list","type":"uuid"}],"columns":null}]}',
  ].join(""),
};
