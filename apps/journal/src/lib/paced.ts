// What is asked for often, and costs too much to be done each time.

/** Does `work` when it is asked for: at once after a rest, otherwise once when the rest is over. Never twice at a time. */
export class Paced {
  readonly #work: () => Promise<unknown>;
  readonly #restMs: number;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #rests = true;
  #wanted = false;
  #ended = false;

  constructor(restMs: number, work: () => Promise<unknown>) {
    this.#restMs = restMs;
    this.#work = work;
  }

  ask(): void {
    this.#wanted = true;
    if (this.#rests) this.#go();
  }

  end(): void {
    this.#ended = true;
    clearTimeout(this.#timer);
  }

  #go(): void {
    if (this.#ended) return;
    [this.#rests, this.#wanted] = [false, false];
    this.#work()
      // It is done again when it is asked for again.
      .catch(() => undefined)
      .then(() => {
        this.#timer = setTimeout(() => {
          this.#rests = true;
          if (this.#wanted) this.#go();
        }, this.#restMs);
      });
  }
}
