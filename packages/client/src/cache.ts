// Answers that an app fetches elsewhere and that are not synced. Who answers is decided by the engine; here are the
// fetches: who waits for whom, in this tab and among tabs, and what becomes of a late answer.

import { codes, type ErrorData, fail, LandfallError, wordsOf } from "./error.js";
import { State } from "./observable.js";
import type { Ask } from "./protocol.js";
import type { Database, Observable } from "./types.js";

/** When the network is asked, and when the cache answers. */
export type Strategy = "network-first" | "cache-first" | "stale-while-revalidate" | "network-only" | "cache-only";

/** A span of time: milliseconds, or as in `landfall.toml`. */
export type Age = number | `${number}${"ms" | "s" | "m" | "h" | "d"}`;

/** How an entry is kept, where it differs from what `landfall.toml` declares for its key. */
export interface KeepOptions {
  /** So old may it be before it is stale. */
  maxAge?: Age | "never";
  /** 0 to 100: what matters least goes first when the cache is full. */
  priority?: number;
}

/** How a call is answered, where it differs from what `landfall.toml` declares for its key. */
export interface FetchOptions<T> extends KeepOptions {
  /** When the network is asked. */
  strategy?: Strategy;
  /** After so long the network is no longer waited for if the cache has something. */
  timeout?: Age;
  /** Called when the fetch behind a stale answer has ended: with the fresh answer, or the stale one and the `error`. */
  onUpdate?: (answer: Answer<T>) => void;
}

/** An entry as it is kept. */
export interface Entry<T> {
  /** What is kept. */
  readonly value: T;
  /** Milliseconds since it was asked for; `null`: unknown, since the device's clock was set back meanwhile. */
  readonly ageMs: number | null;
  /** Whether it is older than it may be. */
  readonly stale: boolean;
}

/** An answer, and how far it is to be believed. */
export interface Answer<T> extends Entry<T> {
  /** Who answered. */
  readonly source: "network" | "cache";
  /** From the cache: why the network did not answer. From the network: why the answer could not be kept. */
  readonly error?: Error;
}

/** What was counted. Each call of `fetch` is one of the first four. */
export interface CacheCounts {
  /** Answered by the cache with a fresh entry. */
  readonly hits: number;
  /** Answered by the cache with a stale entry. */
  readonly stale: number;
  /** The cache was asked, and had nothing that would do. */
  readonly misses: number;
  /** Answered by the network without asking the cache. */
  readonly network: number;
  /** Entries that were stored. */
  readonly stored: number;
  /** Entries that could not be stored: too large, less important than what is there, or the disk was full. */
  readonly notStored: number;
  /** Entries that made room for others. */
  readonly evicted: number;
}

/** How the cache stands. */
export interface CacheStats {
  /** Since the database was opened, by whichever tab holds it. */
  readonly sinceOpen: CacheCounts;
  /** Since the database was made, roughly: what is counted is stored with the next entry. */
  readonly lifetime: CacheCounts;
  /** Entries that are kept. */
  readonly entries: number;
  /** Their bytes. */
  readonly bytes: number;
  /** The most bytes that they may have. */
  readonly maxBytes: number;
}

/** The cache of a database. Values are what JSON can say, or a `Uint8Array`. */
export interface Cache {
  /**
   * Answers from the network or the cache, as the strategy says. Several calls for one key, in all tabs, share one call
   * of `fetcher`. Rejects with what `fetcher` threw when the cache has nothing either.
   */
  fetch<T>(key: string, fetcher: () => T | Promise<T>, options?: Strategy | FetchOptions<T>): Promise<Answer<T>>;
  /** Stores what the app has without a fetch. `false`: what matters more leaves no room. */
  put(key: string, value: unknown, options?: KeepOptions): Promise<boolean>;
  /** An entry as it is kept, or `null`. Nothing is counted. */
  peek<T>(key: string): Promise<Entry<T> | null>;
  /** Removes an entry, or all whose keys begin so; what is being fetched of them is not stored. Gives how many there were. */
  invalidate(which: string | { prefix: string }): Promise<number>;
  /** An entry as it is, in whatever tab it is stored or removed. It is read while somebody is subscribed. */
  watch<T>(key: string): Observable<Entry<T> | null>;
  /** What was counted. */
  stats(): Promise<CacheStats>;
}

/** So long is another tab's fetch waited for; one that hangs must not stop this one. */
const OTHER_TAB_MS = 10_000;
const UNITS: Record<string, number> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

type Which = string | { prefix: string };
type Body = string | Uint8Array;
interface Head {
  asked?: number;
  age?: number | null;
  stale?: boolean;
  plan?: "serve" | "both" | "fetch";
  ticket?: [number, number];
  timeout?: number | null;
  problem?: ErrorData;
  stored?: boolean;
  removed?: number;
  more?: boolean;
  sinceOpen?: number[];
  lifetime?: number[];
  size?: number[];
}
interface Landed {
  body: Body;
  error?: Error;
}

const caches = new WeakMap<object, Cache>();

/** The cache of fetched answers that belongs to a database. */
export function cache<Tables, Shapes, Actions>(db: Database<Tables, Shapes, Actions>): Cache {
  let found = caches.get(db);
  if (!found) {
    found = new DatabaseCache(db.name, db as unknown as Asker);
    caches.set(db, found);
  }
  return found;
}

interface Asker {
  ask(ask: Ask): Promise<unknown>;
}

const badCall = (message: string) => fail("LF-5042", message);
const errorOf = (thrown: unknown) => (thrown instanceof Error ? thrown : new Error(wordsOf(thrown)));
const holds = (which: Which, key: string) => (typeof which === "string" ? which === key : key.startsWith(which.prefix));

function milliseconds(age: Age): number {
  const [, digits, unit = "ms"] = /^(\d+)(ms|s|m|h|d)?$/.exec(String(age)) ?? [];
  const ms = Number(digits) * (UNITS[unit] as number);
  if (!Number.isSafeInteger(ms)) throw badCall(`${age} is not a time; write 5000, or "5s", "3m", "12h", "7d"`);
  return ms;
}

function encodeOptions(given: Strategy | FetchOptions<never> = {}) {
  const { strategy, maxAge, timeout, priority } = typeof given === "string" ? { strategy: given } : given;
  return {
    strategy: strategy?.replaceAll("-", "_"),
    maxAge: maxAge === undefined ? undefined : maxAge === "never" ? null : milliseconds(maxAge),
    timeout: timeout === undefined ? undefined : milliseconds(timeout),
    priority,
  };
}

function encode(value: unknown): Body {
  if (value instanceof Uint8Array) return value;
  if (value instanceof Response) {
    throw badCall("a Response cannot be kept; give what its json() or bytes() resolves to");
  }
  const text = JSON.stringify(value);
  if (text === undefined) throw badCall("the value is nothing that JSON can say; give null for nothing");
  return text;
}

function decode<T>(key: string, body: Body): T {
  if (typeof body !== "string") return body as T;
  try {
    return JSON.parse(body) as T;
  } catch (thrown) {
    throw fail("LF-5044", `what the cache holds under '${key}' cannot be read (${wordsOf(thrown)}); invalidate it`);
  }
}

class DatabaseCache implements Cache {
  readonly #flights = new Map<string, Promise<Landed>>();
  readonly #listeners = new Set<(which: Which) => void>();
  #channel: BroadcastChannel | null = null;
  readonly #name: string;
  readonly #db: Asker;

  constructor(name: string, db: Asker) {
    this.#name = name;
    this.#db = db;
  }

  async #call(call: readonly unknown[], value?: Body): Promise<[Head, Body | undefined]> {
    const answer = await this.#db.ask({ do: "cache", call: JSON.stringify(call), value });
    if (!answer) throw fail(codes.otherVersion, "the tab that holds the database has no cache; reload it");
    const [head, body] = answer as [string, Body | undefined];
    return [JSON.parse(head) as Head, body];
  }

  async fetch<T>(
    key: string,
    fetcher: () => T | Promise<T>,
    options: Strategy | FetchOptions<T> = {},
  ): Promise<Answer<T>> {
    const encoded = encodeOptions(options as FetchOptions<never>);
    const [head, body] = await this.#begin(key, encoded);
    if (head.plan === "serve") return this.#byCache(key, head, body as Body);
    const flight = this.#fly(key, encoded, head.ticket, fetcher);
    if (head.plan === "both") {
      const stale = this.#byCache<T>(key, head, body as Body);
      const told = typeof options === "string" ? undefined : options.onUpdate;
      flight.then(
        (landed) => told?.(this.#byNetwork(key, landed)),
        (thrown) => told?.({ ...stale, error: errorOf(thrown) }),
      );
      return stale;
    }
    const problem = head.problem ? new LandfallError(head.problem) : undefined;
    try {
      const landed = await this.#inTime(key, flight, problem ? null : head.timeout);
      return this.#byNetwork(key, problem ? { error: problem, ...landed } : landed);
    } catch (thrown) {
      // A cache that cannot be read has nothing, and the fetch's own error says more.
      const none: [Head, undefined] = [{}, undefined];
      const [found, kept] = problem ? none : await this.#call(["fallback", key, encoded]).catch(() => none);
      if (kept !== undefined) return { ...this.#byCache<T>(key, found, kept), error: errorOf(thrown) };
      if (!(thrown instanceof TimedOut)) throw thrown;
      return this.#byNetwork(key, await flight);
    }
  }

  /** A cache that fails must not keep the network from answering, unless it alone was to answer. */
  async #begin(key: string, options: { strategy?: string | undefined }): Promise<[Head, Body | undefined]> {
    try {
      return await this.#call(["begin", key, options]);
    } catch (thrown) {
      const { code, message } = thrown as LandfallError;
      if (["LF-5040", "LF-5042"].includes(code) || options.strategy === "cache_only") throw thrown;
      return [{ plan: "fetch", problem: { code, message } }, undefined];
    }
  }

  #byCache<T>(key: string, head: Head, body: Body): Answer<T> {
    return { ...entry<T>(key, head, body), source: "cache" };
  }

  #byNetwork<T>(key: string, { body, error }: Landed): Answer<T> {
    const answer = { value: decode<T>(key, body), ageMs: 0, stale: false, source: "network" } as const;
    return error ? { ...answer, error } : answer;
  }

  async #inTime(key: string, flight: Promise<Landed>, timeout: number | null | undefined): Promise<Landed> {
    if (typeof timeout !== "number") return flight;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        // The next caller need not wait for one that hangs.
        if (this.#flights.get(key) === flight) this.#flights.delete(key);
        reject(new TimedOut(timeout));
      }, timeout);
    });
    try {
      return await Promise.race([flight, late]);
    } finally {
      clearTimeout(timer);
    }
  }

  /** The fetch of this key that is under way, or a new one. It goes on, and is stored, although nobody waits for it. */
  #fly(key: string, options: object, ticket: unknown, fetcher: () => unknown): Promise<Landed> {
    const known = this.#flights.get(key);
    if (known) return known;
    const flight = this.#alone(key, async () => {
      const body = encode(await fetcher());
      if (!ticket) return { body };
      try {
        const [{ stored }] = await this.#call(["store", key, options, ticket], body);
        if (stored) this.#tell(key);
        return { body };
      } catch (thrown) {
        return { body, error: errorOf(thrown) };
      }
    }).finally(() => {
      if (this.#flights.get(key) === flight) this.#flights.delete(key);
    });
    this.#flights.set(key, flight);
    // It may fail while nobody listens.
    flight.catch(() => undefined);
    return flight;
  }

  /** One tab at a time; one that waited takes what the other has stored meanwhile. */
  async #alone(key: string, fetch: () => Promise<Landed>): Promise<Landed> {
    const { locks } = navigator;
    const lock = `landfall:${this.#name}:cache:${key}`;
    let began = false;
    const begin = () => {
      began = true;
      return fetch();
    };
    const alone = await locks.request(lock, { ifAvailable: true }, (free) => free && begin());
    if (alone) return alone;
    // What fails here is a cache that cannot be asked: then this tab fetches, too.
    const kept = () => this.#call(["peek", key]).catch((): [Head, undefined] => [{}, undefined]);
    const [before] = await kept();
    try {
      return await locks.request(lock, { signal: AbortSignal.timeout(OTHER_TAB_MS) }, async () => {
        const [{ asked }, body] = await kept();
        return body === undefined || asked === before.asked ? begin() : { body };
      });
    } catch (thrown) {
      // Before it began, only the lock was waited for too long.
      if (began) throw thrown;
      return fetch();
    }
  }

  async put(key: string, value: unknown, options: KeepOptions = {}): Promise<boolean> {
    const [{ stored }] = await this.#call(["put", key, encodeOptions(options)], encode(value));
    if (stored) this.#tell(key);
    return stored === true;
  }

  async peek<T>(key: string): Promise<Entry<T> | null> {
    const [head, body] = await this.#call(["peek", key]);
    return body === undefined ? null : entry<T>(key, head, body);
  }

  async invalidate(which: Which): Promise<number> {
    const [text, isPrefix] = typeof which === "string" ? [which, false] : [which.prefix, true];
    let removed = 0;
    for (let more = true; more; ) {
      const [done] = await this.#call(["drop", text, isPrefix]);
      removed += done.removed ?? 0;
      more = done.more === true;
    }
    this.#forget(which);
    this.#tell(isPrefix ? { prefix: text } : text, true);
    return removed;
  }

  /** What is being fetched is of before: later calls do not join it. */
  #forget(which: Which): void {
    for (const key of this.#flights.keys()) if (holds(which, key)) this.#flights.delete(key);
  }

  watch<T>(key: string): Observable<Entry<T> | null> {
    let stop: (() => void) | undefined;
    const look = () => {
      // What cannot be read is not there.
      this.peek<T>(key).then(
        (found) => state.set(found),
        () => state.set(null),
      );
    };
    const state = new State<Entry<T> | null>(null, (on) => {
      stop?.();
      stop = on ? this.#listen((which) => holds(which, key) && look()) : undefined;
      if (on) look();
    });
    return state;
  }

  async stats(): Promise<CacheStats> {
    const [{ sinceOpen, lifetime, size = [] }] = await this.#call(["stats"]);
    const [entries = 0, bytes = 0, maxBytes = 0] = size;
    return { sinceOpen: counts(sinceOpen), lifetime: counts(lifetime), entries, bytes, maxBytes };
  }

  #listen(listener: (which: Which) => void): () => void {
    this.#open();
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #open(): BroadcastChannel {
    if (!this.#channel) {
      this.#channel = new BroadcastChannel(`landfall:${this.#name}:cache`);
      this.#channel.onmessage = ({ data: [which, gone] }: MessageEvent<[Which, boolean]>) => {
        if (gone) this.#forget(which);
        this.#hear(which);
      };
    }
    return this.#channel;
  }

  #hear(which: Which): void {
    for (const listener of [...this.#listeners]) listener(which);
  }

  /** All tabs hear of it, this one too. */
  #tell(which: Which, gone = false): void {
    this.#open().postMessage([which, gone]);
    this.#hear(which);
  }
}

function entry<T>(key: string, head: Head, body: Body): Entry<T> {
  return { value: decode<T>(key, body), ageMs: head.age ?? null, stale: head.stale === true };
}

function counts([
  hits = 0,
  stale = 0,
  misses = 0,
  network = 0,
  stored = 0,
  notStored = 0,
  evicted = 0,
]: number[] = []): CacheCounts {
  return { hits, stale, misses, network, stored, notStored, evicted };
}

class TimedOut extends LandfallError {
  constructor(ms: number) {
    super({ code: "LF-5043", message: `the network did not answer within ${ms} ms; the cache did` });
  }
}
