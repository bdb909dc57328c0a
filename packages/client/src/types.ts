/** The types of columns. */
export type ColumnType =
  | "uuid"
  | "text"
  | "integer"
  | "float"
  | "decimal"
  | "boolean"
  | "timestamp"
  | "date"
  | "json"
  | "bytes";

export interface Column {
  readonly type: ColumnType;
  readonly scale?: number;
  readonly nullable?: boolean;
}

/** What the generated file says of one table: the types of its rows, and of what writes take. */
export interface TableTypes {
  row: object;
  insert: object;
  update: object;
  key: unknown;
}

/** The constant `schema` of the file that `landfall generate` makes. */
export interface Schema<Tables = AnyTables, Shapes = AnyShapes> {
  readonly name: string;
  readonly version: number;
  readonly tables: {
    readonly [T in keyof Tables]: {
      readonly key: readonly string[];
      readonly sync: boolean;
      readonly columns: { readonly [column: string]: Column };
    };
  };
  readonly shapes: {
    readonly [S in keyof Shapes]: {
      readonly table: keyof Tables;
      readonly params: { readonly [name: string]: Column };
    };
  };
  readonly compiled: string;
}

/** Tables and shapes whose types are not known. */
// biome-ignore lint/suspicious/noExplicitAny: what a schema without types allows is anything
export type AnyTables = Record<string, any>;
export type AnyShapes = Record<string, object>;

/** Something with a present state, and people who want to hear of the next. */
export interface Observable<T> {
  readonly current: T;
  /** Calls `listener` whenever the state changes; returns what ends that. */
  subscribe(listener: (state: T) => void): () => void;
}

/** The answer of a live query, as it stands. Rows that did not change keep their identity. */
export interface LiveSnapshot<Row> {
  readonly state: "loading" | "ready" | "error";
  readonly rows: readonly Row[];
  /** Whether this device holds everything that the answer depends on. */
  readonly complete: boolean;
  readonly error?: Error;
}

/** A query whose answer stays true. It runs while somebody is subscribed. */
export interface LiveQuery<Row> {
  readonly snapshot: LiveSnapshot<Row>;
  subscribe(listener: (snapshot: LiveSnapshot<Row>) => void): () => void;
}

export type Connectivity = "connecting" | "online" | "offline" | "needs-sign-in" | "stopped";

export interface Status {
  /** `stopped`: the server cannot work with this device; `lastError` says why. */
  readonly connectivity: Connectivity;
  /** Writes that the server has not decided. */
  readonly pending: number;
  /** Writes that the server refused for good: for a person to retry or discard. */
  readonly failed: number;
  readonly lastSyncedAt: Date | null;
  /** Set while shapes load for the first time. */
  readonly progress: { readonly loaded: number; readonly total: number } | null;
  /** What a resolved write promises. `memory`: the browser keeps no files for this page; only what waits to be sent is kept. */
  readonly durability: "persistent" | "best-effort" | "memory";
  /** Whether this tab holds the database, or works through the one that does. */
  readonly role: "owner" | "follower";
  readonly lastError: { readonly code: string; readonly message: string } | null;
  /** Who the server says we are. */
  readonly subject: string | null;
}

export type EntryState = "pending" | "sending" | "sent" | "failed";

export interface OutboxEntry {
  readonly rseq: number;
  readonly state: EntryState;
  /** The rows that it touches; a key of several columns is an object. */
  readonly rows: readonly { readonly table: string; readonly key: unknown }[];
  readonly attempts: number;
  readonly createdAt: Date;
  readonly error?: { readonly code: string; readonly message: string };
}

export interface Outbox extends Observable<readonly OutboxEntry[]> {
  /** Offers a failed entry again, on the rows as they are now; gives its new number. */
  retry(rseq: number): Promise<number>;
  /** Throws a failed entry away. */
  discard(rseq: number): Promise<void>;
}

export type ShapeState = "loading" | "ready" | "error";

/** A part of the data that this device keeps. It stays open across reloads until `close`. */
export interface Shape extends Observable<ShapeState> {
  readonly state: ShapeState;
  readonly error: Error | null;
  /** Resolves once everything that the shape names is here. */
  readonly ready: Promise<void>;
  /** Closes it: its rows leave the device, unless another shape holds them or they have pending writes. */
  close(): Promise<void>;
}

/** A parameter of a query. */
export type Param = null | boolean | number | bigint | string | Date | Uint8Array | readonly unknown[] | object;

export interface Transaction<Tables> {
  insert<T extends keyof Tables & string>(table: T, row: InsertOf<Tables, T>): void;
  update<T extends keyof Tables & string>(table: T, key: KeyOf<Tables, T>, patch: UpdateOf<Tables, T>): void;
  delete<T extends keyof Tables & string>(table: T, key: KeyOf<Tables, T>): void;
  /** A statement that writes. */
  sql(statement: string, params?: readonly Param[]): void;
  /** Reads, and sees what this transaction wrote. */
  query<Row = Record<string, unknown>>(sql: string, params?: readonly Param[]): Promise<Row[]>;
}

type Part<Tables, T extends keyof Tables, P extends string> = Tables[T] extends { [K in P]: infer V } ? V : never;
export type RowOf<Tables, T extends keyof Tables> = Part<Tables, T, "row">;
export type InsertOf<Tables, T extends keyof Tables> = Part<Tables, T, "insert">;
export type UpdateOf<Tables, T extends keyof Tables> = Part<Tables, T, "update">;
export type KeyOf<Tables, T extends keyof Tables> = Part<Tables, T, "key">;

/** What a transaction did. `rseq` is its number in the outbox, `null` when no synced row changed. */
export interface Written<R> {
  readonly rseq: number | null;
  readonly result: R;
}

export type Token = string | null | (() => Promise<string | null>);

export interface OpenOptions<Tables, Shapes> {
  schema: Schema<Tables, Shapes>;
  /** Names the database in this origin. */
  name: string;
  /** The server's address; without one the database stays offline. */
  server?: string | URL | null;
  /** Who the person is; a function is asked again whenever the server wants a new one. */
  token?: Token;
  /** Whether to connect at once. */
  online?: boolean;
  /** Starts the worker, where the bundler does not find it by itself. */
  worker?: () => Worker;
}

export interface StorageReport {
  readonly usage: number;
  readonly quota: number;
  readonly persisted: boolean;
}

/** An open database. */
export interface Database<Tables = AnyTables, Shapes = AnyShapes> {
  readonly name: string;
  readonly status: Observable<Status>;
  readonly outbox: Outbox;
  query<Row = Record<string, unknown>>(sql: string, params?: readonly Param[]): Promise<Row[]>;
  live<Row = Record<string, unknown>>(sql: string, params?: readonly Param[]): LiveQuery<Row>;
  transaction<R>(f: (tx: Transaction<Tables>) => R | Promise<R>): Promise<Written<R>>;
  insert<T extends keyof Tables & string>(table: T, row: InsertOf<Tables, T>): Promise<Written<void>>;
  update<T extends keyof Tables & string>(
    table: T,
    key: KeyOf<Tables, T>,
    patch: UpdateOf<Tables, T>,
  ): Promise<Written<void>>;
  delete<T extends keyof Tables & string>(table: T, key: KeyOf<Tables, T>): Promise<Written<void>>;
  shape<S extends keyof Shapes & string>(shape: S, params?: Shapes[S]): Shape;
  /** What the person should be told of a row. */
  rowState(table: keyof Tables & string, key: unknown): "synced" | "pending" | "sending" | "failed";
  setToken(token: Token): Promise<void>;
  setOnline(online: boolean): Promise<void>;
  storage(): Promise<StorageReport>;
  /** Asks the browser to keep the data even when space is short. */
  requestPersistence(): Promise<boolean>;
  close(): Promise<void>;
}
