// What a page types into a document, as rows of `<table>_docs` in the local database. What waits for the network is put together
// as it is typed: an hour without one is a few entries of the outbox, and not one for each time that something was gathered.

import * as Y from "yjs";
import type { Database } from "./types.js";

/** What becomes one entry, bytes: each time that something is put to it, all of it is written again. */
const MOST_TOGETHER = 1 << 16;
/** What a row of an entry has beside its update, bytes, roughly. */
const ROW_BYTES = 200;

/** The last entry that was written here. */
interface Last {
  readonly rseq: number;
  /** Its last row. */
  readonly id: string;
  readonly update: Uint8Array;
  /** Of all of its rows. */
  readonly bytes: number;
}

/** Where a document is. */
export interface Place {
  readonly docs: string;
  /** The columns that tell whose document it is, and which one. */
  readonly of: Readonly<Record<string, string | number>>;
}

/** Writes updates of one document, one after the other. */
export class Writing {
  #last: Last | undefined;

  /** `wrote` hears of each row that is about to be there, and of how many bytes its update is then. */
  constructor(
    readonly db: Database,
    readonly place: Place,
    readonly wrote: (id: string, bytes: number) => void,
  ) {}

  /** Adds an update, which goes on where the last one ended: in the same entry as long as nobody else can have seen that. */
  async add(update: Uint8Array): Promise<void> {
    if (!(await this.#addToLast(update))) await this.addAlone(update);
  }

  /** Adds an update in an entry of its own. */
  async addAlone(update: Uint8Array): Promise<void> {
    this.#last = undefined;
    const id = crypto.randomUUID();
    const { rseq } = await this.#write((tx) => this.#insert(tx, id, update));
    if (rseq !== null) this.#last = { rseq, id, update, bytes: update.length + ROW_BYTES };
  }

  async #addToLast(update: Uint8Array): Promise<boolean> {
    const last = this.#last;
    if (!last || last.bytes + ROW_BYTES + update.length > MOST_TOGETHER || !this.#mayWait()) return false;
    const both = Y.mergeUpdates([last.update, update]);
    // By its length others tell that a row is another one. Some deletes are put together without a byte more.
    const isRow = both.length > last.update.length;
    const next = isRow ? { id: last.id, update: both } : { id: crypto.randomUUID(), update };
    try {
      const { rseq, gone } = await this.#write((tx) => {
        tx.edit(last.rseq);
        if (!isRow) return this.#insert(tx, next.id, update);
        tx.update(this.place.docs, next.id as never, { doc_update: both } as never);
        this.wrote(next.id, both.length);
      });
      if (rseq === null) return false;
      const isSame = gone.includes(last.rseq);
      const before = isSame ? last.bytes - (isRow ? last.update.length : 0) : 0;
      this.#last = { ...next, rseq, bytes: before + next.update.length + (isRow ? 0 : ROW_BYTES) };
      return true;
    } catch {
      // It was handed to the network meanwhile (LF-2010: no update is changed after that), was withdrawn, or is a dead letter:
      // nothing was written. Whether anything can be is told by what is tried next; the same update twice is one.
      return false;
    }
  }

  /** Whether the last entry may still wait. The engine has the last word; it is not asked where all is sent at once. */
  #mayWait(): boolean {
    const { connectivity, pending, paused, review } = this.db.status.current;
    return connectivity !== "online" || pending > 0 || paused || review !== null;
  }

  #insert(tx: Tx, id: string, update: Uint8Array): void {
    tx.insert(this.place.docs, { doc_id: id, ...this.place.of, doc_update: update } as never);
    this.wrote(id, update.length);
  }

  #write(write: (tx: Tx) => void) {
    return this.db.transaction((tx) => {
      // The editor has an undo of its own, which takes back what this person typed; the database's could only pass over it.
      tx.leaveOutOfUndo();
      write(tx);
    });
  }
}

type Tx = Parameters<Parameters<Database["transaction"]>[0]>[0];
