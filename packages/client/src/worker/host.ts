// The owner's side: the engine, what is asked of it, and where its effects go.

import { type Client as Engine, initSync, open as openEngine } from "../../wasm/landfall_client_web.js";
import { codes, dataOf, type ErrorData, fail, LandfallError, wordsOf } from "../error.js";
import type { Ask, Config, News, WireStatus } from "../protocol.js";
import { Alarm } from "./alarm.js";
import { Holding } from "./holding.js";
import { type Found, Mirror, storageError } from "./mirror.js";
import { Net } from "./net.js";
import { isDenied, isInUse, nextGeneration, place } from "./storage.js";

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

/** Told when the engine cannot go on; the tab starts it anew. */
export type Fatal = (error: ErrorData) => void;

const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

export class Host {
  #engine!: Engine;
  #dead: ErrorData | null = null;
  readonly #net: Net | null;
  readonly #peers = new Map<Peer, "owner" | "follower">();
  readonly #watches = new Map<number, { peer: Peer; sub: number }>();
  readonly #shapes = new Map<
    number,
    { complete: boolean; failure: string | null; subs: { peer: Peer; sub: number }[] }
  >();
  readonly #outboxes = new Set<Peer>();
  #outboxText = "";
  #outboxTimer: ReturnType<typeof setTimeout> | undefined;
  #outboxDue = Number.POSITIVE_INFINITY;
  /** Not before then is the outbox told again: as it drains, and for what a page does. */
  readonly #outboxRests: [number, number] = [0, 0];
  #engineStatus: Engineless | null = null;
  #durability: WireStatus["durability"] = "best-effort";
  readonly #alarm = new Alarm(() => this.#input(() => this.#engine.tick()));
  #due: number | undefined;
  #generation: number | null = null;
  /** Whether the database is in memory: then nothing leaves before the mirror has it. */
  #inMemory = false;
  readonly #holding: Holding;
  readonly #online = () => this.#input(() => this.#engine.nudge());
  readonly #config: Config;
  readonly #mirror: Mirror | null;
  readonly #requests: Map<string, unknown>;
  readonly #fatal: Fatal;

  private constructor(config: Config, mirror: Mirror | null, requests: Map<string, unknown>, fatal: Fatal) {
    this.#config = config;
    this.#mirror = mirror;
    this.#requests = requests;
    this.#fatal = fatal;
    this.#net = config.server === null ? null : this.#makeNet(config.server);
    this.#holding = new Holding(() => this.#turn(() => this.#engine.rollback()));
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
      throw new LandfallError(errorOf(thrown) ?? { code: codes.panicked, message: panicWords(thrown) });
    }
    return host;
  }

  async #open(found: Found, mirrorError: ErrorData | null): Promise<void> {
    const { name, compiled: schema, token, online } = this.#config;
    const config = (directory: string | null, generation: number) =>
      JSON.stringify({
        schema,
        directory,
        vfs: `landfall-${generation}`,
        token,
        online: (found.online ?? online) && this.#net !== null,
        cache_kib: CACHE_KIB,
        chunk_rows: CHUNK_ROWS,
      });
    const until = performance.now() + RELEASE_MS;
    for (;;) {
      const where = await place(name).catch((thrown) => {
        throw new LandfallError(storageError(thrown, "the browser's storage cannot be opened"));
      });
      if (where === null) return this.#openInMemory(config(null, 0), found, mirrorError);
      try {
        this.#generation = where.generation;
        this.#engine = await openEngine(
          config(where.directory, where.generation),
          found.frames,
          found.images,
          this.#sink(found) as never,
        );
        await this.refreshDurability();
        return this.#begin();
      } catch (thrown) {
        const error = errorOf(thrown);
        if (!error) throw thrown;
        if (isInUse(error.exception)) {
          // Never taken for a database that is not there: the files of the tab before are about to be released.
          if (performance.now() > until) throw new LandfallError(inUse(name));
          await wait(50);
        } else if (isDenied(error.exception)) {
          return this.#openInMemory(config(null, 0), found, mirrorError);
        } else if (error.exception === "QuotaExceededError") {
          throw new LandfallError(storageError({ name: error.exception }, ""));
        } else if (error.exception === "DamagedPool" || [codes.damaged, "LF-5001"].includes(error.code)) {
          console.warn(`landfall: ${error.message}; it is put aside and made anew`);
          await nextGeneration(name, where.generation);
        } else {
          throw thrown;
        }
      }
    }
  }

  async #openInMemory(config: string, found: Found, mirrorError: ErrorData | null): Promise<void> {
    if (!this.#mirror) {
      const why = mirrorError ? ` (${mirrorError.message})` : "";
      const message =
        `this browser lets the page store nothing${why}, so that no write would be safe; ` +
        "allow storage for this site, or leave the private window";
      throw fail(codes.nothingStored, message);
    }
    this.#inMemory = true;
    this.#durability = "memory";
    this.#mirror.beFirstCopy();
    this.#engine = await openEngine(config, found.frames, found.images, this.#sink(found) as never);
    if (found.paused) this.#engine.manage("pause", "", undefined);
    await this.#mirror.settled();
    this.#begin();
  }

  #begin(): void {
    self.addEventListener("online", this.#online);
    this.#schedule();
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
    for (const [id, watch] of this.#watches) {
      if (watch.peer === peer) this.#unwatch(id);
    }
    for (const shape of this.#shapes.values()) shape.subs = shape.subs.filter((sub) => sub.peer !== peer);
    this.#holding.drop(peer);
  }

  /** Carries out what a page asks for. Rejects with a {@link LandfallError}. */
  async ask(peer: Peer, id: number, ask: Ask): Promise<unknown> {
    if (this.#dead) throw new LandfallError(this.#dead);
    const once = ONCE.includes(ask.do);
    const request = once && peer.tab !== null ? `${peer.tab}:${id}` : undefined;
    const tx = "tx" in ask ? ask.tx : undefined;
    // A commit of the transaction that is open here was never carried out before.
    if (request !== undefined && !(tx !== undefined && this.#holding.holds(tx))) {
      const known = await this.#answered(request, ask);
      if (known !== undefined) return known;
    }
    const value = await this.#holding.run(tx, () =>
      this.#turn(() => {
        const answer = this.#carryOut(peer, ask, request);
        // What only reads is read again.
        if (this.#inMemory && request !== undefined && !("verb" in ask && READS.includes(ask.verb))) {
          this.#requests.set(request, answer);
          this.#mirror?.answered(request, answer);
        }
        if (once) this.#refreshOutbox(1);
        return answer;
      }),
    );
    // In memory a write is durable once the mirror has it.
    if (this.#inMemory && once) {
      await this.#mirror?.settled().catch(() => {
        throw new LandfallError(
          this.#dead ?? { code: codes.storage, message: "the browser could not store the write" },
        );
      });
    }
    return value;
  }

  /** What was answered to a request before; `undefined`: it was not carried out. */
  async #answered(request: string, ask: Ask): Promise<unknown> {
    if (this.#inMemory) return this.#requests.get(request);
    const known = await this.#holding.run(undefined, () =>
      this.#turn(() => this.#engine.answered(request) as string | undefined),
    );
    // What is managed is answered in JSON text, which the page reads.
    return known === undefined || ask.do === "manage" ? known : JSON.parse(known);
  }

  #carryOut(peer: Peer, ask: Ask, request: string | undefined): unknown {
    const engine = this.#engine;
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
          (error) => engine.isHeld() && errorOf(error) !== null,
        );
      case "commit":
        return this.#holding.end(() => {
          if (ask.ops !== "[]") engine.step(ask.ops);
          return engine.commit(request);
        });
      case "rollback":
        return this.#holding.end(() => engine.rollback());
      case "watch":
        return this.#watch(peer, ask.sub, ask.sql, ask.params);
      case "unwatch":
        for (const [id, watch] of this.#watches) {
          if (watch.peer === peer && watch.sub === ask.sub) this.#unwatch(id);
        }
        return null;
      case "shape":
        return this.#openShape(peer, ask.sub, ask.name, ask.params);
      case "unshape":
        return this.#closeShape(peer, ask.sub);
      case "outbox":
        if (ask.on) {
          this.#outboxes.add(peer);
          // What is new to it may be new to the others, too.
          this.#tellOutbox(this.#readOutbox(0) ? this.#outboxes : [peer]);
        } else {
          this.#outboxes.delete(peer);
        }
        return null;
      case "retry":
        return engine.retry(ask.rseq, request);
      case "discard":
        return engine.discard(ask.rseq, request);
      case "manage":
        if (ask.verb === "pause" || ask.verb === "resume") this.#mirror?.keep("paused", ask.verb === "pause");
        return engine.manage(ask.verb, ask.arg, request);
      case "token":
        return engine.setToken(ask.token);
      case "online":
        // Of all tabs, whichever owns the database next, and after a reload too.
        this.#mirror?.keep("online", ask.online);
        engine.setOnline(ask.online && this.#net !== null);
        return this.#mirror?.settled().catch(() => null);
      case "cache":
        return engine.cache(ask.call, ask.value);
      case "nudge":
        return engine.nudge();
      case "persisted":
        void this.refreshDurability().then(() => this.#tellAll());
        return null;
    }
  }

  #watch(peer: Peer, sub: number, sql: string, params: string): null {
    const [id, answer] = this.#engine.watch(sql, params) as [number, string];
    this.#watches.set(id, { peer, sub });
    peer.news({ news: "live", sub, answer });
    return null;
  }

  #unwatch(id: number): void {
    this.#watches.delete(id);
    this.#turn(() => this.#engine.unwatch(id));
  }

  #openShape(peer: Peer, sub: number, name: string, params: string): null {
    const handle = this.#engine.openShape(name, params);
    const shape = this.#shapes.get(handle);
    if (shape) {
      shape.subs = [...shape.subs.filter((other) => other.peer !== peer || other.sub !== sub), { peer, sub }];
      peer.news({ news: "shape", sub, complete: shape.complete, failure: shape.failure });
    }
    return null;
  }

  #closeShape(peer: Peer, sub: number): null {
    for (const [handle, shape] of this.#shapes) {
      const rest = shape.subs.filter((other) => other.peer !== peer || other.sub !== sub);
      const was = shape.subs.length;
      shape.subs = rest;
      if (rest.length < was && rest.length === 0) {
        this.#shapes.delete(handle);
        this.#engine.closeShape(handle);
      }
    }
    return null;
  }

  // ------------------------------------------------------------------ turns of the engine

  /** One call into the engine. What is not an error of its own is a panic, and ends it. */
  #turn<T>(call: () => T): T {
    if (this.#dead) throw new LandfallError(this.#dead);
    try {
      return call();
    } catch (thrown) {
      const error = errorOf(thrown);
      if (error === null) {
        this.#die({ code: codes.panicked, message: panicWords(thrown) });
        throw new LandfallError(this.#dead as unknown as ErrorData);
      }
      if (error.code === codes.damaged) void this.#rebuild(error);
      throw new LandfallError(error);
    } finally {
      this.#schedule();
    }
  }

  /** An input that nobody waits for; it waits for an open transaction to end. */
  #input(call: () => void): void {
    this.#holding.run(undefined, () => this.#turn(call)).catch(() => undefined);
  }

  #die(error: ErrorData): void {
    if (this.#dead) return;
    this.#dead = error;
    this.#stop();
    this.#holding.fail(new LandfallError(error));
    this.#fatal(error);
  }

  /** The database turned out to be damaged: the next start makes it anew, from the server and the mirror. */
  async #rebuild(error: ErrorData): Promise<void> {
    if (this.#dead || this.#generation === null) return;
    const mirror = this.#mirror;
    this.#dead = error;
    this.#stop();
    await mirror?.settled().catch(() => undefined);
    await nextGeneration(this.#config.name, this.#generation).catch(() => undefined);
    this.#holding.fail(new LandfallError(error));
    this.#fatal(error);
  }

  #stop(): void {
    this.#alarm.close();
    clearTimeout(this.#outboxTimer);
    self.removeEventListener("online", this.#online);
    this.#net?.close();
  }

  /** Closes everything in order. */
  async close(): Promise<void> {
    if (this.#dead) return;
    this.#input(() => this.#engine.setOnline(false));
    this.#dead = { code: codes.closed, message: "the database is closed; open it again" };
    this.#stop();
    this.#holding.fail(new LandfallError(this.#dead));
    await this.#mirror?.settled().catch(() => undefined);
    this.#engine.free();
    this.#mirror?.close();
  }

  #schedule(): void {
    if (this.#dead || !this.#engine) return;
    let due: number | undefined;
    try {
      due = this.#engine.deadline();
    } catch (thrown) {
      this.#die({ code: codes.panicked, message: panicWords(thrown) });
      return;
    }
    if (due === this.#due && this.#alarm.isSet) return;
    this.#due = due;
    if (due === undefined) this.#alarm.clear();
    else this.#alarm.set(Math.ceil(due - performance.now()));
  }

  // ------------------------------------------------------------------ effects

  /** The engine's effects. They come within a call, so that none may call back into it. */
  #sink(found: Found) {
    const net = this.#net;
    const mirror = this.#mirror;
    return {
      connect: (connection: number) => net?.connect(connection),
      disconnect: (connection: number) => net?.disconnect(connection),
      send: (connection: number, frame: Uint8Array<ArrayBuffer>) => {
        this.#refreshWaiting();
        if (!this.#inMemory) net?.send(connection, frame);
        // What the server knows of must not be forgotten here.
        else
          mirror?.settled().then(
            () => net?.send(connection, frame),
            () => undefined,
          );
      },
      fetch: (request: number, address: string) => net?.fetch(request, address),
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
      shape: (handle: number, complete: boolean, failure: string | undefined) => {
        const subs = this.#shapes.get(handle)?.subs ?? [];
        this.#shapes.set(handle, { complete, failure: failure ?? null, subs });
        for (const { peer, sub } of subs) peer.news({ news: "shape", sub, complete, failure: failure ?? null });
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

  #makeNet(server: string): Net {
    return new Net(server, {
      connected: (connection) => this.#input(() => this.#engine.connected(connection)),
      disconnected: (connection, reason, retryAfter) =>
        this.#input(() => this.#engine.disconnected(connection, reason, retryAfter)),
      frame: (connection, bytes) => {
        this.#input(() => this.#engine.frame(connection, bytes));
        this.#refreshWaiting();
      },
      chunkLoaded: (request, bytes) => this.#input(() => this.#engine.chunkLoaded(request, bytes)),
      chunkFailed: (request, gone, reason, retryAfter) =>
        this.#input(() => this.#engine.chunkFailed(request, gone, reason, retryAfter)),
    });
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

  async refreshDurability(): Promise<void> {
    if (this.#inMemory) return;
    const persisted = (await navigator.storage.persisted?.().catch(() => false)) ?? false;
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

function inUse(name: string): ErrorData {
  const message =
    `the files of the database '${name}' are held by another tab or window that does not answer; ` +
    "close it, and reload this one. Nothing stored is lost";
  return { code: codes.inUse, message };
}

async function openMirror(name: string): Promise<{ mirror: Mirror | null; found: Found; error: ErrorData | null }> {
  try {
    return { ...(await Mirror.open(name)), error: null };
  } catch (thrown) {
    const error = storageError(thrown, "IndexedDB cannot be opened");
    if (error.exception === "VersionError") throw new LandfallError(error);
    return {
      mirror: null,
      found: {
        frames: new Uint8Array(),
        images: new Uint8Array(),
        requests: new Map(),
        online: undefined,
        paused: undefined,
      },
      error,
    };
  }
}

let loading: Promise<unknown> | undefined;

/** Compiles the module while it comes in. Its generated loader does this in four times the code, for every environment. */
async function compile(): Promise<void> {
  const response = await fetch(new URL("../../wasm/landfall_client_web_bg.wasm", import.meta.url));
  if (!response.ok) throw new Error(`${response.url} is answered with ${response.status}`);
  const streams = response.headers.get("content-type") === "application/wasm";
  const module = streams ? WebAssembly.compileStreaming(response) : WebAssembly.compile(await response.arrayBuffer());
  initSync(await module);
}

async function loadModule(): Promise<void> {
  loading ??= compile();
  try {
    await loading;
  } catch (thrown) {
    loading = undefined;
    const message =
      `the database's WebAssembly module could not be loaded (${wordsOf(thrown)}); ` +
      "check that the .wasm file is served beside the app, and reload";
    throw fail(codes.module, message);
  }
}

/** The engine's own error, which it throws as JSON text; `null` for anything else: a panic. */
export function errorOf(thrown: unknown): ErrorData | null {
  if (thrown instanceof LandfallError) return dataOf(thrown);
  if (typeof thrown !== "string") return null;
  try {
    return JSON.parse(thrown) as ErrorData;
  } catch {
    return { code: codes.other, message: thrown };
  }
}

function panicWords(thrown: unknown): string {
  const words = (self as { landfallPanic?: string }).landfallPanic ?? wordsOf(thrown);
  return (
    "the engine stopped by a fault of its own and is started anew from its files; " +
    `every write that was confirmed is kept, others may be asked for again. Please report: ${words}`
  );
}
