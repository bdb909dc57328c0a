import { codes, type ErrorData, fail, LandfallError, wordsOf } from "./error.js";
import type { Ask, Config, News, ToPage, ToWorker } from "./protocol.js";

/** A worker that has said nothing for so long, while something was asked of it, is asked whether it lives. */
const PROBE_AFTER_MS = 10_000;
/** A worker that does not answer that either is started anew. */
const DEAD_AFTER_MS = 30_000;
/** So many new starts within a minute show that another would not help. */
const MOST_RESTARTS = 3;

interface Pending {
  resolve: (value: unknown) => void;
  reject: (error: LandfallError) => void;
}

export interface Listener {
  news(news: News): void;
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
    await this.#post((id) => ({ id, open: config }));
  }

  ask(ask: Ask): Promise<unknown> {
    return this.#post((id) => ({ id, ask }));
  }

  async close(): Promise<void> {
    if (this.#ended) return;
    await this.#post((id) => ({ id, close: true }));
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
    if (!this.#worker || this.#ended) return;
    this.#isAside = true;
    this.#stopWorker(fail(codes.closed, "the page was left before this was answered; ask again"));
  }

  /** The page is back: a new worker, as after any other end of one. */
  comeBack(): void {
    if (!this.#isAside || this.#ended) return;
    this.#isAside = false;
    this.#worker = this.#startWorker();
    this.#listener.restarted(null);
  }

  #startWorker(): Worker {
    const worker = this.#start();
    const isCurrent = () => worker === this.#worker;
    worker.onmessage = (event: MessageEvent<ToPage>) => isCurrent() && this.#hear(event.data);
    worker.onerror = (event) => {
      event.preventDefault();
      if (!isCurrent()) return;
      const why = event.message ? `: ${event.message}` : "";
      this.end(
        fail(
          codes.script,
          `the database's worker could not be loaded${why}; check that worker.js is served beside the app, and reload`,
        ),
      );
    };
    worker.onmessageerror = () =>
      isCurrent() && this.#restart({ code: codes.other, message: "a message of the worker could not be read" });
    return worker;
  }

  #post(message: (id: number) => ToWorker): Promise<unknown> {
    if (this.#ended) return Promise.reject(this.#ended);
    const worker = this.#worker;
    if (!worker) return Promise.reject(fail(codes.closed, "the database is not open"));
    const id = ++this.#ids;
    return new Promise((resolve, reject) => {
      this.#pending.set(id, { resolve, reject });
      this.#guard();
      try {
        worker.postMessage(message(id));
      } catch (thrown) {
        this.#pending.delete(id);
        reject(fail(codes.other, `the worker cannot be asked: ${wordsOf(thrown)}`));
      }
    });
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
    this.#worker?.terminate();
    this.#worker = null;
    clearInterval(this.#watch);
    this.#watch = undefined;
    const pending = [...this.#pending.values()];
    this.#pending.clear();
    for (const { reject } of pending) reject(error);
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
      return;
    }
    this.#worker = this.#startWorker();
    this.#listener.restarted(error);
  }

  /** While calls wait, the worker must give signs of life. */
  #guard(): void {
    if (this.#watch !== undefined) return;
    this.#heardAt = performance.now();
    this.#watch = setInterval(() => {
      if (this.#pending.size === 0) {
        clearInterval(this.#watch);
        this.#watch = undefined;
        return;
      }
      const silent = performance.now() - this.#heardAt;
      if (silent > DEAD_AFTER_MS) {
        this.#restart({
          code: codes.panicked,
          message: "the database's worker stopped without a word, and was started anew; ask again",
        });
      } else if (silent > PROBE_AFTER_MS) {
        this.#worker?.postMessage({ ping: this.#ids } satisfies ToWorker);
      }
    }, PROBE_AFTER_MS / 2);
  }
}
