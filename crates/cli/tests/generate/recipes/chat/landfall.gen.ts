// Made by `landfall generate` from landfall.toml; made anew rather than edited.

import type { Schema } from "@landfall/client";

/** A row of `rooms`. */
export interface Rooms {
  /** uuid, key */
  id: string;
  /** text, required */
  name: string;
  /** integer, filled by the server, null until then */
  last: number | bigint | null;
}

/** What an insert into `rooms` takes; what may be left out has a default or is NULL. */
export interface RoomsInsert {
  id: string;
  name: string;
}

/** What an update of `rooms` takes; a key never changes. */
export interface RoomsUpdate {
  name?: string;
}

/** The key of a row of `rooms`: its `id`. */
export type RoomsKey = string;

/** A row of `messages`. */
export interface Messages {
  /** uuid, key */
  id: string;
  /** uuid, required, a row of `rooms`, which then cannot be deleted */
  room: string;
  /** text, required */
  author: string;
  /** text, required, at most 4000 characters */
  body: string;
  /** timestamp, by default now */
  written: string | null;
  /** integer, filled by the server, null until then */
  number: number | bigint | null;
}

/** What an insert into `messages` takes; what may be left out has a default or is NULL. */
export interface MessagesInsert {
  id: string;
  room: string;
  author: string;
  body: string;
  written?: string | Date | null;
}

/** What an update of `messages` takes; a key never changes. */
export interface MessagesUpdate {
  room?: string;
  author?: string;
  body?: string;
  written?: string | Date | null;
}

/** The key of a row of `messages`: its `id`. */
export type MessagesKey = string;

/** A row of `seen`. */
export interface Seen {
  /** uuid, key, a row of `rooms`, which then cannot be deleted */
  room: string;
  /** text, key, at most 100 characters */
  person: string;
  /** text, key, at most 100 characters */
  device: string;
  /** integer, required, by default 0 */
  received: number | bigint;
  /** integer, required, by default 0 */
  read: number | bigint;
}

/** What an insert into `seen` takes; what may be left out has a default or is NULL. */
export interface SeenInsert {
  room: string;
  person: string;
  device: string;
  received?: number | bigint;
  read?: number | bigint;
}

/** What an update of `seen` takes; a key never changes. */
export interface SeenUpdate {
  received?: number | bigint;
  read?: number | bigint;
}

/** The key of a row of `seen`. */
export interface SeenKey {
  room: string;
  person: string;
  device: string;
}

/** Each table's row, and what insert, update and key take. */
export interface Tables {
  rooms: { row: Rooms; insert: RoomsInsert; update: RoomsUpdate; key: RoomsKey };
  messages: { row: Messages; insert: MessagesInsert; update: MessagesUpdate; key: MessagesKey };
  seen: { row: Seen; insert: SeenInsert; update: SeenUpdate; key: SeenKey };
}

/** What a device can hold: each shape's parameters. */
export interface Shapes {
  /** Rows of `rooms`. */
  all_rooms: Record<string, never>;
  /** Rows of `messages`. */
  room: { room: string };
  /** Rows of `seen`. */
  readers: { room: string };
}

/** What a transaction can ask of the server: each action's arguments. */
export interface Actions {
  post: {
    /** uuid, required */
    room: string;
    /** uuid, required */
    message: string;
  };
}

/** The schema, for `openDatabase`. */
export const schema: Schema<Tables, Shapes, Actions> = {
  name: "chat",
  version: 1,
  tables: {
    rooms: {
      key: ["id"],
      sync: true,
      columns: {
        id: { type: "uuid" },
        name: { type: "text" },
        last: { type: "integer", nullable: true, assigned: true },
      },
    },
    messages: {
      key: ["id"],
      sync: true,
      columns: {
        id: { type: "uuid" },
        room: { type: "uuid" },
        author: { type: "text" },
        body: { type: "text" },
        written: { type: "timestamp", nullable: true },
        number: { type: "integer", nullable: true, assigned: true },
      },
    },
    seen: {
      key: ["room", "person", "device"],
      sync: true,
      columns: {
        room: { type: "uuid" },
        person: { type: "text" },
        device: { type: "text" },
        received: { type: "integer" },
        read: { type: "integer" },
      },
    },
  },
  shapes: {
    all_rooms: {
      table: "rooms",
      params: {},
    },
    room: {
      table: "messages",
      params: {
        room: { type: "uuid" },
      },
    },
    readers: {
      table: "seen",
      params: {
        room: { type: "uuid" },
      },
    },
  },
  actions: {
    post: {
      args: {
        room: { type: "uuid" },
        message: { type: "uuid" },
      },
    },
  },
  compiled: [
    '{"name":"chat","version":1,"tables":[{"name":"rooms","columns":[{"name":"id","type":"uuid","required',
    '":true,"default":null,"max_length":null,"pattern":null,"min":null,"max":null,"one_of":[],"references',
    '":null,"unique":false,"merge":"lww"},{"name":"name","type":"text","required":true,"default":null,"ma',
    'x_length":null,"pattern":null,"min":null,"max":null,"one_of":[],"references":null,"unique":false,"me',
    'rge":"lww"},{"name":"last","type":"integer","required":false,"default":null,"max_length":null,"patte',
    'rn":null,"min":null,"max":null,"one_of":[],"references":null,"unique":false,"merge":"lww","assigned"',
    ':true}],"primary_key":["id"],"sync":true,"on_delete_conflict":"update_wins","access":{"read":null,"i',
    'nsert":{"literal":{"bool":false}},"update":{"literal":{"bool":false}},"delete":{"literal":{"bool":fa',
    'lse}}}},{"name":"messages","columns":[{"name":"id","type":"uuid","required":true,"default":null,"max',
    '_length":null,"pattern":null,"min":null,"max":null,"one_of":[],"references":null,"unique":false,"mer',
    'ge":"lww"},{"name":"room","type":"uuid","required":true,"default":null,"max_length":null,"pattern":n',
    'ull,"min":null,"max":null,"one_of":[],"references":{"table":"rooms","on_delete":"restrict"},"unique"',
    ':false,"merge":"lww"},{"name":"author","type":"text","required":true,"default":null,"max_length":nul',
    'l,"pattern":null,"min":null,"max":null,"one_of":[],"references":null,"unique":false,"merge":"lww"},{',
    '"name":"body","type":"text","required":true,"default":null,"max_length":4000,"pattern":null,"min":nu',
    'll,"max":null,"one_of":[],"references":null,"unique":false,"merge":"lww"},{"name":"written","type":"',
    'timestamp","required":false,"default":"now","max_length":null,"pattern":null,"min":null,"max":null,"',
    'one_of":[],"references":null,"unique":false,"merge":"lww"},{"name":"number","type":"integer","requir',
    'ed":false,"default":null,"max_length":null,"pattern":null,"min":null,"max":null,"one_of":[],"referen',
    'ces":null,"unique":false,"merge":"lww","assigned":true}],"primary_key":["id"],"sync":true,"on_delete',
    '_conflict":"update_wins","access":{"read":null,"insert":{"compare":{"op":"=","left":{"column":{"name',
    '":"author","type":"text"}},"right":{"claim":{"name":"sub","type":"text"}}}},"update":{"literal":{"bo',
    'ol":false}},"delete":{"literal":{"bool":false}}},"sending":{"priority":80,"attempts":5}},{"name":"se',
    'en","columns":[{"name":"room","type":"uuid","required":true,"default":null,"max_length":null,"patter',
    'n":null,"min":null,"max":null,"one_of":[],"references":{"table":"rooms","on_delete":"restrict"},"uni',
    'que":false,"merge":"lww"},{"name":"person","type":"text","required":true,"default":null,"max_length"',
    ':100,"pattern":null,"min":null,"max":null,"one_of":[],"references":null,"unique":false,"merge":"lww"',
    '},{"name":"device","type":"text","required":true,"default":null,"max_length":100,"pattern":null,"min',
    '":null,"max":null,"one_of":[],"references":null,"unique":false,"merge":"lww"},{"name":"received","ty',
    'pe":"integer","required":true,"default":{"value":{"int":"0"}},"max_length":null,"pattern":null,"min"',
    ':null,"max":null,"one_of":[],"references":null,"unique":false,"merge":"lww"},{"name":"read","type":"',
    'integer","required":true,"default":{"value":{"int":"0"}},"max_length":null,"pattern":null,"min":null',
    ',"max":null,"one_of":[],"references":null,"unique":false,"merge":"lww"}],"primary_key":["room","pers',
    'on","device"],"sync":true,"on_delete_conflict":"update_wins","access":{"read":null,"insert":{"compar',
    'e":{"op":"=","left":{"column":{"name":"person","type":"text"}},"right":{"claim":{"name":"sub","type"',
    ':"text"}}}},"update":{"compare":{"op":"=","left":{"column":{"name":"person","type":"text"}},"right":',
    '{"claim":{"name":"sub","type":"text"}}}},"delete":{"compare":{"op":"=","left":{"column":{"name":"per',
    'son","type":"text"}},"right":{"claim":{"name":"sub","type":"text"}}}}},"sending":{"priority":20,"att',
    'empts":5}}],"shapes":[{"name":"all_rooms","table":"rooms","where":null,"params":[],"columns":null},{',
    '"name":"room","table":"messages","where":{"compare":{"op":"=","left":{"column":{"name":"room","type"',
    ':"uuid"}},"right":{"param":{"name":"room","type":"uuid"}}}},"params":[{"name":"room","type":"uuid"}]',
    ',"columns":null},{"name":"readers","table":"seen","where":{"compare":{"op":"=","left":{"column":{"na',
    'me":"room","type":"uuid"}},"right":{"param":{"name":"room","type":"uuid"}}}},"params":[{"name":"room',
    '","type":"uuid"}],"columns":null}],"actions":[{"name":"post","args":[{"name":"room","type":"uuid","r',
    'equired":true,"default":null,"max_length":null,"pattern":null,"min":null,"max":null,"one_of":[],"ref',
    'erences":null,"unique":false,"merge":"lww"},{"name":"message","type":"uuid","required":true,"default',
    '":null,"max_length":null,"pattern":null,"min":null,"max":null,"one_of":[],"references":null,"unique"',
    ':false,"merge":"lww"}]}]}',
  ].join(""),
};
