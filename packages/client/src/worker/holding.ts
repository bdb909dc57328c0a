// A transaction that stays open between calls has the engine to itself: everything else waits until it ends.

import { codes, fail, type LandfallError } from "../error.js";
import type { Peer } from "./host.js";

/** An open transaction that asks for nothing for so long is undone: everybody else waits for it. */
export const IDLE_MS = 5_000;

interface Waiting {
  run: () => void;
  reject: (error: LandfallError) => void;
}

export class Holding {
  #held: { tx: string; peer: Peer; timer: ReturnType<typeof setTimeout> } | null = null;
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
          `the transaction did nothing for ${this.#idleMs / 1000} s and was undone, since everything else waits for it; ` +
            "await no network or person inside a transaction",
        );
      }
      throw fail(
        codes.ownerGone,
        "the transaction ended with the tab that held the database; nothing of it was written, ask again",
      );
    }
    if (!this.#held && this.#waiting.length === 0) return turn();
    return new Promise((resolve, reject) => {
      const run = () => {
        try {
          resolve(turn());
        } catch (thrown) {
          reject(thrown);
        }
      };
      this.#waiting.push({ run, reject });
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
    this.#held = { tx, peer, timer: this.#idle() };
    return tx;
  }

  /** A part of the open transaction. An error ends it, unless `survives` says otherwise. */
  part<T>(call: () => T, survives: (thrown: unknown) => boolean = () => false): T {
    if (this.#held) {
      clearTimeout(this.#held.timer);
      this.#held.timer = this.#idle();
    }
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
  fail(error: LandfallError): void {
    if (this.#held) clearTimeout(this.#held.timer);
    this.#held = null;
    for (const { reject } of this.#waiting.splice(0)) reject(error);
  }

  #idle(): ReturnType<typeof setTimeout> {
    return setTimeout(() => this.#lapse(), this.#idleMs);
  }

  #lapse(): void {
    if (!this.#held) return;
    this.#lapsed.add(this.#held.tx);
    try {
      this.#undo();
    } finally {
      this.#release();
    }
  }

  #release(): void {
    if (this.#held) clearTimeout(this.#held.timer);
    this.#held = null;
    // One of those that waited may begin a transaction: then the rest goes on waiting.
    while (!this.#held) {
      const next = this.#waiting.shift();
      if (!next) return;
      next.run();
    }
  }
}
