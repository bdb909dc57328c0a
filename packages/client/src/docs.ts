// Documents: a `Y.Doc` of the page kept the same as a document of a row, in the local database. What is written goes into the
// outbox as rows of `<table>_docs`; what others write comes as such rows. The network is nowhere needed for that. Who else is
// there, with their cursors, is told over a connection of its own, which may fail without any harm.

import {
  type Awareness,
  applyAwarenessUpdate,
  encodeAwarenessUpdate,
  removeAwarenessStates,
} from "y-protocols/awareness";
import * as Y from "yjs";
import { errorOf, type LandfallError } from "./error.js";
import { State } from "./observable.js";
import type { Database, KeyOf, Observable } from "./types.js";
import type { DocColumn, Documented } from "./updates.js";

export { type DocColumn, type Documented, docText, docUpdate, updateText } from "./updates.js";

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
  readonly #seen = new Set<string>();
  readonly #docs: string;
  readonly #of: string;
  readonly #leave: () => void;
  readonly #presence: Presence | undefined;
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
    this.#of = db.keyOf(table);
    const ids = db.live<{ doc_id: string }>(
      `SELECT doc_id FROM ${this.#docs} WHERE ${quote(this.#of)} = ? AND doc_column = ? ORDER BY doc_seq IS NULL, doc_seq`,
      [key, column],
    );
    let first = () => {};
    this.whenReady = new Promise((resolve) => {
      first = resolve;
    });
    const stop = ids.subscribe(({ state, rows }) => {
      if (state === "loading") return;
      const news = rows.map((row) => row.doc_id).filter((id) => !this.#seen.has(id));
      for (const id of news) this.#seen.add(id);
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
    const address = `${encodeURIComponent(table)}/${encodeURIComponent(key)}/${encodeURIComponent(column)}`;
    const tell = (present: boolean) => this.#set({ present });
    this.#presence = awareness && new Presence(db, address, awareness, tell, (update) => this.#apply([update]));
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
    // One that is too large does not take the others along.
    for (const update of together.length <= MOST_BYTES ? [together] : gathered) {
      try {
        await this.#insert(update);
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

  async #insert(update: Uint8Array): Promise<void> {
    const id = crypto.randomUUID();
    await this.db.transaction((tx) => {
      // The editor has an undo of its own, which takes back what this person typed; the database's could only pass over it.
      tx.leaveOutOfUndo();
      tx.insert(`${this.table}_docs`, {
        doc_id: id,
        [this.#of]: this.key,
        doc_column: this.column,
        doc_update: update,
      } as never);
      // What comes back as a row is in the document already.
      this.#seen.add(id);
    });
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

const SYNC = 0;
const AWARENESS = 1;
const WHO_IS_THERE = 3;
const UPDATE = 2;
/** By how many counts one who comes back is ahead of what was said of them. */
const COUNTS = 2;
/** The first and the longest wait before it is tried again, milliseconds. */
const WAITS: readonly [number, number] = [500, 30_000];

/** Tells the others who is here, and hears of them, over the protocol of `y-websocket`. Nothing of it is stored. */
class Presence {
  #socket: WebSocket | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #wait = WAITS[0];
  readonly #leave: () => void;

  constructor(
    readonly db: Db,
    readonly address: string,
    readonly awareness: Awareness,
    readonly told: (present: boolean) => void,
    readonly took: (update: Uint8Array) => void,
  ) {
    const onUpdate = ({ added, updated, removed }: Record<string, number[]>, origin: unknown) => {
      if (origin === this) return;
      const changed = [...(added ?? []), ...(updated ?? []), ...(removed ?? [])];
      this.#say(changed.filter((id) => id === awareness.clientID));
    };
    const onOnline = () => {
      this.#wait = WAITS[0];
      this.#connect();
    };
    awareness.on("update", onUpdate);
    globalThis.addEventListener?.("online", onOnline);
    let was = db.status.current.connectivity;
    const stop = db.status.subscribe(({ connectivity: now }) => {
      if (now === "online" && now !== was && !this.#socket) onOnline();
      // Also by choice (`setOnline`): whoever wants no network is not there for others.
      if (now === "offline" && now !== was) this.#socket?.close();
      was = now;
    });
    this.#leave = () => {
      stop();
      awareness.off("update", onUpdate);
      globalThis.removeEventListener?.("online", onOnline);
    };
    this.#connect();
  }

  #connect(): void {
    clearTimeout(this.#timer);
    const { server, token } = this.db.server();
    // It goes on when the database is online again, which is told.
    if (this.#socket || server === null || this.db.status.current.connectivity === "offline") return;
    const query = token === null ? "" : `?token=${encodeURIComponent(token)}`;
    const socket = new WebSocket(`${server.replace(/^http/, "ws")}/v1/docs/${this.address}${query}`);
    socket.binaryType = "arraybuffer";
    this.#socket = socket;
    socket.onopen = () => {
      this.told(true);
      this.#sayAnew();
      socket.send(Uint8Array.of(WHO_IS_THERE));
    };
    socket.onmessage = ({ data }) => this.#hear(new Uint8Array(data as ArrayBuffer));
    socket.onclose = () => {
      if (this.#socket !== socket) return;
      this.#socket = undefined;
      this.told(false);
      const others = [...this.awareness.getStates().keys()].filter((id) => id !== this.awareness.clientID);
      removeAwarenessStates(this.awareness, others, this);
      const jitter = 0.5 + Math.random();
      this.#timer = setTimeout(() => this.#connect(), this.#wait * jitter);
      this.#wait = Math.min(this.#wait * 2, WAITS[1]);
    };
  }

  /**
   * Who has lost the connection was said to be gone, under the next count of theirs: what is said again under a count that was
   * heard is nothing new, and would be passed over until the count goes on by itself, which takes half a minute.
   */
  #sayAnew(): void {
    const { awareness } = this;
    for (let count = 0; count < COUNTS; count++) awareness.setLocalState(awareness.getLocalState());
    this.#say([awareness.clientID]);
  }

  #say(ids: number[]): void {
    if (ids.length === 0 || this.#socket?.readyState !== WebSocket.OPEN) return;
    this.#socket.send(framed(AWARENESS, encodeAwarenessUpdate(this.awareness, ids)));
  }

  #hear(message: Uint8Array): void {
    const read = { bytes: message, at: 0 };
    const kind = number(read);
    // It speaks with this person: who is refused says so in another kind, and is not asked again and again.
    if (kind === AWARENESS || kind === SYNC) this.#wait = WAITS[0];
    if (kind === AWARENESS) applyAwarenessUpdate(this.awareness, bytes(read), this);
    // What others type is shown before it comes as a row.
    if (kind === SYNC && number(read) === UPDATE) this.took(bytes(read));
  }

  close(): void {
    this.#leave();
    clearTimeout(this.#timer);
    const socket = this.#socket;
    this.#socket = undefined;
    socket?.close();
  }
}

/** A number of variable length, as `lib0` writes it. */
function number(from: { bytes: Uint8Array; at: number }): number {
  for (let value = 0, factor = 1; ; factor *= 128) {
    const byte = from.bytes[from.at++] ?? 0;
    value += (byte & 127) * factor;
    if (byte < 128) return value;
  }
}

function bytes(from: { bytes: Uint8Array; at: number }): Uint8Array {
  const length = number(from);
  return from.bytes.slice(from.at, from.at + length);
}

function framed(kind: number, body: Uint8Array): Uint8Array<ArrayBuffer> {
  const head = [kind];
  let length = body.length;
  for (; length > 127; length >>>= 7) head.push((length & 127) | 128);
  const out = new Uint8Array(head.length + 1 + body.length);
  out.set([...head, length]);
  out.set(body, head.length + 1);
  return out;
}
