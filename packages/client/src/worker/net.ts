// Sockets and requests. Effects of the engine in, its inputs out.

import { codes } from "../error.js";

/** To look why a socket did not open takes no longer than this. */
const PROBE_MS = 5_000;
/** So a server answers that has no room. */
const BUSY = [429, 503];
/** And so a proxy whose server is not there: each may say when to come again. */
const LATER = [...BUSY, 502, 504];
/** No frame and no chunk is larger. */
const MOST_BYTES = 24 * 2 ** 20;
/** So many chunks are remembered as having come: more than are ever under way. */
const MOST_REMEMBERED = 64;

export interface Receiver {
  connected(connection: number): void;
  /** A socket is gone, or never opened; perhaps with how long the server wants to be left alone. */
  disconnected(connection: number, reason: string, retryAfterMs?: number): void;
  frame(connection: number, bytes: Uint8Array): void;
  chunkLoaded(request: number, bytes: Uint8Array): void;
  chunkFailed(request: number, gone: boolean, reason: string, retryAfterMs: number | undefined): void;
}

export class Net {
  #socket: { connection: number; socket: WebSocket } | null = null;
  /** Addresses of chunks that came lately. One that is asked for again came damaged, and caches keep it. */
  readonly #came = new Set<string>();
  readonly #server: string;
  readonly #receiver: Receiver;

  constructor(server: string, receiver: Receiver) {
    this.#server = server;
    this.#receiver = receiver;
  }

  connect(connection: number): void {
    this.#drop();
    const url = `${this.#server.replace(/^http/, "ws")}/v1/sync`;
    let socket: WebSocket;
    try {
      socket = new WebSocket(url);
    } catch (thrown) {
      queueMicrotask(() => this.#receiver.disconnected(connection, `${url} cannot be connected to: ${thrown}`));
      return;
    }
    socket.binaryType = "arraybuffer";
    this.#socket = { connection, socket };
    let opened = false;
    const isCurrent = () => this.#socket?.socket === socket;
    socket.onopen = () => {
      opened = true;
      if (isCurrent()) this.#receiver.connected(connection);
    };
    socket.onmessage = (event: MessageEvent<ArrayBuffer | string>) => {
      if (!isCurrent()) return;
      const data = event.data;
      this.#receiver.frame(
        connection,
        typeof data === "string" ? new TextEncoder().encode(data) : new Uint8Array(data),
      );
    };
    socket.onclose = (event) => {
      if (!isCurrent()) return;
      this.#socket = null;
      if (opened) {
        const why = event.reason ? ` (${event.reason})` : "";
        this.#receiver.disconnected(connection, `the connection was closed${why}`);
        return;
      }
      this.#explain().then((why) => this.#receiver.disconnected(connection, ...why));
    };
  }

  disconnect(connection: number): void {
    if (this.#socket?.connection === connection) this.#drop();
  }

  send(connection: number, frame: Uint8Array<ArrayBuffer>): void {
    const open = this.#socket;
    // A socket that is closing has told, or is about to.
    if (open?.connection === connection && open.socket.readyState === WebSocket.OPEN) open.socket.send(frame);
  }

  fetch(request: number, address: string): void {
    // What is kept of an earlier visit may be of a history that the server has lost: its tag is compared.
    this.#load(`${this.#server}${address}`, this.#came.has(address) ? "reload" : "no-cache").then(
      (bytes) => {
        if (this.#came.size >= MOST_REMEMBERED) this.#came.clear();
        this.#came.add(address);
        this.#receiver.chunkLoaded(request, bytes);
      },
      (thrown: Error) => {
        const gone = thrown instanceof Gone;
        const wait = thrown instanceof Busy ? thrown.retryAfterMs : undefined;
        this.#receiver.chunkFailed(request, gone, thrown.message, wait);
      },
    );
  }

  close(): void {
    this.#drop();
  }

  #drop(): void {
    const open = this.#socket;
    this.#socket = null;
    open?.socket.close();
  }

  async #load(url: string, cache: RequestCache): Promise<Uint8Array> {
    const answer = await fetch(url, { credentials: "omit", cache }).catch((thrown: Error) => {
      throw new Error(`the chunk could not be fetched: ${thrown.message}`);
    });
    if ([403, 404, 410].includes(answer.status)) throw new Gone("the chunk's address is no longer valid");
    if (!answer.ok) {
      throw new Busy(`the server answered the chunk's address with status ${answer.status}`, retryAfterMs(answer));
    }
    const bytes = new Uint8Array(await answer.arrayBuffer());
    if (bytes.length > MOST_BYTES) throw new Error("the chunk is larger than any that a server makes");
    return bytes;
  }

  /**
   * Why a socket did not open, and how long to wait where that was said. A script is not told what its WebSocket was
   * answered with: its address is asked once more without one, and a server that has no room says so again.
   */
  async #explain(): Promise<[reason: string, retryAfterMs: number | undefined]> {
    const signal = AbortSignal.timeout(PROBE_MS);
    const asked: RequestInit = { signal, credentials: "omit", cache: "no-store" };
    const answer = await fetch(`${this.#server}/v1/sync`, asked).catch(() => null);
    const status = answer?.status ?? 0;
    const wait = answer !== null && LATER.includes(status) ? retryAfterMs(answer) : undefined;
    if (wait === undefined || !BUSY.includes(status)) return [await this.#look(asked), wait];
    const pause = `the server is busy; it asks for a pause of ${wait / 1000} s`;
    return [`${pause}, and then this device connects again by itself [${codes.overloaded}]`, wait];
  }

  /** A sentence for the status: a refused WebSocket on a server that answers is another trouble than no server. */
  async #look(asked: RequestInit): Promise<string> {
    try {
      const answer = await fetch(`${this.#server}/health`, asked);
      const type = answer.headers.get("content-type") ?? "";
      if (answer.ok && !type.includes("html")) {
        return `the server is there but the WebSocket failed; a proxy on the way may block it [${codes.notLandfall}]`;
      }
      const found = answer.ok ? "a web page" : `status ${answer.status}`;
      return (
        `${this.#server} answers with ${found} where a Landfall server should; check the address and ` +
        `what stands before it, such as a proxy or a sign-in page of the network [${codes.notLandfall}]`
      );
    } catch {
      return `${this.#server} cannot be reached; work goes on here, and is sent when it can be [${codes.unreachable}]`;
    }
  }
}

/** `Retry-After` in its form in seconds alone: nobody who answers here says a date. */
function retryAfterMs(answer: Response): number | undefined {
  const seconds = /^\d{1,9}$/.exec(answer.headers.get("retry-after") ?? "")?.[0];
  return seconds === undefined ? undefined : 1000 * Number(seconds);
}

class Gone extends Error {}

class Busy extends Error {
  constructor(
    message: string,
    readonly retryAfterMs: number | undefined,
  ) {
    super(message);
  }
}
