import { codes, type ErrorData, fail, LandfallError, wordsOf } from "./error.js";
import type { Ask, Config, News, ToPage, ToWorker } from "./protocol.js";

/** A worker that has said nothing for so long, while something was asked of it, is asked whether it lives. */
const PROBE_AFTER_MS = 10_000;
/** A worker that does not answer that either is started anew. */
const DEAD_AFTER_MS = 30_000;
/** So many new starts within a minute show that another would not help. */
const MOST_RESTARTS = 3;

type Message = { open: Config } | { ask: Ask } | { close: true };

interface Pending {
  resolve: (value: unknown) => void;
  reject: (error: LandfallError) => void;
}

export interface Listener {
  news(news: News): void;
  /** There is no worker any more: the database is to be opened again, in another one. */
  restarted(error: ErrorData | null): void;
}

/** The page's side of its worker: calls with answers, and the life of the worker itself. */
export class Link {
  #worker: Worker | null = null;
  #pending = new Map<number, Pending>();
  #ids = 0;
  #ended: LandfallError | null = null;
  #isAside = false;
  #restarts: number[] = [];
  #heardAt = 0;
  #watch: ReturnType<typeof setInterval> | undefined;
  readonly #start: () => Worker;
  readonly #listener: Listener;

  constructor(start: () => Worker, listener: Listener) {
    this.#start = start;
    this.#listener = listener;
  }

  /** Starts the worker, unless it runs, and opens the database in it. */
  async open(config: Config): Promise<void> {
    this.#worker ??= this.#startWorker();
    await this.#post({ open: config });
  }

  ask(ask: Ask): Promise<unknown> {
    return this.#post({ ask });
  }

  async close(): Promise<void> {
    if (!this.#ended) await this.#post({ close: true });
  }

  /** Ends the worker; every call that waits, and every later one, fails with this. */
  end(error: LandfallError): void {
    this.#ended ??= error;
    this.#stopWorker(this.#ended);
  }

  /**
   * The page is left, and the browser may keep it for coming back, frozen with its worker: the files, and the lock that
   * names the owner, would be frozen with it while other tabs wait. What is stored is stored; the worker ends.
   */
  setAside(): void {
    if (!this.#worker) return;
    this.#isAside = true;
    this.#stopWorker(fail(codes.closed, "the page was left before this was answered; ask again"));
  }

  /** The page is back: a new worker, as after any other end of one. */
  comeBack(): void {
    if (!this.#isAside || this.#ended) return;
    this.#isAside = false;
    this.#listener.restarted(null);
  }

  #startWorker(): Worker {
    const worker = this.#start();
    worker.onmessage = (event: MessageEvent<ToPage>) => this.#hear(event.data);
    worker.onerror = (event) => {
      event.preventDefault();
      const why = event.message ? `: ${event.message}` : "";
      this.end(
        fail(
          codes.script,
          `the database's worker could not be loaded${why}; check that worker.js is served beside the app, and reload`,
        ),
      );
    };
    worker.onmessageerror = () =>
      this.#restart({ code: codes.other, message: "a message of the worker could not be read" });
    return worker;
  }

  async #post(message: Message): Promise<unknown> {
    if (this.#ended) throw this.#ended;
    if (!this.#worker) throw fail(codes.closed, "the database is not open");
    const id = ++this.#ids;
    try {
      this.#worker.postMessage({ id, ...message } satisfies ToWorker);
    } catch (thrown) {
      throw fail(codes.other, `the worker cannot be asked: ${wordsOf(thrown)}`);
    }
    this.#guard();
    return new Promise((resolve, reject) => this.#pending.set(id, { resolve, reject }));
  }

  #hear(message: ToPage): void {
    this.#heardAt = performance.now();
    if ("news" in message) this.#listener.news(message);
    if ("restart" in message) this.#restart(message.restart);
    if (!("id" in message)) return;
    const waiting = this.#pending.get(message.id);
    this.#pending.delete(message.id);
    if ("error" in message) waiting?.reject(new LandfallError(message.error));
    else waiting?.resolve(message.value);
  }

  #stopWorker(error: LandfallError): void {
    const worker = this.#worker;
    this.#worker = null;
    if (worker) {
      worker.onmessage = worker.onerror = worker.onmessageerror = null;
      worker.terminate();
    }
    this.#unguard();
    const pending = this.#pending;
    this.#pending = new Map();
    for (const { reject } of pending.values()) reject(error);
  }

  #restart(error: ErrorData | null): void {
    const data = error ?? { code: codes.closed, message: "the database was handed over; ask again" };
    this.#stopWorker(new LandfallError(data));
    if (this.#ended) return;
    const now = performance.now();
    this.#restarts = [...this.#restarts.filter((at) => at > now - 60_000), now];
    if (this.#restarts.length > MOST_RESTARTS) {
      const message = `the engine stopped ${MOST_RESTARTS} times within a minute; reload the page. Last: ${data.message}`;
      this.#ended = new LandfallError({ ...data, message });
    } else {
      this.#listener.restarted(error);
    }
  }

  /** While calls wait, the worker must give signs of life. */
  #guard(): void {
    if (this.#watch !== undefined) return;
    this.#heardAt = performance.now();
    this.#watch = setInterval(() => {
      const silent = performance.now() - this.#heardAt;
      if (this.#pending.size === 0) {
        this.#unguard();
      } else if (silent > DEAD_AFTER_MS) {
        this.#restart({
          code: codes.panicked,
          message: "the database's worker stopped without a word, and was started anew; ask again",
        });
      } else if (silent > PROBE_AFTER_MS) {
        this.#worker?.postMessage({ ping: this.#ids } satisfies ToWorker);
      }
    }, PROBE_AFTER_MS / 2);
  }

  #unguard(): void {
    clearInterval(this.#watch);
    this.#watch = undefined;
  }
}
