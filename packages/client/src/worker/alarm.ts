// The engine's one deadline. A turn that is due at once does not go by a timer: timers that set one another are held
// back for 4 ms each, and a first load has hundreds of turns. Messages keep their order, so that what a page asked for
// meanwhile comes first.

/** A turn is never further away than timers can count. */
const LONGEST_MS = 2 ** 31 - 1;

export class Alarm {
  readonly #channel = new MessageChannel();
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** Counts settings, so that a message of one that was cleared says nothing. */
  #setting = 0;
  #isSet = false;
  readonly #ring: () => void;

  constructor(ring: () => void) {
    this.#ring = () => {
      this.#isSet = false;
      ring();
    };
    this.#channel.port1.onmessage = ({ data }) => {
      if (data === this.#setting) this.#ring();
    };
  }

  get isSet(): boolean {
    return this.#isSet;
  }

  /** Rings in so many milliseconds, and not at what was set before. */
  set(ms: number): void {
    this.clear();
    this.#isSet = true;
    if (ms > 0) this.#timer = setTimeout(this.#ring, Math.min(LONGEST_MS, ms));
    else this.#channel.port2.postMessage(this.#setting);
  }

  clear(): void {
    clearTimeout(this.#timer);
    this.#setting += 1;
    this.#isSet = false;
  }

  /** Rings never again; a port that is open would keep a process alive. */
  close(): void {
    this.clear();
    this.#channel.port1.close();
  }
}
