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

/** A column, as the generated file says it. */
export interface Column {
  /** What it holds. */
  readonly type: ColumnType;
  /** Digits after the point, of a decimal. */
  readonly scale?: number;
  /** Whether it may be NULL. */
  readonly nullable?: boolean;
  /** Whether only the server gives it a value. */
  readonly assigned?: boolean;
}

/** What the generated file says of one table: the types of its rows, and of what writes take. */
export interface TableTypes {
  /** A row as it is read. */
  row: object;
  /** What an insert takes. */
  insert: object;
  /** What an update takes. */
  update: object;
  /** The key: its one column, or an object of its columns. */
  key: unknown;
  /** The columns that count (`merge = "counter"`), if there are any. */
  counter?: string;
  /** The columns that are sets (`merge = "set"`), if there are any. */
  set?: string;
  /** The columns that are maps (`merge = "map"`), if there are any. */
  map?: string;
  /** The columns that are positions in a list (`merge = "list"`), if there are any. */
  list?: string;
}

/** The constant `schema` of the file that `landfall generate` makes. */
export interface Schema<Tables = AnyTables, Shapes = AnyShapes, Actions = AnyActions> {
  /** The app's name. */
  readonly name: string;
  /** The schema's version. */
  readonly version: number;
  /** The tables, by name. */
  readonly tables: {
    readonly [T in keyof Tables]: {
      /** The key's columns, in key order. */
      readonly key: readonly string[];
      /** `false`: a local table, never sent. */
      readonly sync: boolean;
      /** The columns, by name. */
      readonly columns: { readonly [column: string]: Column };
    };
  };
  /** The shapes, by name. */
  readonly shapes: {
    readonly [S in keyof Shapes]: {
      /** The table whose rows it holds. */
      readonly table: keyof Tables;
      /** Its parameters, by name. */
      readonly params: { readonly [name: string]: Column };
    };
  };
  /** The actions, by name. */
  readonly actions?: {
    readonly [A in keyof Actions]: {
      /** Its arguments, by name. */
      readonly args: { readonly [name: string]: Column };
    };
  };
  /** What the engine reads. */
  readonly compiled: string;
}

/** Tables whose types are not known. */
// biome-ignore lint/suspicious/noExplicitAny: what a schema without types allows is anything
export type AnyTables = Record<string, any>;
/** Shapes whose parameters are not known. */
export type AnyShapes = Record<string, object>;
/** Actions whose arguments are not known. */
export type AnyActions = Record<string, object>;

/** Something with a present state, and people who want to hear of the next. */
export interface Observable<T> {
  /** The state now. */
  readonly current: T;
  /** Calls `listener` whenever the state changes; returns what ends that. */
  subscribe(listener: (state: T) => void): () => void;
}

/** The answer of a live query, as it stands. Rows that did not change keep their identity. */
export interface LiveSnapshot<Row> {
  /** `loading` until the first answer; `error` when it could not be run, with the rows that it had. */
  readonly state: "loading" | "ready" | "error";
  /** The answer. */
  readonly rows: readonly Row[];
  /** Whether this device holds everything that the answer depends on. */
  readonly complete: boolean;
  /** Why it could not be run. */
  readonly error?: Error;
}

/** A query whose answer stays true. It runs while somebody is subscribed. */
export interface LiveQuery<Row> {
  /** The answer now; empty and `loading` while nobody is subscribed. */
  readonly snapshot: LiveSnapshot<Row>;
  /** Calls `listener` with the first answer and with each later one; returns what ends that. */
  subscribe(listener: (snapshot: LiveSnapshot<Row>) => void): () => void;
}

/** Whether the server can be reached, judged by real traffic. */
export type Connectivity = "connecting" | "online" | "offline" | "needs-sign-in" | "stopped";

/** What went wrong. */
export interface Problem {
  /** A stable code; docs/errors.md lists them. */
  readonly code: string;
  /** Cause and way out, in a sentence. */
  readonly message: string;
  /** The table that it is about, when it is about one. */
  readonly table?: string | undefined;
  /** The key of the row that it is about, of those that the entry writes; of several columns it is an object. */
  readonly key?: unknown;
  /** The column that it is about, when it is about one. */
  readonly column?: string | undefined;
}

/** How sending goes, while writes are pending. */
export interface Sending {
  /** Writes that the server accepted since nothing was pending, or since the database was opened. */
  readonly done: number;
  /** Those that were refused, or could not be sent in time, since then. */
  readonly failed: number;
  /** Those that are not decided. */
  readonly left: number;
  /** Their bytes, as they travel. */
  readonly bytesLeft: number;
  /** How long they may take, by what was done of late; `null` while nothing is known of that. */
  readonly timeToGoMs: number | null;
}

/** What is held back since the device came back from a long absence, until `outbox.replay`. */
export interface HeldBack {
  /** Writes that wait for it: all that are not decided, those that were written since included. */
  readonly entries: number;
  /** Those of them that write what others have changed since: `outbox.review`. */
  readonly conflicts: number;
  /** How long the device had no session with the server. */
  readonly awayMs: number;
  /** Since when, by the device's clock. */
  readonly since: Date;
  /** Whether all that others did meanwhile is here; until then there may be more conflicts. */
  readonly complete: boolean;
  /** Whether a copy of what waits was kept. There may have been no room for one, and of more than 32 MiB none is made. */
  readonly copied: boolean;
}

/** What a person should be told of the database. */
export interface Status {
  /** `stopped`: the server cannot work with this device; `lastError` says why. */
  readonly connectivity: Connectivity;
  /** Writes that the server has not decided. */
  readonly pending: number;
  /** Writes that the server refused for good: for a person to retry or discard. */
  readonly failed: number;
  /** How sending goes; `null` when nothing is pending. */
  readonly sending: Sending | null;
  /** Whether sending is paused: `outbox.pause`. */
  readonly paused: boolean;
  /** Set while sending is held back after a long absence. */
  readonly review: HeldBack | null;
  /** Whether there is something that `undo` would take back. */
  readonly canUndo: boolean;
  /** Whether there is something that `redo` would do again. */
  readonly canRedo: boolean;
  /** When this device last knew that it shows all that the server has of the open shapes; kept across restarts. */
  readonly lastSyncedAt: Date | null;
  /** Set while shapes load for the first time. */
  readonly progress: {
    /** Rows that are here. */
    readonly loaded: number;
    /** Rows that are to come in all, roughly. */
    readonly total: number;
  } | null;
  /**
   * Rows that turned out to be other than the server has them, although nothing had changed them: a fault, or a write from
   * outside the server. They were replaced. Since the database was opened.
   */
  readonly healed: number;
  /** What a resolved write promises. `memory`: the browser keeps no files for this page; only what waits to be sent is kept. */
  readonly durability: "persistent" | "best-effort" | "memory";
  /** Whether this tab holds the database, or works through the one that does. */
  readonly role: "owner" | "follower";
  /** What went wrong last, while it still matters. */
  readonly lastError: Problem | null;
  /** Who the server says we are. */
  readonly subject: string | null;
  /** Set while the device's clock and the server's are more than an hour apart (LF-5922). Nothing is lost or refused for it. */
  readonly clockProblem: Problem | null;
  /** Set when the database had been lost, and parts of the outbox with it (LF-5304), until the database is closed. */
  readonly recoveryProblem: Problem | null;
}

/** Waits; was handed to the network; was accepted and has not come back yet; was refused for good. */
export type EntryState = "pending" | "sending" | "sent" | "failed";

/** A row, by table and key. */
export interface RowName {
  /** The table's name. */
  readonly table: string;
  /** The key; of several columns it is an object. */
  readonly key: unknown;
}

/** An action that a transaction asks for, with its arguments. */
export interface ActionName {
  /** The action's name. */
  readonly name: string;
  /** The arguments that were given, by name. */
  readonly args: Readonly<Record<string, unknown>>;
}

/** What a transaction does to a row. */
export interface RowChange extends RowName {
  /** Whether it makes, changes or deletes the row. */
  readonly op: "insert" | "update" | "delete";
  /** The values that it writes. */
  readonly values: Readonly<Record<string, unknown>>;
  /** The columns among them to which the value is added, if there are any. */
  readonly added?: readonly string[];
  /**
   * The columns among them of which parts are changed, if there are any: `{ add, remove }` of a set, `{ set, remove }` of a
   * map, by JSON pointer, and `{ was, is }` of a text.
   */
  readonly edited?: readonly string[];
}

/** What an undo left as it is. */
export interface LeftAsIs extends RowName {
  /** The column; `null`: the row as a whole. */
  readonly column: string | null;
}

/** What an undo or redo did. */
export interface Undone {
  /** The transaction that was taken back, or done again. */
  readonly of: number;
  /** The number of the transaction that does it; `null` when all of it was left as it is. */
  readonly rseq: number | null;
  /** What was left as it is, since somebody has changed it since. */
  readonly left: readonly LeftAsIs[];
}

/** What became of an entry that was to be withdrawn. */
export interface Withdrawal {
  /** True: it was never handed to the network, and is gone. False: a new transaction takes it back. */
  readonly withdrawn: boolean;
  /** What it was, where it is gone: to be shown, or written again. */
  readonly entry?: OutboxEntry;
  /** Entries that cannot be without it: they have failed now. */
  readonly withIt?: readonly number[];
  /** What the transaction that takes it back did. */
  readonly undone?: Undone;
}

/** What an import did. */
export interface Imported {
  /** The new failed entries, to be retried or discarded. */
  readonly added: readonly number[];
  /** How many were here already. */
  readonly known: number;
  /** Those that were left out, each with the reason. */
  readonly refused: readonly string[];
}

/** A copy of the whole outbox that was kept before something was thrown away. */
export interface OutboxBackup {
  /** When. */
  readonly at: Date;
  /** Before what. */
  readonly why: string;
  /** The file, for `import`. */
  readonly file: string;
}

/** A transaction on its way to the server. */
export interface OutboxEntry {
  /** Its number on this device. */
  readonly rseq: number;
  /** Where it stands. */
  readonly state: EntryState;
  /** What it does, row by row. */
  readonly rows: readonly RowChange[];
  /** Whether it was never handed to the network: then it can still be changed and withdrawn. */
  readonly open: boolean;
  /** The undecided entries that it waits for. */
  readonly waitsFor: readonly number[];
  /** When it is not worth sending any more, by the server's clock. */
  readonly expiresAt?: Date;
  /** How often the server failed on it. */
  readonly attempts: number;
  /** How urgent it is, 0 to 100: as its tables or the app said, or as what waits for it. */
  readonly priority: number;
  /** When it is offered again: after the server failed on it or on what it follows, or while the app is `asked`. */
  readonly nextAttemptAt?: Date;
  /** The server asks the app's webhook about it, and has no answer yet. What failed before is among the `failures`. */
  readonly asked?: true;
  /** When it was written. */
  readonly createdAt: Date;
  /** The action that it asks for. */
  readonly action?: ActionName;
  /** Why it was refused, or what the server failed with when it was last offered. */
  readonly error?: Problem;
  /** Of a failed entry: the one whose fate it shares, since it required it. That one may have been thrown away since. */
  readonly becauseOf?: number;
  /** When it failed, and why each time: the oldest first, at most eight. The last one of a failed entry is its end. */
  readonly failures?: readonly Failure[];
  /** Of a failed entry: its rows as the person saw them when it failed. */
  readonly seen?: readonly SeenRow[];
}

/** A row as it was seen. */
export interface SeenRow extends RowName {
  /** Its columns. */
  readonly values: Readonly<Record<string, unknown>>;
}

/** When an entry failed, and why. */
export interface Failure {
  /** When this device heard of it. */
  readonly at: Date;
  /** A stable code; docs/errors.md lists them. */
  readonly code: string;
  /** Cause and way out, in a sentence. */
  readonly message: string;
}

/** What others have done to what a held entry writes. */
export interface ChangedSince extends RowName {
  /** The column; `null`: the row as a whole, which is gone. */
  readonly column: string | null;
  /** What it was when the entry was written; absent where that is not known. */
  readonly was?: unknown;
  /** What it is on the server now; absent when the row is gone. */
  readonly now?: unknown;
  /** What the entry gives it; absent when it deletes the row. */
  readonly own?: unknown;
}

/** An entry that is held back after a long absence. */
export interface ReviewEntry extends OutboxEntry {
  /** What others have changed of what it writes, since it was written; empty when nothing. */
  readonly changed: readonly ChangedSince[];
}

/** The transactions on their way to the server, oldest first, and those that it refused. */
export interface Outbox extends Observable<readonly OutboxEntry[]> {
  /** Offers a failed entry again, on the rows as they are now; gives its new number. */
  retry(rseq: number): Promise<number>;
  /** Throws a failed entry away. A copy of the whole outbox is kept among the `backups`. */
  discard(rseq: number): Promise<void>;
  /** Takes an entry back: it goes when it was never handed to the network, otherwise a new transaction undoes it. */
  withdraw(rseq: number): Promise<Withdrawal>;
  /** Sends nothing until `resume`: in all tabs, and after they are closed. Changes of others still come. */
  pause(): Promise<void>;
  /** Goes on sending. */
  resume(): Promise<void>;
  /**
   * Offers now what waits for its next attempt (`nextAttemptAt`), and connects now while the next connection is waited for:
   * for a person who knows that the trouble is over. Gives how many entries waited for that.
   */
  tryNow(): Promise<number>;
  /**
   * What is held back after a long absence (`status.review`), oldest first: each entry, with what others have changed since
   * of what it writes. Until `replay` it can be edited and withdrawn like any other. Empty while nothing is held back.
   */
  review(): Promise<readonly ReviewEntry[]>;
  /** Sends what is held back. */
  replay(): Promise<void>;
  /** The outbox as a file, failed entries included; or one entry of it. */
  export(rseq?: number): Promise<string>;
  /** Takes the entries of a file in as failed ones, to be retried or discarded. */
  import(file: string): Promise<Imported>;
  /** The last copies of the outbox that were kept before something was thrown away, newest first. */
  backups(): Promise<readonly OutboxBackup[]>;
}

/** `ready`: everything that the shape names is here; `error`: the server does not give it. */
export type ShapeState = "loading" | "ready" | "error";

/** A part of the data that this device keeps. It stays open across reloads until `close`. */
export interface Shape extends Observable<ShapeState> {
  /** The same as `current`. */
  readonly state: ShapeState;
  /** Why the server does not give it. */
  readonly error: Error | null;
  /** Resolves once everything that the shape names is here. */
  readonly ready: Promise<void>;
  /** Closes it: its rows leave the device, unless another shape holds them or they have pending writes. */
  close(): Promise<void>;
}

/** A parameter of a query. */
export type Param = null | boolean | number | bigint | string | Date | Uint8Array | readonly unknown[] | object;

/** What a transaction's function may do. Writes are gathered; nothing is stored until the function has ended well. */
export interface Transaction<Tables, Actions = AnyActions> {
  /** Inserts a row; what is left out gets its default, or NULL. */
  insert<T extends keyof Tables & string>(table: T, row: InsertOf<Tables, T>): void;
  /** Changes columns of a row. The row must be there when the transaction is stored. */
  update<T extends keyof Tables & string>(table: T, key: KeyOf<Tables, T>, patch: UpdateOf<Tables, T>): void;
  /**
   * Adds to counters of a row, or takes from them with negative numbers. The row must be there when the transaction is
   * stored. Increments of different devices all count, each exactly once.
   */
  add<T extends keyof Tables & string>(table: T, key: KeyOf<Tables, T>, by: IncrementsOf<Tables, T>): void;
  /**
   * A set of a row, to add elements to and remove elements from. What somebody else adds meanwhile, and was not seen here,
   * survives a remove.
   */
  set<T extends keyof Tables & string>(table: T, key: KeyOf<Tables, T>, column: SetOf<Tables, T> & string): SetCell;
  /** A map of a row, to set and remove what is at its paths. What is at other paths stays as others write it. */
  map<T extends keyof Tables & string>(table: T, key: KeyOf<Tables, T>, column: MapOf<Tables, T> & string): MapCell;
  /**
   * The position of a row in its list, to move it. `within` names the columns that tell lists of one table apart. Rows are in
   * order by `ORDER BY position, key`.
   */
  list<T extends keyof Tables & string>(
    table: T,
    key: KeyOf<Tables, T>,
    column: ListOf<Tables, T> & string,
    within?: readonly (keyof UpdateOf<Tables, T> & string)[],
  ): ListCell<KeyOf<Tables, T>>;
  /**
   * Resolves a conflict, a row of `<table>_conflicts`, by its `conflict_id`. It ends on every device; one that was resolved
   * already is no mistake.
   */
  resolve<T extends keyof Tables & string>(table: T, conflict: string, how: ResolutionOf<Tables, T>): void;
  /** Deletes a row; one that is not there is no mistake. */
  delete<T extends keyof Tables & string>(table: T, key: KeyOf<Tables, T>): void;
  /** A statement that writes. */
  sql(statement: string, params?: readonly Param[]): void;
  /** How urgent this transaction is, 0 to 100, whatever its tables say. What it follows becomes as urgent. */
  setPriority(priority: number): void;
  /**
   * It is decided after an earlier transaction of this device, whatever becomes of that one; `rseq` is its number in the
   * outbox. What touches the same row follows by itself.
   */
  follow(rseq: number): void;
  /** As `follow`, and when the earlier one is refused so is this one. */
  require(rseq: number): void;
  /**
   * Asks for an action: the server runs the app's handler of this name, which sees what this transaction writes and may
   * refuse it, change it and add to it. What is written here shows until then. One action for each transaction.
   */
  action<A extends keyof Actions & string>(name: A, ...args: ArgsOf<Actions, A>): void;
  /**
   * Changes an entry of the outbox: when it was never handed to the network and nothing follows it, both become one, and
   * the old number is among `gone`; otherwise this is a transaction of its own.
   */
  edit(rseq: number): void;
  /** Writes a failed entry again, as part of this transaction: what follows corrects it. */
  retry(rseq: number): void;
  /** Takes the place of a failed entry, which goes. */
  supersede(rseq: number): void;
  /** It is not carried out later than this; if it could not be sent by then, it has failed. */
  expireAt(at: Date): void;
  /** It is nothing that the person did: `undo` passes over it. */
  leaveOutOfUndo(): void;
  /** Reads, and sees what this transaction wrote. */
  query<Row = Record<string, unknown>>(sql: string, params?: readonly Param[]): Promise<Row[]>;
}

/** One of a table's types. */
export type Part<Tables, T extends keyof Tables, P extends string> = Tables[T] extends { [K in P]: infer V }
  ? V
  : never;
/** A row of a table. */
export type RowOf<Tables, T extends keyof Tables> = Part<Tables, T, "row">;
/** What an insert into a table takes. */
export type InsertOf<Tables, T extends keyof Tables> = Part<Tables, T, "insert">;
/** What an update of a table takes. */
export type UpdateOf<Tables, T extends keyof Tables> = Part<Tables, T, "update">;
/** What can be added to a row of a table: numbers, by column. */
export type IncrementsOf<Tables, T extends keyof Tables> = Pick<UpdateOf<Tables, T>, CounterOf<Tables, T>>;
/** The columns of a table that count. */
export type CounterOf<Tables, T extends keyof Tables> = Part<Tables, T, "counter"> & keyof UpdateOf<Tables, T>;
/** The columns of a table that are sets. */
export type SetOf<Tables, T extends keyof Tables> = Part<Tables, T, "set"> & keyof UpdateOf<Tables, T>;
/** The columns of a table that are positions in a list. */
export type ListOf<Tables, T extends keyof Tables> = Part<Tables, T, "list"> & keyof UpdateOf<Tables, T>;
/** The columns of a table that are maps. */
export type MapOf<Tables, T extends keyof Tables> = Part<Tables, T, "map"> & keyof UpdateOf<Tables, T>;
/**
 * What becomes of a conflict: the row stays as it is, the value that gave way takes its place, or something else does, as
 * `{ column: value }`.
 */
export type ResolutionOf<Tables, T extends keyof Tables> = "keep" | "take" | UpdateOf<Tables, T>;
/** The same, of any table. */
export type Resolution = "keep" | "take" | object;
/** An element of a set. */
export type Element = string | number | boolean;
/** Where something is in a map: a name, or those of the objects on the way and its own. */
export type Path = string | readonly string[];
/** A set of a row, within a transaction. */
export interface SetCell {
  /** Adds elements; those that are there stay as they are. */
  add(...elements: readonly Element[]): void;
  /** Removes elements; those that are not there are no mistake. */
  remove(...elements: readonly Element[]): void;
}
/** The position of a row in its list, within a transaction. */
export interface ListCell<Key> {
  /** Puts the row right before or behind another one, or at an end. */
  move(to: "first" | "last" | { readonly before: Key } | { readonly after: Key }): void;
}
/** A map of a row, within a transaction. */
export interface MapCell {
  /** Sets what is at a path, whatever was there; objects on the way are made. */
  set(path: Path, value: unknown): void;
  /** Removes what is at a path, and all below it. */
  remove(path: Path): void;
}
/** The key of a table. */
export type KeyOf<Tables, T extends keyof Tables> = Part<Tables, T, "key">;

/** The arguments of an action, which may be left out when each of them may. */
export type ArgsOf<Actions, A extends keyof Actions> =
  Record<string, never> extends Actions[A] ? [args?: Actions[A]] : [args: Actions[A]];

/** What a transaction did. */
export interface Written<R> {
  /** Its number in the outbox; `null` when no synced row changed and no action was asked for. */
  readonly rseq: number | null;
  /** Entries of the outbox that are no more: it took them up, or their place. */
  readonly gone: readonly number[];
  /** What its function returned. */
  readonly result: R;
}

/** Who the person is, for the server: a token, none, or a function that is asked whenever the server wants another. */
export type Token = string | null | (() => Promise<string | null>);

/** What the rows of a column under `merge = "custom"` are merged by. */
export interface MergeInput<Value = unknown> {
  /** What was there before. */
  base: Value;
  /** What this device made of it. */
  ours: Value;
  /** What somebody else made of it. */
  theirs: Value;
}

/**
 * A merge function of the app's own, for pages. The same three values must have the same outcome; it must be quick, and it cannot
 * wait for anything. What it throws, two different answers, and a value that is not of the column's type decide nothing.
 */
// biome-ignore lint/suspicious/noExplicitAny: which column it is for, the schema says
export type MergeFunction<Value = any> = (input: MergeInput<Value>) => Value;

/** How a database is opened. */
export interface OpenOptions<Tables, Shapes, Actions = AnyActions> {
  /** The constant that `landfall generate` made. */
  schema: Schema<Tables, Shapes, Actions>;
  /** Names the database in this origin. */
  name: string;
  /** The server's address; without one the database stays offline. */
  server?: string | URL | null;
  /** Who the person is; a function is asked again whenever the server wants a new one. */
  token?: Token;
  /** Whether to connect at once, unless `setOnline` was called before. */
  online?: boolean;
  /**
   * The module with the functions that the schema's columns under `merge = "custom"` name, each a {@link MergeFunction} that is
   * exported by its name. The worker loads it, as it is; a text is told from the page's address.
   */
  mergeFunctions?: string | URL | null;
  /** Starts the worker, where the bundler does not find it by itself. */
  worker?: () => Worker;
}

/** What the browser says of this origin's storage. */
export interface StorageReport {
  /** Bytes that are used, roughly. */
  readonly usage: number;
  /** Bytes that may be used, roughly. */
  readonly quota: number;
  /** Whether the data stay when space is short. */
  readonly persisted: boolean;
}

/** An open database. */
export interface Database<Tables = AnyTables, Shapes = AnyShapes, Actions = AnyActions> {
  /** Its name in this origin. */
  readonly name: string;
  /** Connection, what is pending, what has failed. */
  readonly status: Observable<Status>;
  /** The transactions on their way to the server. */
  readonly outbox: Outbox;
  /** Reads with SQL, everything written here included, sent or not. */
  query<Row = Record<string, unknown>>(sql: string, params?: readonly Param[]): Promise<Row[]>;
  /** A query whose answer is kept true while somebody is subscribed. */
  live<Row = Record<string, unknown>>(sql: string, params?: readonly Param[]): LiveQuery<Row>;
  /** Writes all or nothing; on disk when it resolves. What the function throws undoes it. */
  transaction<R>(f: (tx: Transaction<Tables, Actions>) => R | Promise<R>): Promise<Written<R>>;
  /** Inserts a row; on disk when it resolves. */
  insert<T extends keyof Tables & string>(table: T, row: InsertOf<Tables, T>): Promise<Written<void>>;
  /** Changes columns of a row; on disk when it resolves. */
  update<T extends keyof Tables & string>(
    table: T,
    key: KeyOf<Tables, T>,
    patch: UpdateOf<Tables, T>,
  ): Promise<Written<void>>;
  /** Adds to counters of a row; on disk when it resolves. */
  add<T extends keyof Tables & string>(
    table: T,
    key: KeyOf<Tables, T>,
    by: IncrementsOf<Tables, T>,
  ): Promise<Written<void>>;
  /** Deletes a row; on disk when it resolves. */
  delete<T extends keyof Tables & string>(table: T, key: KeyOf<Tables, T>): Promise<Written<void>>;
  /**
   * Takes back the newest transaction of this device that was not taken back, or the one of this number; `null` when there
   * is none. What others have changed since stays, and is told. It is a transaction like any other.
   */
  undo(rseq?: number): Promise<Undone | null>;
  /** Does again what was taken back last, unless something else was written since. */
  redo(): Promise<Undone | null>;
  /** Opens a shape: from now on this device holds its rows, after a reload too, until it is closed. */
  shape<S extends keyof Shapes & string>(shape: S, params?: Shapes[S]): Shape;
  /** What the person should be told of a row. */
  rowState(table: keyof Tables & string, key: unknown): "synced" | "pending" | "sending" | "failed";
  /** Signs in as somebody, or out. */
  setToken(token: Token): Promise<void>;
  /** Connects, or stays offline until it is called again: in all tabs, and after they are closed. */
  setOnline(online: boolean): Promise<void>;
  /** How much the browser has stored for this origin. */
  storage(): Promise<StorageReport>;
  /** Asks the browser to keep the data even when space is short. */
  requestPersistence(): Promise<boolean>;
  /** Lets go of the database. What waits to be sent is sent when it is opened again. */
  close(): Promise<void>;
}
