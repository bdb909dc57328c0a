// The outbox once more, in IndexedDB. On files it is a second copy, off the critical path. Where the database is only in
// memory it is the first: there a write is durable once its transaction here has completed.

import { codes, type ErrorData } from "./failure.js";

const VERSION = 1;
const STORES = ["mirror", "requests", "meta"] as const;
/** A request that nobody has asked for again in a day is forgotten. */
const REQUEST_LIFE_MS = 86_400_000;

type Stores = [IDBObjectStore, IDBObjectStore, IDBObjectStore];
type Change = (stores: Stores) => void;

/** What was there when it was opened. */
export interface Found {
  frames: Uint8Array<ArrayBuffer>;
  /** Whole rows of what waits to be sent, where the database is only in memory. */
  images: Uint8Array<ArrayBuffer>;
  requests: Map<string, unknown>;
  /** What was last wanted of the network, where anything was. */
  online?: boolean | undefined;
}

/** A storage failure as the page reads it. */
export function storageError(thrown: unknown, what: string): ErrorData {
  const name = (thrown as { name?: string } | null)?.name ?? "";
  const told = (code: string, message: string): ErrorData => ({ code, message, exception: name });
  if (name === "QuotaExceededError") {
    return told(
      codes.full,
      "the browser has no space left for this site; nothing stored is lost: free some space, and try again",
    );
  }
  if (name === "VersionError") {
    return told(
      "LF-5301",
      "the outbox's mirror was written by a newer version of the app; nothing was changed, reload the page",
    );
  }
  return told(codes.storage, `${what}: ${thrown}`);
}

/** What is stored of a request. */
interface Answered {
  rseq?: number;
  answer?: unknown;
  at: number;
}

/** What is stored of one entry of the outbox. */
interface Stored {
  frame: Uint8Array;
  images: Uint8Array | undefined;
}

function joined(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

const storesOf = (transaction: IDBTransaction) => STORES.map((name) => transaction.objectStore(name)) as Stores;

function done<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

function completed(transaction: IDBTransaction): Promise<void> {
  return new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve();
    transaction.onabort = () => reject(transaction.error ?? new DOMException("aborted", "AbortError"));
  });
}

function openDatabase(name: string): Promise<IDBDatabase> {
  const request = indexedDB.open(`landfall:${name}`, VERSION);
  request.onupgradeneeded = () => {
    for (const store of STORES) request.result.createObjectStore(store);
  };
  return done(request);
}

export class Mirror {
  #db: IDBDatabase;
  #strict = false;
  #queue: Change[] = [];
  #flushing: Promise<void> = Promise.resolve();
  #failed!: (error: ErrorData) => void;

  private constructor(
    db: IDBDatabase,
    readonly epoch: number,
  ) {
    this.#db = db;
    // A newer build of the app may want to change the stores: it must not wait for this tab.
    db.onversionchange = () => db.close();
  }

  /** Opens it and takes the next epoch, under the lock that makes this tab the owner. */
  static async open(name: string): Promise<{ mirror: Mirror; found: Found }> {
    const db = await openDatabase(name);
    const transaction = db.transaction(STORES, "readwrite", { durability: "strict" });
    const [mirror, requests, meta] = storesOf(transaction);
    const [last = 0, online, stored, names, answers] = (await Promise.all(
      [meta.get("epoch"), meta.get("online"), mirror.getAll(), requests.getAllKeys(), requests.getAll()].map(
        (request) => done<unknown>(request as IDBRequest<unknown>),
      ),
    )) as [number | undefined, boolean | undefined, Stored[], IDBValidKey[], Answered[]];
    const epoch = last + 1;
    meta.put(epoch, "epoch");
    const known = new Map<string, unknown>();
    names.forEach((key, at) => {
      // An older build kept a number.
      const { rseq, answer = rseq, at: when } = answers[at] as Answered;
      if (when < Date.now() - REQUEST_LIFE_MS) requests.delete(key);
      else known.set(String(key), answer);
    });
    await completed(transaction);
    const frames = joined(stored.map(({ frame }) => frame));
    const images = joined(stored.flatMap((entry) => entry.images ?? []));
    return { mirror: new Mirror(db, epoch), found: { frames, images, requests: known, online } };
  }

  /** From here on a change is durable before {@link settled} resolves, and `failed` is told when one cannot be. */
  beFirstCopy(): void {
    this.#strict = true;
  }

  onFailure(failed: (error: ErrorData) => void): void {
    this.#failed = failed;
  }

  put(name: string, frame: Uint8Array, images?: Uint8Array): void {
    this.#change(([mirror]) => mirror.put({ frame, images } satisfies Stored, name));
  }

  delete(name: string): void {
    this.#change(([mirror]) => mirror.delete(name));
  }

  anew(names: string[], frames: Uint8Array[], images: (Uint8Array | undefined)[]): void {
    this.#change(([mirror]) => {
      mirror.clear();
      names.forEach((name, at) => {
        mirror.put({ frame: frames[at] as Uint8Array, images: images[at] } satisfies Stored, name);
      });
    });
  }

  /** Keeps a value beside what is mirrored: the wish to be online, a mirror that was found damaged. */
  keep(name: string, value: unknown): void {
    this.#change(([, , meta]) => meta.put(value, name));
  }

  /** A request that was carried out, with its answer, so that it is not carried out again. */
  answered(name: string, answer: unknown): void {
    this.#change(([, requests]) => requests.put({ answer, at: Date.now() }, name));
  }

  /** Resolves when everything up to now is stored; rejects when it cannot be. */
  settled(): Promise<void> {
    return this.#flushing;
  }

  close(): void {
    this.#db.close();
  }

  /** What is changed in one turn is one transaction, with all that was changed while the one before was under way. */
  #change(change: Change): void {
    if (this.#queue.push(change) > 1) return;
    const before = this.#flushing;
    const flush = () => this.#flush();
    // One that failed is never settled again, and the rest is stored all the same.
    this.#flushing = before.then(flush, flush).then(() => before);
    this.#flushing.catch(() => undefined);
  }

  async #flush(): Promise<void> {
    const changes = this.#queue;
    this.#queue = [];
    try {
      const transaction = this.#db.transaction(STORES, "readwrite", {
        durability: this.#strict ? "strict" : "default",
      });
      const end = completed(transaction);
      const stores = storesOf(transaction);
      const known = stores[2].get("epoch");
      known.onsuccess = () => {
        // Another tab has become the owner since: what this one holds is no longer the truth.
        if (known.result !== this.epoch) transaction.abort();
        else for (const change of changes) change(stores);
      };
      await end;
    } catch (thrown) {
      this.#failed(storageError(thrown, "the outbox's mirror cannot be written"));
      throw thrown;
    }
  }
}
