import type { Observable } from "./types.js";

/** A state that others may watch. */
export class State<T> implements Observable<T> {
  #current: T;
  readonly #listeners = new Set<(state: T) => void>();
  readonly #watched: ((on: boolean) => void) | undefined;

  /** `watched` is told when the first listener comes and when the last one goes. */
  constructor(current: T, watched?: (on: boolean) => void) {
    this.#current = current;
    this.#watched = watched;
  }

  get current(): T {
    return this.#current;
  }

  set(next: T): void {
    this.#current = next;
    for (const listener of [...this.#listeners]) {
      try {
        listener(next);
      } catch (thrown) {
        // One listener's fault is not the others': it is reported as uncaught.
        reportError(thrown);
      }
    }
  }

  subscribe(listener: (state: T) => void): () => void {
    // The same function may subscribe twice.
    const own = (state: T) => listener(state);
    this.#listeners.add(own);
    if (this.#listeners.size === 1) this.#watched?.(true);
    return () => {
      if (this.#listeners.delete(own) && this.#listeners.size === 0) this.#watched?.(false);
    };
  }

  get isWatched(): boolean {
    return this.#listeners.size > 0;
  }
}
