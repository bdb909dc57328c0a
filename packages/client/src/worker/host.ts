// The owner's side: the engine, what is asked of it, and where its effects go.

import { type Client as Engine, initSync, open as openEngine } from "../../wasm/landfall_client_web.js";
import type { Ask, Config, News, WireStatus } from "../protocol.js";
import { Alarm } from "./alarm.js";
import { codes, type ErrorData, fail, failureOf } from "./failure.js";
import { functionNames } from "./functions.js";
import { Holding } from "./holding.js";
import { type Found, Mirror, storageError } from "./mirror.js";
import { Net } from "./net.js";
import { isDenied, isInUse, nextGeneration, type Place, place } from "./storage.js";

/** The files of a tab that ended are released within this long. */
const RELEASE_MS = 6_000;
/** SQLite's page cache. Its default of 16 MiB is more than a phone should spend. */
const CACHE_KIB = 4_096;
/** The outbox is read and told at most once in so many times as long as that took: a long one drains beside it. */
const OUTBOX_REST = 10;
/** What is carried out once, however often a page asks for it: a tab whose owner is gone asks the next one again. */
const ONCE = ["write", "commit", "retry", "discard", "manage"];
/** What is managed without a change. */
const READS = ["export", "backups", "review"];
/** So many rows of a first load are stored in one turn: a read or a write waits no longer than that takes. */
const CHUNK_ROWS = 500;

/** A page, of this tab or of another one. */
export interface Peer {
  /** Names the tab; `null` for the owner's own page, whose requests end with it. */
  readonly tab: string | null;
  news(news: News): void;
}

type Engineless = Omit<WireStatus, "durability" | "role">;

/** What a page watches, by the number that the page gave it. */
interface Sub {
  readonly peer: Peer;
  readonly sub: number;
}

/** How a shape stands, and who wants to know. */
interface Watched {
  complete: boolean;
  failure: string | null;
  subs: Sub[];
}

/** Told when the engine cannot go on; the tab starts it anew. */
export type Fatal = (error: ErrorData) => void;

export class Host {
  #engine!: Engine;
  #dead: ErrorData | null = null;
  readonly #net: Net;
  readonly #peers = new Map<Peer, "owner" | "follower">();
  readonly #watches = new Map<number, Sub>();
  readonly #shapes = new Map<number, Watched>();
  readonly #outboxes = new Set<Peer>();
  #outboxText = "";
  #outboxTimer: ReturnType<typeof setTimeout> | undefined;
  #outboxDue = Number.POSITIVE_INFINITY;
  /** Not before then is the outbox told again: as it drains, and for what a page does. */
  readonly #outboxRests: [number, number] = [0, 0];
  #engineStatus: Engineless | null = null;
  #durability: WireStatus["durability"] = "best-effort";
  readonly #alarm = new Alarm(() => this.#input((engine) => engine.tick()));
  #due: number | undefined;
  #generation: number | null = null;
  /** Whether the database is in memory: then nothing leaves before the mirror has it. */
  #inMemory = false;
  readonly #holding: Holding;
  readonly #online = () => this.#input((engine) => engine.nudge());
  readonly #config: Config;
  readonly #mirror: Mirror | null;
  readonly #requests: Map<string, unknown>;
  readonly #fatal: Fatal;

  private constructor(config: Config, mirror: Mirror | null, requests: Map<string, unknown>, fatal: Fatal) {
    this.#config = config;
    this.#mirror = mirror;
    this.#requests = requests;
    this.#fatal = fatal;
    // Without a server the engine is never online, and asks for nothing of it.
    this.#net = new Net(config.server ?? "", (input) => {
      this.#input(input);
      this.#refreshWaiting();
    });
    this.#holding = new Holding(() => this.#turn((engine) => engine.rollback()));
    mirror?.onFailure((error) => {
      // The second copy may fail; the only one may not.
      if (this.#inMemory) this.#die(error);
      else console.warn(`landfall: ${error.message}`);
    });
  }

  get epoch(): number {
    return this.#mirror?.epoch ?? Math.floor(performance.timeOrigin);
  }

  /** Loads the engine and opens the database. Throws {@link ErrorData}'s error. */
  static async open(config: Config, fatal: Fatal): Promise<Host> {
    const [opened] = await Promise.all([openMirror(config.name), loadModule()]);
    const host = new Host(config, opened.mirror, opened.found.requests, fatal);
    try {
      await host.#open(opened.found, opened.error);
    } catch (thrown) {
      opened.mirror?.close();
      throw failureOf(thrown) ?? panicOf(thrown);
    }
    return host;
  }

  async #open(found: Found, mirrorError: ErrorData | null): Promise<void> {
    const { name } = this.#config;
    const until = performance.now() + RELEASE_MS;
    const look = () =>
      place(name).catch((thrown) => {
        throw storageError(thrown, "the browser's storage cannot be opened");
      });
    for (let where = await look(); ; ) {
      if (where) this.#generation = where.generation;
      else this.#stayInMemory(mirrorError);
      try {
        await this.#openAt(where, found);
        break;
      } catch (thrown) {
        const error = failureOf(thrown);
        if (!error || !where) throw thrown;
        const exception = error.exception ?? "";
        if (isDenied(exception)) {
          where = null;
          continue;
        }
        if (isInUse(exception)) {
          // Never taken for a database that is not there: the files of the tab before are about to be released.
          if (performance.now() > until) throw inUse(name);
          await new Promise((resolve) => setTimeout(resolve, 50));
        } else if (exception === "QuotaExceededError") {
          throw storageError({ name: exception }, "");
        } else if (exception === "DamagedPool" || [codes.damaged, "LF-5001"].includes(error.code)) {
          console.warn(`landfall: ${error.message}; it is put aside and made anew`);
          await nextGeneration(name, where.generation);
        } else {
          throw thrown;
        }
        where = await look();
      }
    }
    await this.#refreshDurability();
    self.addEventListener("online", this.#online);
    this.#schedule();
  }

  /** Opens the database in its folder, or in memory where there is none. */
  async #openAt(where: Place | null, found: Found): Promise<void> {
    const { compiled: schema, token, online } = this.#config;
    const config = {
      schema,
      directory: where?.directory ?? null,
      vfs: `landfall-${where?.generation ?? 0}`,
      token,
      online: this.#mayBeOnline(found.online ?? online),
      cache_kib: CACHE_KIB,
      chunk_rows: CHUNK_ROWS,
      functions: functionNames(),
    };
    const sink = this.#sink(found) as never;
    this.#engine = await openEngine(JSON.stringify(config), found.frames, found.images, sink);
    if (!where) await this.#mirror?.settled();
  }

  #mayBeOnline(wanted: boolean): boolean {
    return wanted && this.#config.server !== null;
  }

  #stayInMemory(mirrorError: ErrorData | null): void {
    if (!this.#mirror) {
      const why = mirrorError ? ` (${mirrorError.message})` : "";
      const wayOut = "allow storage for this site, or leave the private window";
      throw fail(codes.nothingStored, `this browser lets the page store nothing${why}; ${wayOut}`);
    }
    this.#inMemory = true;
    this.#durability = "memory";
    this.#mirror.beFirstCopy();
  }

  // ------------------------------------------------------------------ peers

  join(peer: Peer, role: "owner" | "follower"): void {
    this.#peers.set(peer, role);
    this.#tellStatus(peer);
  }

  /** A page is gone. Its shapes stay open, as they do over a reload. */
  leave(peer: Peer): void {
    this.#peers.delete(peer);
    this.#outboxes.delete(peer);
    this.#unwatch(peer);
    for (const shape of this.#shapes.values()) shape.subs = shape.subs.filter((sub) => sub.peer !== peer);
    this.#holding.drop(peer);
  }

  /** Carries out what a page asks for. Rejects with a {@link ErrorData}. */
  async ask(peer: Peer, id: number, ask: Ask): Promise<unknown> {
    if (this.#dead) throw this.#dead;
    const once = ONCE.includes(ask.do);
    const request = once && peer.tab !== null ? `${peer.tab}:${id}` : undefined;
    const tx = "tx" in ask ? ask.tx : undefined;
    // A commit of the transaction that is open here was never carried out before.
    if (request !== undefined && !(tx !== undefined && this.#holding.holds(tx))) {
      const known = await this.#answered(request, ask);
      if (known !== undefined) return known;
    }
    const value = await this.#run((engine) => {
      const answer = this.#carryOut(engine, peer, ask, request);
      // What only reads is read again.
      if (this.#inMemory && request !== undefined && !("verb" in ask && READS.includes(ask.verb))) {
        this.#requests.set(request, answer);
        this.#mirror?.answered(request, answer);
      }
      if (once) this.#refreshOutbox(1);
      return answer;
    }, tx);
    // In memory a write is durable once the mirror has it.
    if (this.#inMemory && once) {
      await this.#mirror?.settled().catch(() => {
        throw this.#dead ?? fail(codes.storage, "the browser could not store the write");
      });
    }
    return value;
  }

  /** What was answered to a request before; `undefined`: it was not carried out. */
  async #answered(request: string, ask: Ask): Promise<unknown> {
    if (this.#inMemory) return this.#requests.get(request);
    const known = await this.#run((engine) => engine.answered(request) as string | undefined);
    // What is managed is answered in JSON text, which the page reads.
    return known === undefined || ask.do === "manage" ? known : JSON.parse(known);
  }

  #carryOut(engine: Engine, peer: Peer, ask: Ask, request: string | undefined): unknown {
    switch (ask.do) {
      case "query":
        return engine.query(ask.sql, ask.params);
      case "write":
        return engine.write(ask.ops, request);
      case "begin":
        engine.begin();
        return this.#holding.begin(peer);
      case "step":
        return this.#holding.part(() => engine.step(ask.ops));
      case "peek":
        return this.#holding.part(
          () => engine.peek(ask.sql, ask.params),
          (error) => engine.isHeld() && failureOf(error) !== null,
        );
      case "commit":
        return this.#holding.end(() => {
          if (ask.ops !== "[]") engine.step(ask.ops);
          return engine.commit(request);
        });
      case "rollback":
        return this.#holding.end(() => engine.rollback());
      case "watch": {
        const { sub } = ask;
        const [id, answer] = engine.watch(ask.sql, ask.params) as [number, string];
        this.#watches.set(id, { peer, sub });
        return peer.news({ news: "live", sub, answer });
      }
      case "unwatch":
        return this.#unwatch(peer, ask.sub);
      case "shape": {
        const { sub } = ask;
        const shape = this.#shapes.get(engine.openShape(ask.name, ask.params));
        if (!shape) return;
        shape.subs = [...without(shape, peer, sub), { peer, sub }];
        return tellShape(shape, [{ peer, sub }]);
      }
      case "unshape":
        for (const [handle, shape] of this.#shapes) {
          const rest = without(shape, peer, ask.sub);
          const isLast = rest.length === 0 && shape.subs.length > 0;
          shape.subs = rest;
          if (!isLast) continue;
          this.#shapes.delete(handle);
          engine.closeShape(handle);
        }
        return;
      case "outbox":
        if (ask.on) {
          this.#outboxes.add(peer);
          // What is new to it may be new to the others, too.
          this.#tellOutbox(this.#readOutbox(0) ? this.#outboxes : [peer]);
        } else {
          this.#outboxes.delete(peer);
        }
        return;
      case "retry":
        return engine.retry(ask.rseq, request);
      case "discard":
        return engine.discard(ask.rseq, request);
      case "manage":
        return engine.manage(ask.verb, ask.arg, request);
      case "token":
        return engine.setToken(ask.token);
      case "online":
        // Of all tabs, whichever owns the database next, and after a reload too.
        this.#mirror?.keep("online", ask.online);
        engine.setOnline(this.#mayBeOnline(ask.online));
        return this.#mirror?.settled().catch(() => undefined);
      case "cache":
        return engine.cache(ask.call, ask.value);
      case "nudge":
        return engine.nudge();
      case "persisted":
        void this.#refreshDurability().then(() => this.#tellAll());
    }
  }

  /** Ends one watch of a page, or all that it has. */
  #unwatch(peer: Peer, sub?: number): void {
    for (const [id, watch] of this.#watches) {
      if (watch.peer !== peer || (sub ?? watch.sub) !== watch.sub) continue;
      this.#watches.delete(id);
      this.#turn((engine) => engine.unwatch(id));
    }
  }

  // ------------------------------------------------------------------ turns of the engine

  /** One call into the engine. What is not an error of its own is a panic, and ends it. */
  #turn<T>(call: (engine: Engine) => T): T {
    if (this.#dead) throw this.#dead;
    try {
      return call(this.#engine);
    } catch (thrown) {
      const error = failureOf(thrown);
      if (!error) {
        void this.#die(panicOf(thrown));
        throw this.#dead;
      }
      // A damaged database is made anew by the next start, from the server and the mirror.
      if (error.code === codes.damaged && this.#generation !== null) void this.#die(error, this.#generation);
      throw error;
    } finally {
      this.#schedule();
    }
  }

  /** A turn that waits for an open transaction to end, unless it is a part of that. */
  #run<T>(call: (engine: Engine) => T, tx?: string): Promise<T> {
    return this.#holding.run(tx, () => this.#turn(call));
  }

  /** An input that nobody waits for. */
  #input(call: (engine: Engine) => void): void {
    this.#run(call).catch(() => undefined);
  }

  /** Nothing is asked of the engine any more; `damaged` is the generation of files that is put aside. */
  async #die(error: ErrorData, damaged?: number): Promise<void> {
    if (this.#dead) return;
    this.#dead = error;
    this.#stop();
    if (damaged !== undefined) {
      await this.#mirror?.settled().catch(() => undefined);
      await nextGeneration(this.#config.name, damaged).catch(() => undefined);
    }
    this.#holding.fail(error);
    this.#fatal(error);
  }

  #stop(): void {
    this.#alarm.close();
    clearTimeout(this.#outboxTimer);
    self.removeEventListener("online", this.#online);
    this.#net.close();
  }

  /** Closes everything in order. */
  async close(): Promise<void> {
    if (this.#dead) return;
    this.#input((engine) => engine.setOnline(false));
    this.#dead = fail(codes.closed, "the database is closed; open it again");
    this.#stop();
    this.#holding.fail(this.#dead);
    await this.#mirror?.settled().catch(() => undefined);
    this.#engine.free();
    this.#mirror?.close();
  }

  #schedule(): void {
    if (this.#dead || !this.#engine) return;
    try {
      const due = this.#engine.deadline();
      if (due === this.#due && this.#alarm.isSet) return;
      this.#due = due;
      if (due === undefined) this.#alarm.clear();
      else this.#alarm.set(Math.ceil(due - performance.now()));
    } catch (thrown) {
      void this.#die(panicOf(thrown));
    }
  }

  // ------------------------------------------------------------------ effects

  /** The engine's effects. They come within a call, so that none may call back into it. */
  #sink(found: Found) {
    const net = this.#net;
    const mirror = this.#mirror;
    return {
      connect: (connection: number) => net.connect(connection),
      disconnect: (connection: number) => net.disconnect(connection),
      send: (connection: number, frame: Uint8Array<ArrayBuffer>) => {
        this.#refreshWaiting();
        const send = () => net.send(connection, frame);
        // What the server knows of must not be forgotten here.
        if (this.#inMemory) mirror?.settled().then(send, () => undefined);
        else send();
      },
      fetch: (request: number, address: string) => net.fetch(request, address),
      status: (json: string) => {
        this.#engineStatus = JSON.parse(json) as Engineless;
        this.#tellAll();
        this.#refreshOutbox();
      },
      rows: (query: number, diff: string) => {
        const watch = this.#watches.get(query);
        watch?.peer.news({ news: "rows", sub: watch.sub, diff });
      },
      queryFailed: (query: number, reason: string) => {
        const watch = this.#watches.get(query);
        const code = /LF-\d{4}/.exec(reason)?.[0] ?? "LF-5203";
        watch?.peer.news({ news: "liveError", sub: watch.sub, error: { code, message: reason } });
      },
      shape: (handle: number, complete: boolean, failure: string | null = null) => {
        const shape = { complete, failure, subs: this.#shapes.get(handle)?.subs ?? [] };
        this.#shapes.set(handle, shape);
        tellShape(shape);
      },
      mirrorPut: (name: string, frame: Uint8Array, images?: Uint8Array) => {
        mirror?.put(name, frame, images);
        this.#refreshOutbox();
      },
      mirrorDelete: (name: string) => {
        mirror?.delete(name);
        this.#refreshOutbox();
      },
      mirrorDamaged: (name: string) => mirror?.keep(name, found.frames),
      mirrorAnew: (names: string[], frames: Uint8Array[], images: (Uint8Array | undefined)[]) =>
        mirror?.anew(names, frames, images),
    };
  }

  /**
   * Tells of the outbox soon; many changes that come together are told once, the last state always. What a page does
   * itself (1) does not wait behind what is told while the outbox drains (0).
   */
  #refreshOutbox(whose: 0 | 1 = 0): void {
    const now = performance.now();
    const due = Math.max(now + 20, this.#outboxRests[whose]);
    if (this.#outboxes.size === 0 || this.#outboxDue <= due) return;
    clearTimeout(this.#outboxTimer);
    this.#outboxDue = due;
    this.#outboxTimer = setTimeout(() => {
      this.#outboxDue = Number.POSITIVE_INFINITY;
      this.#input(() => this.#readOutbox(whose) && this.#tellOutbox(this.#outboxes));
    }, due - now);
  }

  /**
   * What waits may have been handed over, asked about, or failed: neither the status nor the mirror says so, since as much
   * waits as before.
   */
  #refreshWaiting(): void {
    if (this.#outboxText !== "[]") this.#refreshOutbox();
  }

  /** Whether it is another than before. */
  #readOutbox(whose: 0 | 1): boolean {
    const before = this.#outboxText;
    const began = performance.now();
    this.#outboxText = this.#engine.outbox();
    const ended = performance.now();
    this.#outboxRests.fill(ended + OUTBOX_REST * (ended - began), 0, whose + 1);
    return this.#outboxText !== before;
  }

  #tellOutbox(peers: Iterable<Peer>): void {
    for (const peer of peers) peer.news({ news: "outbox", entries: this.#outboxText });
  }

  async #refreshDurability(): Promise<void> {
    if (this.#inMemory) return;
    const persisted = await navigator.storage.persisted?.().catch(() => false);
    this.#durability = persisted ? "persistent" : "best-effort";
  }

  #tellAll(): void {
    for (const peer of this.#peers.keys()) this.#tellStatus(peer);
  }

  #tellStatus(peer: Peer): void {
    const role = this.#peers.get(peer);
    if (!this.#engineStatus || role === undefined) return;
    peer.news({ news: "status", status: { ...this.#engineStatus, durability: this.#durability, role } });
  }
}

function without({ subs }: Watched, peer: Peer, sub: number): Sub[] {
  return subs.filter((other) => other.peer !== peer || other.sub !== sub);
}

function tellShape({ complete, failure, subs }: Watched, whom = subs): void {
  for (const { peer, sub } of whom) peer.news({ news: "shape", sub, complete, failure });
}

function inUse(name: string): ErrorData {
  const message =
    `another tab or window holds the files of the database '${name}' and does not answer; ` +
    "nothing stored is lost: close it, and reload this one";
  return fail(codes.inUse, message);
}

const NOTHING = new Uint8Array();

async function openMirror(name: string): Promise<{ mirror: Mirror | null; found: Found; error: ErrorData | null }> {
  try {
    return { ...(await Mirror.open(name)), error: null };
  } catch (thrown) {
    const error = storageError(thrown, "IndexedDB cannot be opened");
    if (error.exception === "VersionError") throw error;
    return { mirror: null, found: { frames: NOTHING, images: NOTHING, requests: new Map() }, error };
  }
}

/** Compiles the module while it comes in. Its generated loader does this in four times the code, for every environment. */
async function loadModule(): Promise<void> {
  try {
    const response = await fetch(new URL("../../wasm/landfall_client_web_bg.wasm", import.meta.url));
    if (!response.ok) throw new Error(`${response.url} is answered with ${response.status}`);
    const streams = response.headers.get("content-type") === "application/wasm";
    const module = streams ? WebAssembly.compileStreaming(response) : WebAssembly.compile(await response.arrayBuffer());
    initSync(await module);
  } catch (thrown) {
    const message =
      `the database's .wasm file could not be loaded (${thrown}); ` +
      "check that it is served beside the app, and reload";
    throw fail(codes.module, message);
  }
}

function panicOf(thrown: unknown): ErrorData {
  const words = (self as { landfallPanic?: string }).landfallPanic ?? thrown;
  return fail(
    codes.panicked,
    "the engine stopped by a fault of its own and is started anew; " +
      `every confirmed write is kept, others may be asked for again. Please report: ${words}`,
  );
}
