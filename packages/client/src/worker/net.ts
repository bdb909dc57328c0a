// Sockets and requests. Effects of the engine in, its inputs out.

import { codes } from "./failure.js";

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

/** What of the engine hears from the network. */
export interface Receiver {
  connected(connection: number): void;
  /** A socket is gone, or never opened; perhaps with how long the server wants to be left alone. */
  disconnected(connection: number, reason: string, retryAfterMs?: number): void;
  frame(connection: number, bytes: Uint8Array): void;
  chunkLoaded(request: number, bytes: Uint8Array): void;
  chunkFailed(request: number, gone: boolean, reason: string, retryAfterMs: number | undefined): void;
}

export class Net {
  #socket: WebSocket | undefined;
  #connection = 0;
  /** Addresses of chunks that came lately. One that is asked for again came damaged, and caches keep it. */
  readonly #came = new Set<string>();
  readonly #server: string;
  readonly #input: (input: (receiver: Receiver) => void) => void;

  constructor(server: string, input: (input: (receiver: Receiver) => void) => void) {
    this.#server = server;
    this.#input = input;
  }

  connect(connection: number): void {
    this.close();
    const url = `${this.#server.replace(/^http/, "ws")}/v1/sync`;
    const lost = (reason: string, retryAfterMs?: number) =>
      this.#input((receiver) => receiver.disconnected(connection, reason, retryAfterMs));
    let socket: WebSocket;
    try {
      socket = new WebSocket(url);
    } catch (thrown) {
      queueMicrotask(() => lost(`${url} cannot be connected to: ${thrown}`));
      return;
    }
    socket.binaryType = "arraybuffer";
    this.#socket = socket;
    this.#connection = connection;
    socket.onopen = () => {
      socket.onclose = ({ reason }) => lost(`the connection was closed${reason && ` (${reason})`}`);
      this.#input((receiver) => receiver.connected(connection));
    };
    socket.onmessage = ({ data }: MessageEvent<ArrayBuffer | string>) => {
      const bytes = typeof data === "string" ? new TextEncoder().encode(data) : new Uint8Array(data);
      this.#input((receiver) => receiver.frame(connection, bytes));
    };
    socket.onclose = () => this.#explain().then((why) => lost(...why));
  }

  disconnect(connection: number): void {
    if (this.#connection === connection) this.close();
  }

  send(connection: number, frame: Uint8Array<ArrayBuffer>): void {
    // A socket that is closing has told, or is about to.
    if (this.#connection === connection && this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(frame);
  }

  async fetch(request: number, address: string): Promise<void> {
    let gone = false;
    let wait: number | undefined;
    try {
      // What is kept of an earlier visit may be of a history that the server has lost: its tag is compared.
      const cache = this.#came.has(address) ? "reload" : "no-cache";
      const answer = await this.#get(address, { cache }).catch((thrown: Error) => {
        throw new Error(`the chunk could not be fetched: ${thrown.message}`);
      });
      gone = [403, 404, 410].includes(answer.status);
      if (gone) throw new Error("the chunk's address is no longer valid");
      if (!answer.ok) {
        wait = retryAfterMs(answer);
        throw new Error(`the server answered the chunk's address with status ${answer.status}`);
      }
      const bytes = new Uint8Array(await answer.arrayBuffer());
      if (bytes.length > MOST_BYTES) throw new Error("the chunk is larger than any that a server makes");
      if (this.#came.size >= MOST_REMEMBERED) this.#came.clear();
      this.#came.add(address);
      this.#input((receiver) => receiver.chunkLoaded(request, bytes));
    } catch (thrown) {
      this.#input((receiver) => receiver.chunkFailed(request, gone, (thrown as Error).message, wait));
    }
  }

  #get(path: string, init: RequestInit): Promise<Response> {
    return fetch(this.#server + path, { credentials: "omit", ...init });
  }

  /** Of a socket that is dropped nothing more is heard. */
  close(): void {
    const socket = this.#socket;
    if (!socket) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
  }

  /**
   * Why a socket did not open, and how long to wait where that was said. A script is not told what its WebSocket was
   * answered with: its address is asked once more without one, and a server that has no room says so again.
   */
  async #explain(): Promise<[reason: string, retryAfterMs: number | undefined]> {
    const signal = AbortSignal.timeout(PROBE_MS);
    const ask = (path: string) => this.#get(path, { signal, cache: "no-store" });
    const answer = await ask("/v1/sync").catch(() => null);
    const wait = answer && LATER.includes(answer.status) ? retryAfterMs(answer) : undefined;
    if (wait !== undefined && BUSY.includes(answer?.status as number)) {
      const pause = `the server is busy; this device connects again after the ${wait / 1000} s`;
      return [`${pause} that it asks for [${codes.overloaded}]`, wait];
    }
    return [await this.#look(ask), wait];
  }

  /** A sentence for the status: a refused WebSocket on a server that answers is another trouble than no server. */
  async #look(ask: (path: string) => Promise<Response>): Promise<string> {
    try {
      const { ok, status, headers } = await ask("/health");
      if (ok && !headers.get("content-type")?.includes("html")) {
        return `the server is there but the WebSocket failed; a proxy on the way may block it [${codes.notLandfall}]`;
      }
      return (
        `${this.#server} answers with ${ok ? "a web page" : `status ${status}`} where a Landfall server should; ` +
        `check the address, and whether a proxy or a sign-in page stands before it [${codes.notLandfall}]`
      );
    } catch {
      return `${this.#server} cannot be reached; work goes on here, and is sent when it can be [${codes.unreachable}]`;
    }
  }
}

/** `Retry-After` in its form in seconds alone: nobody who answers here says a date. */
function retryAfterMs({ headers }: Response): number | undefined {
  const seconds = headers.get("retry-after") ?? "";
  return /^\d{1,9}$/.test(seconds) ? 1000 * Number(seconds) : undefined;
}
