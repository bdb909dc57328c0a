import { codes, dataOf, type ErrorData, errorOf, fail, LandfallError } from "./error.js";
import { Link } from "./link.js";
import { Live } from "./live.js";
import { State } from "./observable.js";
import { decodeEntry, decodeReview, OutboxState, type WireEntry, type WireReview } from "./outbox.js";
import type { Ask, Config, News, WireStatus } from "./protocol.js";
import { OpenShape } from "./shape.js";
import { Tokens } from "./tokens.js";
import { Tx } from "./transaction.js";
import type {
  AnyActions,
  AnyShapes,
  AnyTables,
  Database,
  LiveQuery,
  OpenOptions,
  Outbox,
  OutboxBackup,
  Param,
  RowName,
  Schema,
  Shape,
  Status,
  StorageReport,
  Token,
  Transaction,
  Undone,
  Withdrawal,
  Written,
} from "./types.js";
import { checkWhole, decodeKey, decodeRows, encodeParams, encodeShapeParams, refuse } from "./values.js";

const UNKNOWN: Status = {
  connectivity: "offline",
  pending: 0,
  failed: 0,
  sending: null,
  paused: false,
  review: null,
  canUndo: false,
  canRedo: false,
  lastSyncedAt: null,
  progress: null,
  healed: 0,
  durability: "best-effort",
  role: "owner",
  lastError: null,
  subject: null,
  clockProblem: null,
  recoveryProblem: null,
};

function startWorker(): Worker {
  return new Worker(new URL("./worker.js", import.meta.url), { type: "module", name: "landfall" });
}

/**
 * Opens or creates the database of this name in this origin. It resolves when the database can be read and written,
 * here or through the tab that holds it; it waits for no network.
 */
export async function openDatabase<Tables = AnyTables, Shapes = AnyShapes, Actions = AnyActions>(
  options: OpenOptions<Tables, Shapes, Actions>,
): Promise<Database<Tables, Shapes, Actions>> {
  const database = new Client(options as unknown as OpenOptions<AnyTables, AnyShapes>);
  await database.open();
  return database as unknown as Database<Tables, Shapes, Actions>;
}

/** An address, or none; anything else is refused before a worker is started for it. */
function serverOf(server: string | URL | null | undefined): string | null {
  if (server === null || server === undefined || server === "") return null;
  const { protocol, href } = new URL(URL.canParse(server) ? server : "none:");
  if (!/^https?:$/.test(protocol)) {
    throw fail(codes.noServer, `'${server}' is not a server address; write something like https://app.example`);
  }
  return href.replace(/\/*([?#].*)?$/, "");
}

/** The address of a module, as the worker can load it: told from the page's own, which is another one than the worker's. */
function moduleOf(address: string | URL | null | undefined): string | null {
  if (address === null || address === undefined) return null;
  const base = globalThis.document?.baseURI ?? globalThis.location?.href;
  if (URL.canParse(address, base)) return new URL(address, base).href;
  const message = `'${address}' is no address of a module; write new URL("./merge.js", import.meta.url)`;
  throw fail(codes.functions, message);
}

/** A database as the page sees it. */
class Client implements Database {
  readonly name: string;
  readonly status: State<Status>;
  readonly #schema: Schema;
  readonly #link: Link;
  readonly #lives = new Map<number, Live<unknown>>();
  readonly #shapes = new Map<number, OpenShape>();
  readonly #outbox: OutboxState;
  readonly #tokens: Tokens;
  readonly #config: Config;
  #subs = 0;
  readonly #hooks = new AbortController();

  constructor(options: OpenOptions<AnyTables, AnyShapes>) {
    const { schema, name } = options;
    if (typeof name !== "string" || !/^[\w.-]{1,100}$/.test(name)) {
      throw fail(
        codes.storage,
        `'${name}' cannot name a database; take letters, digits, '-', '_' and '.', at most 100`,
      );
    }
    if (typeof schema?.compiled !== "string") {
      throw fail(
        codes.unknownName,
        "`schema` is not what `landfall generate` makes; import it from the generated file",
      );
    }
    this.name = name;
    this.#schema = schema;
    this.status = new State(UNKNOWN);
    this.#config = {
      name,
      version: schema.version,
      compiled: schema.compiled,
      server: serverOf(options.server),
      token: null,
      online: options.online ?? true,
      functions: moduleOf(options.mergeFunctions),
    };
    this.#tokens = new Tokens(options.token ?? null, (token) => void this.#giveToken(token));
    this.#outbox = new OutboxState(schema, (on) => this.#tell({ do: "outbox", on }));
    this.#link = new Link(options.worker ?? startWorker, {
      news: (news) => this.#hear(news),
      restarted: (error) => this.#restarted(error),
    });
    // A page without a document (a worker) has no visibility to watch, and is never left.
    if (typeof document === "undefined") return;
    const { signal } = this.#hooks;
    document.addEventListener("visibilitychange", () => document.hidden || this.#tell({ do: "nudge" }), { signal });
    addEventListener("pagehide", ({ persisted }) => persisted && this.#link.setAside(), { signal });
    addEventListener("pageshow", ({ persisted }) => persisted && this.#link.comeBack(), { signal });
  }

  async open(): Promise<void> {
    try {
      this.#config.token = await this.#tokens.first();
      await this.#link.open(this.#config);
    } catch (thrown) {
      this.#end();
      throw errorOf(thrown);
    }
  }

  get outbox(): Outbox {
    const state = this.#outbox;
    return {
      get current() {
        return state.current;
      },
      subscribe: (listener) => state.subscribe(listener),
      retry: async (rseq) => (await this.ask({ do: "retry", rseq: checkWhole("retry", rseq) })) as number,
      discard: async (rseq) => void (await this.ask({ do: "discard", rseq: checkWhole("discard", rseq) })),
      withdraw: async (rseq) => {
        const told = await this.#manage<Withdrawal & { entry?: WireEntry }>("withdraw", checkWhole("withdraw", rseq));
        const { undone, entry, ...answer } = told;
        if (undone) return { ...answer, undone: this.#undone(undone) };
        return { ...answer, ...(entry && { entry: decodeEntry(this.#schema, entry) }) };
      },
      export: async (rseq) => this.#command("export", entryOf("export", rseq)),
      pause: () => this.#manage("pause"),
      resume: () => this.#manage("resume"),
      tryNow: () => this.#manage("try"),
      review: async () => (await this.#manage<WireReview[]>("review")).map((one) => decodeReview(this.#schema, one)),
      replay: () => this.#manage("replay"),
      import: (file) => this.#manage("import", file),
      backups: async () =>
        (await this.#manage<OutboxBackup[]>("backups")).map((one) => ({ ...one, at: new Date(one.at) })),
    };
  }

  async undo(rseq?: number): Promise<Undone | null> {
    return this.#undone(await this.#manage<Undone | null>("undo", entryOf("undo", rseq)));
  }

  async redo(): Promise<Undone | null> {
    return this.#undone(await this.#manage<Undone | null>("redo"));
  }

  /** Something that is done to the outbox, with the answer as text. */
  #command(verb: string, arg: unknown = ""): Promise<string> {
    return this.ask({ do: "manage", verb, arg: `${arg}` }) as Promise<string>;
  }

  async #manage<T>(verb: string, arg?: unknown): Promise<T> {
    return JSON.parse(await this.#command(verb, arg)) as T;
  }

  /** With keys as the page has them. */
  #undone<U extends Undone | null | undefined>(undone: U): U {
    const key = (one: RowName) => decodeKey(this.#schema, one.table, one.key as unknown[]);
    return undone && { ...undone, left: undone.left.map((one) => ({ ...one, key: key(one) })) };
  }

  /** @internal Where the server is, and as whom it is spoken to. */
  server(): { server: string | null; token: string | null } {
    return { server: this.#config.server, token: this.#config.token };
  }

  /** @internal The column that is the key of a table, where it is one. */
  keyOf(table: string): string {
    const key = this.#schema.tables[table]?.key ?? [];
    return key.length === 1 && key[0] !== undefined
      ? key[0]
      : refuse("a table whose key is one column", table, {}, "bindDoc");
  }

  /** @internal What other parts of the package ask of the worker. */
  ask(ask: Ask): Promise<unknown> {
    return this.#link.ask(ask);
  }

  /** Asks for something whose failure the state of things tells. */
  #tell(ask: Ask): void {
    this.#link.ask(ask).catch(() => undefined);
  }

  async query<Row>(sql: string, params: readonly Param[] = []): Promise<Row[]> {
    return decodeRows(await this.ask({ do: "query", sql: text(sql), params: encodeParams(params) }));
  }

  live<Row>(sql: string, params: readonly Param[] = []): LiveQuery<Row> {
    return new Live<Row>(++this.#subs, text(sql), encodeParams(params), (live, on) => {
      const { sub } = live;
      if (on) {
        this.#lives.set(sub, live as Live<unknown>);
        this.#watch(live as Live<unknown>);
      } else {
        this.#lives.delete(sub);
        this.#tell({ do: "unwatch", sub });
      }
    });
  }

  #watch({ sub, sql, params }: Live<unknown>): void {
    this.ask({ do: "watch", sub, sql, params }).catch((error) => this.#lives.get(sub)?.failed(error));
  }

  async transaction<R>(f: (tx: Transaction<AnyTables>) => R | Promise<R>): Promise<Written<R>> {
    const tx = new Tx(this.#schema, (ask) => this.ask(ask));
    let result: R;
    try {
      result = await f(tx);
    } catch (thrown) {
      await tx.undo();
      throw thrown;
    }
    const [rseq = null, ...gone] = await tx.finish();
    return { rseq, gone: gone as number[], result };
  }

  insert(table: string, row: object): Promise<Written<void>> {
    return this.transaction((tx) => tx.insert(table, row as never));
  }

  update(table: string, key: unknown, patch: object): Promise<Written<void>> {
    return this.transaction((tx) => tx.update(table, key as never, patch as never));
  }

  add(table: string, key: unknown, by: object): Promise<Written<void>> {
    return this.transaction((tx) => tx.add(table, key as never, by as never));
  }

  delete(table: string, key: unknown): Promise<Written<void>> {
    return this.transaction((tx) => tx.delete(table, key as never));
  }

  shape(name: string, params?: object): Shape {
    const sub = ++this.#subs;
    const encoded = encodeShapeParams(this.#schema, name, params);
    const shape = new OpenShape(name, encoded, async () => {
      this.#shapes.delete(sub);
      await this.ask({ do: "unshape", sub });
    });
    this.#shapes.set(sub, shape);
    this.#openShape(sub, shape);
    return shape;
  }

  #openShape(sub: number, shape: OpenShape): void {
    const { name, params } = shape;
    this.ask({ do: "shape", sub, name, params }).catch((error) => shape.failed(error));
  }

  rowState(table: string, key: unknown): "synced" | "pending" | "sending" | "failed" {
    return this.#outbox.rowState(table, key);
  }

  async setToken(token: Token): Promise<void> {
    await this.#giveToken(await this.#tokens.set(token));
  }

  async #giveToken(token: string | null): Promise<void> {
    this.#config.token = token;
    await this.ask({ do: "token", token }).catch(() => undefined);
  }

  async setOnline(online: boolean): Promise<void> {
    await this.ask({ do: "online", online });
  }

  async storage(): Promise<StorageReport> {
    const { usage = 0, quota = 0 } = (await storage("estimate")) ?? {};
    return { usage, quota, persisted: (await storage("persisted")) ?? false };
  }

  async requestPersistence(): Promise<boolean> {
    const granted = (await storage("persist")) ?? false;
    this.#tell({ do: "persisted" });
    return granted;
  }

  async close(): Promise<void> {
    await this.#link.close();
    this.#end();
  }

  #end(): void {
    this.#hooks.abort();
    this.#tokens.stop();
    this.#link.end(fail(codes.closed, "the database is closed; open it again"));
  }

  #hear(news: News): void {
    switch (news.news) {
      case "status":
        this.#setStatus(news.status);
        return;
      case "live":
        this.#lives.get(news.sub)?.first(news.answer);
        return;
      case "rows":
        this.#lives.get(news.sub)?.diff(news.diff);
        return;
      case "liveError":
        this.#lives.get(news.sub)?.failed(new LandfallError(news.error));
        return;
      case "shape":
        this.#shapes.get(news.sub)?.heard(news.complete, news.failure);
        return;
      case "outbox":
        this.#outbox.heard(news.entries);
    }
  }

  #setStatus(wire: WireStatus): void {
    const lastSyncedAt = wire.lastSyncedAt === null ? null : new Date(wire.lastSyncedAt);
    const review = wire.review && { ...wire.review, since: new Date(wire.review.since) };
    this.status.set({ ...wire, lastSyncedAt, review });
    if (wire.connectivity === "needs-sign-in") this.#tokens.renew();
  }

  /** The worker had to be started anew; everything that was open is opened again. */
  #restarted(error: ErrorData | null): void {
    this.#link.open(this.#config).then(
      () => {
        for (const live of this.#lives.values()) this.#watch(live);
        for (const [sub, shape] of this.#shapes) this.#openShape(sub, shape);
        if (this.#outbox.isWatched) this.#tell({ do: "outbox", on: true });
        if (error) this.status.set({ ...this.status.current, lastError: error });
      },
      (thrown) => this.status.set({ ...this.status.current, connectivity: "offline", lastError: dataOf(thrown) }),
    );
  }
}

function text(sql: unknown): string {
  return typeof sql === "string" ? sql : refuse("a string", sql, {}, "a statement");
}

/** The number of an entry as text, or nothing where none is named. */
function entryOf(what: string, rseq?: number): string {
  return rseq === undefined ? "" : `${checkWhole(what, rseq)}`;
}

/** What the browser says of its storage. Storage that is denied reports nothing, which is the truth about it. */
async function storage<Q extends "estimate" | "persist" | "persisted">(question: Q) {
  return (await navigator.storage?.[question]?.().catch(() => undefined)) as
    | Awaited<ReturnType<StorageManager[Q]>>
    | undefined;
}
