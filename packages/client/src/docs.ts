// Documents: a `Y.Doc` of the page kept the same as a document of a row, in the local database. What is written goes into the
// outbox as rows of `<table>_docs`; what others write comes as such rows. The network is nowhere needed for that. Who else is
// there, with their cursors, is told over a connection of its own, which may fail without any harm.

import type { Awareness } from "y-protocols/awareness";
import * as Y from "yjs";
import { Line } from "./awareness.js";
import { errorOf, type LandfallError } from "./error.js";
import { State } from "./observable.js";
import type { Database, KeyOf, Observable } from "./types.js";
import type { DocColumn, Documented } from "./updates.js";
import { Writing } from "./writing.js";

export { type DocColumn, type DocColumnIn, type Documented, docText, docUpdate, updateText } from "./updates.js";

/** How a document is bound, where it differs from the usual. */
export interface BindOptions {
  /** Who is here, as editors made for Yjs show it: other people's cursors. Without it nobody is told. */
  awareness?: Awareness;
  /** How long what is typed is gathered before it is one write of the database. Milliseconds; 100 unless it is said. */
  gatherMs?: number;
}

/** What is known of a bound document. */
export interface DocState {
  /** What this device holds of the document is in it. */
  readonly ready: boolean;
  /** All that was written is in the local database, from which nothing is lost. */
  readonly saved: boolean;
  /** The others see who is here. */
  readonly present: boolean;
  /** Why the last write did not get into the database; it is tried again with the next one. */
  readonly error: LandfallError | null;
}

/** A document that is bound. */
export interface BoundDoc extends Observable<DocState> {
  /** Resolves when what this device holds of the document is in it. */
  readonly whenReady: Promise<void>;
  /** Writes what is gathered now. Resolves when it is in the local database; rejects where it cannot be, and keeps it. */
  save(): Promise<void>;
  /** Writes what is gathered, and lets go; rejects where that cannot be written, and stays. The `Y.Doc` stays as it is. */
  close(): Promise<void>;
}

const quote = (name: string) => `"${name.replaceAll('"', '""')}"`;
/** What becomes one row, bytes, unless a single update has more. */
const MOST_BYTES = 1 << 20;
/** How long to wait before what could not be written is tried again, milliseconds. */
const AGAIN_MS = 3_000;
/** Rows that are read at a time. */
const AT_ONCE = 400;

/**
 * Keeps a `Y.Doc` the same as a document of a row: what is held of it here goes into the `Y.Doc`, what is written there into
 * the database, at every time and in both directions. An open shape of `<table>_docs` brings what others write. Editors bind
 * to the `Y.Doc` as they always do.
 * @example
 * ```ts
 * const doc = new Y.Doc();
 * const bound = bindDoc(db, "pages", id, "body", doc, { awareness: new Awareness(doc) });
 * await bound.whenReady;
 * doc.getText("body").insert(0, "Typed without a network, too. ");
 * await bound.close();
 * ```
 */
export function bindDoc<Tables, Shapes, Actions, T extends Documented<Tables>>(
  db: Database<Tables, Shapes, Actions>,
  table: T,
  key: KeyOf<Tables, T>,
  column: DocColumn<Tables, T> & string,
  doc: Y.Doc,
  options: BindOptions = {},
): BoundDoc {
  return new Bound(db as unknown as Db, table, key as string | number, column, doc, options);
}

/** What of the database is used here; the last two are the package's own. */
type Db = Database & {
  server(): { server: string | null; token: string | null };
  keyOf(table: string): string;
};

const NOTHING: DocState = { ready: false, saved: true, present: false, error: null };

class Bound implements BoundDoc {
  readonly whenReady: Promise<void>;
  readonly #state = new State<DocState>(NOTHING);
  /** Of each row that is in the document, how many bytes its update was: one that waits for the network may become more. */
  readonly #seen = new Map<string, number>();
  readonly #docs: string;
  readonly #writer: Writing;
  readonly #leave: () => void;
  readonly #presence: Line | undefined;
  #gathered: Uint8Array[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;
  #writing: Promise<void> = Promise.resolve();
  #reading: Promise<void> = Promise.resolve();
  #open = true;

  constructor(
    readonly db: Db,
    readonly table: string,
    readonly key: string | number,
    readonly column: string,
    readonly doc: Y.Doc,
    readonly options: BindOptions,
  ) {
    this.#docs = quote(`${table}_docs`);
    const of = db.keyOf(table);
    const place = { docs: `${table}_docs`, of: { [of]: key, doc_column: column } };
    // What comes back as a row is in the document already.
    this.#writer = new Writing(db, place, (id, bytes) => this.#seen.set(id, bytes));
    const ids = db.live<{ doc_id: string; bytes: number }>(
      `SELECT doc_id, length(doc_update) AS bytes FROM ${this.#docs} WHERE ${quote(of)} = ? AND doc_column = ?
       ORDER BY doc_seq IS NULL, doc_seq`,
      [key, column],
    );
    let first = () => {};
    this.whenReady = new Promise((resolve) => {
      first = resolve;
    });
    const stop = ids.subscribe(({ state, rows }) => {
      if (state === "loading") return;
      const fresh = rows.filter(({ doc_id, bytes }) => this.#seen.get(doc_id) !== bytes);
      for (const { doc_id, bytes } of fresh) this.#seen.set(doc_id, bytes);
      const news = fresh.map((row) => row.doc_id);
      // What could not be read is looked for again with the next rows; it holds up nothing else.
      const failed = (thrown: unknown) => {
        for (const id of news) this.#seen.delete(id);
        this.#set({ error: errorOf(thrown) });
      };
      this.#reading = this.#reading.then(() => this.#read(news)).then(first, failed);
    });
    const onUpdate = (update: Uint8Array, origin: unknown) => origin !== this && this.#gather(update);
    const onHide = () => void this.save().catch(() => undefined);
    doc.on("update", onUpdate);
    globalThis.addEventListener?.("pagehide", onHide);
    this.#leave = () => {
      stop();
      doc.off("update", onUpdate);
      globalThis.removeEventListener?.("pagehide", onHide);
    };
    const { awareness } = options;
    const address = `docs/${encodeURIComponent(table)}/${encodeURIComponent(key)}/${encodeURIComponent(column)}`;
    const tell = (present: boolean) => this.#set({ present });
    this.#presence = awareness && new Line(db, address, awareness, tell, (update) => this.#apply([update]));
  }

  get current(): DocState {
    return this.#state.current;
  }

  subscribe(listener: (state: DocState) => void): () => void {
    return this.#state.subscribe(listener);
  }

  #set(change: Partial<DocState>): void {
    this.#state.set({ ...this.#state.current, ...change });
  }

  async #read(ids: readonly string[]): Promise<void> {
    for (let at = 0; at < ids.length && this.#open; at += AT_ONCE) {
      const some = ids.slice(at, at + AT_ONCE);
      const marks = some.map(() => "?").join(", ");
      const sql = `SELECT doc_update FROM ${this.#docs} WHERE doc_id IN (${marks}) ORDER BY doc_seq IS NULL, doc_seq`;
      const rows = await this.db.query<{ doc_update: Uint8Array }>(sql, some);
      this.#apply(rows.map((row) => row.doc_update));
    }
    this.#set({ ready: true });
  }

  #apply(updates: readonly Uint8Array[]): void {
    if (!this.#open || updates.length === 0) return;
    this.doc.transact(() => {
      for (const update of updates) {
        try {
          Y.applyUpdate(this.doc, update, this);
        } catch (thrown) {
          // One that this version of Yjs cannot take does not hold up the others.
          this.#set({ error: errorOf(thrown) });
        }
      }
    }, this);
  }

  #gather(update: Uint8Array): void {
    this.#gathered.push(update);
    this.#set({ saved: false });
    this.#saveSoon(this.options.gatherMs ?? 100);
  }

  /** Whether it could be written the state tells. */
  #saveSoon(waitMs: number): void {
    this.#timer ??= setTimeout(() => this.save().catch(() => undefined), waitMs);
  }

  save(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const writing = this.#writing.then(() => this.#write());
    this.#writing = writing.catch(() => undefined);
    return writing;
  }

  async #write(): Promise<void> {
    const gathered = this.#gathered;
    if (gathered.length === 0) return;
    this.#gathered = [];
    const together = Y.mergeUpdates(gathered);
    const left: Uint8Array[] = [];
    let error: LandfallError | null = null;
    const isOne = together.length <= MOST_BYTES;
    // One that is too large does not take the others along.
    for (const update of isOne ? [together] : gathered) {
      try {
        await (isOne ? this.#writer.add(update) : this.#writer.addAlone(update));
      } catch (thrown) {
        left.push(update);
        error = errorOf(thrown);
      }
    }
    this.#gathered.unshift(...left);
    this.#set({ saved: this.#gathered.length === 0, error });
    if (!error) return;
    this.#saveSoon(AGAIN_MS);
    throw error;
  }

  async close(): Promise<void> {
    if (!this.#open) return;
    await this.save();
    clearTimeout(this.#timer);
    this.#leave();
    this.#presence?.close();
    this.#open = false;
  }
}
