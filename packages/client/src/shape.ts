import { LandfallError } from "./error.js";
import { State } from "./observable.js";
import type { Shape, ShapeState } from "./types.js";

/** A shape on the page. */
export class OpenShape implements Shape {
  readonly #state = new State<ShapeState>("loading");
  readonly ready: Promise<void>;
  #error: LandfallError | null = null;
  #resolve!: () => void;
  #reject!: (error: LandfallError) => void;

  constructor(
    readonly name: string,
    readonly params: string,
    readonly close: () => Promise<void>,
  ) {
    this.ready = new Promise((resolve, reject) => {
      [this.#resolve, this.#reject] = [resolve, reject];
    });
    // Not everybody waits for it; `state` and `error` tell the same.
    this.ready.catch(() => undefined);
  }

  get current(): ShapeState {
    return this.state;
  }

  get state(): ShapeState {
    return this.#state.current;
  }

  get error(): LandfallError | null {
    return this.#error;
  }

  subscribe(listener: (state: ShapeState) => void): () => void {
    return this.#state.subscribe(listener);
  }

  heard(complete: boolean, failure: string | null): void {
    if (failure !== null) {
      const code = /LF-\d{4}/.exec(failure)?.[0] ?? "LF-4006";
      this.failed(new LandfallError({ code, message: failure }));
      return;
    }
    this.#error = null;
    if (complete) this.#resolve();
    this.#set(complete ? "ready" : "loading");
  }

  failed(error: LandfallError): void {
    this.#error = error;
    this.#reject(error);
    this.#set("error");
  }

  #set(state: ShapeState): void {
    if (state !== this.state) this.#state.set(state);
  }
}
