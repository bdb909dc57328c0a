// A transaction that stays open between calls has the engine to itself: everything else waits until it ends.

import { codes, type ErrorData, fail } from "./failure.js";
import type { Peer } from "./host.js";

/** An open transaction that asks for nothing for so long is undone: everybody else waits for it. */
export const IDLE_MS = 5_000;

interface Waiting {
  run: () => void;
  reject: (error: ErrorData) => void;
}

export class Holding {
  #held: { tx: string; peer: Peer } | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #waiting: Waiting[] = [];
  #lapsed = new Set<string>();
  readonly #undo: () => void;
  readonly #idleMs: number;

  /** `undo` rolls the engine's open transaction back. */
  constructor(undo: () => void, idleMs = IDLE_MS) {
    this.#undo = undo;
    this.#idleMs = idleMs;
  }

  /** Runs `turn` at once, or when the transaction that is open has ended; a part of that transaction runs at once. */
  async run<T>(tx: string | undefined, turn: () => T): Promise<T> {
    if (tx !== undefined) {
      if (this.#held?.tx === tx) return turn();
      if (this.#lapsed.delete(tx)) {
        throw fail(
          codes.idle,
          `the transaction did nothing for ${this.#idleMs / 1000} s and was undone, as all else waits for it; ` +
            "await no network or person inside it",
        );
      }
      const message = "the transaction ended with the tab that held the database; nothing was written, ask again";
      throw fail(codes.ownerGone, message);
    }
    if (!this.#held && this.#waiting.length === 0) return turn();
    return new Promise((resolve, reject) => {
      this.#waiting.push({ run: () => resolve(new Promise((done) => done(turn()))), reject });
    });
  }

  /** Whether this is the transaction that is open. */
  holds(tx: string): boolean {
    return this.#held?.tx === tx;
  }

  /** The engine has begun a transaction. */
  begin(peer: Peer): string {
    // Of no meaning to another owner, should it be asked to go on with it.
    const tx = crypto.randomUUID();
    this.#held = { tx, peer };
    this.#idle();
    return tx;
  }

  /** A part of the open transaction. An error ends it, unless `survives` says otherwise. */
  part<T>(call: () => T, survives: (thrown: unknown) => boolean = () => false): T {
    this.#idle();
    try {
      return call();
    } catch (thrown) {
      if (!survives(thrown)) this.#release();
      throw thrown;
    }
  }

  /** The end of the open transaction, one way or the other. */
  end<T>(call: () => T): T {
    try {
      return call();
    } finally {
      this.#release();
    }
  }

  /** A page is gone: what it holds open is undone. */
  drop(peer: Peer): void {
    if (this.#held?.peer === peer) this.#lapse();
  }

  /** The engine is gone: nobody waits any longer. */
  fail(error: ErrorData): void {
    this.#letGo();
    for (const { reject } of this.#waiting.splice(0)) reject(error);
  }

  /** From now on it may idle for as long as any. */
  #idle(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#lapse(), this.#idleMs);
  }

  #letGo(): void {
    clearTimeout(this.#timer);
    this.#held = null;
  }

  #lapse(): void {
    if (!this.#held) return;
    this.#lapsed.add(this.#held.tx);
    this.end(this.#undo);
  }

  #release(): void {
    this.#letGo();
    // One of those that waited may begin a transaction: then the rest goes on waiting.
    while (!this.#held) {
      const next = this.#waiting.shift();
      if (!next) return;
      next.run();
    }
  }
}
