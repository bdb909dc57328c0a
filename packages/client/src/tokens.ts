import type { Token } from "./types.js";

/** A token that the server refused is asked for again, at most this often. */
const PAUSE_MS = 10_000;

/** Where tokens come from. */
export class Tokens {
  #source: Token;
  #askedAt = Number.NEGATIVE_INFINITY;
  #timer: ReturnType<typeof setTimeout> | undefined;
  readonly #give: (token: string | null) => void;

  constructor(source: Token, give: (token: string | null) => void) {
    this.#give = give;
    this.#source = source;
  }

  /** The first token. A source that fails gives none: the database opens without the network, too. */
  first(): Promise<string | null> {
    return this.#ask().catch(() => null);
  }

  set(source: Token): Promise<string | null> {
    this.#source = source;
    return this.#ask();
  }

  async #ask(): Promise<string | null> {
    this.#askedAt = performance.now();
    return typeof this.#source === "function" ? await this.#source() : this.#source;
  }

  /** The server wants another token. */
  renew(): void {
    if (typeof this.#source !== "function" || this.#timer !== undefined) return;
    const wait = Math.max(0, this.#askedAt + PAUSE_MS - performance.now());
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#ask().then(this.#give, () => this.renew());
    }, wait);
  }

  stop(): void {
    clearTimeout(this.#timer);
  }
}
