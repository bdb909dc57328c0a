// Who is there: the Yjs awareness protocol over a connection of its own, which may fail without any harm.

import {
  type Awareness,
  applyAwarenessUpdate,
  encodeAwarenessUpdate,
  removeAwarenessStates,
} from "y-protocols/awareness";
import type { Database } from "./types.js";

/** What of the database is used here; the last is the package's own. */
type Db = Database & { server(): { server: string | null; token: string | null } };

const SYNC = 0;
const AWARENESS = 1;
const WHO_IS_THERE = 3;
const UPDATE = 2;
/** By how many counts one who comes back is ahead of what was said of them. */
const COUNTS = 2;
/** The first and the longest wait before it is tried again, milliseconds. */
const WAITS: readonly [number, number] = [500, 30_000];

/** A line to others: tells them who is here, and hears of them, over the protocol of `y-websocket`. Nothing of it is stored. */
export class Line {
  #socket: WebSocket | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #wait = WAITS[0];
  readonly #leave: () => void;

  constructor(
    readonly db: Db,
    readonly address: string,
    readonly awareness: Awareness,
    readonly told: (present: boolean) => void,
    readonly took: (update: Uint8Array) => void,
  ) {
    const onUpdate = ({ added, updated, removed }: Record<string, number[]>, origin: unknown) => {
      if (origin === this) return;
      const changed = [...(added ?? []), ...(updated ?? []), ...(removed ?? [])];
      this.#say(changed.filter((id) => id === awareness.clientID));
    };
    const onOnline = () => {
      this.#wait = WAITS[0];
      this.#connect();
    };
    awareness.on("update", onUpdate);
    globalThis.addEventListener?.("online", onOnline);
    let was = db.status.current.connectivity;
    const stop = db.status.subscribe(({ connectivity: now }) => {
      if (now === "online" && now !== was && !this.#socket) onOnline();
      // Also by choice (`setOnline`): whoever wants no network is not there for others.
      if (now === "offline" && now !== was) this.#socket?.close();
      was = now;
    });
    this.#leave = () => {
      stop();
      awareness.off("update", onUpdate);
      globalThis.removeEventListener?.("online", onOnline);
    };
    this.#connect();
  }

  #connect(): void {
    clearTimeout(this.#timer);
    const { server, token } = this.db.server();
    // It goes on when the database is online again, which is told.
    if (this.#socket || server === null || this.db.status.current.connectivity === "offline") return;
    const query = token === null ? "" : `?token=${encodeURIComponent(token)}`;
    const socket = new WebSocket(`${server.replace(/^http/, "ws")}/v1/${this.address}${query}`);
    socket.binaryType = "arraybuffer";
    this.#socket = socket;
    socket.onopen = () => {
      this.told(true);
      this.#sayAnew();
      socket.send(Uint8Array.of(WHO_IS_THERE));
    };
    socket.onmessage = ({ data }) => this.#hear(new Uint8Array(data as ArrayBuffer));
    socket.onclose = () => {
      if (this.#socket !== socket) return;
      this.#socket = undefined;
      this.told(false);
      const others = [...this.awareness.getStates().keys()].filter((id) => id !== this.awareness.clientID);
      removeAwarenessStates(this.awareness, others, this);
      const jitter = 0.5 + Math.random();
      this.#timer = setTimeout(() => this.#connect(), this.#wait * jitter);
      this.#wait = Math.min(this.#wait * 2, WAITS[1]);
    };
  }

  /**
   * Who has lost the connection was said to be gone, under the next count of theirs: what is said again under a count that was
   * heard is nothing new, and would be passed over until the count goes on by itself, which takes half a minute.
   */
  #sayAnew(): void {
    const { awareness } = this;
    for (let count = 0; count < COUNTS; count++) awareness.setLocalState(awareness.getLocalState());
    this.#say([awareness.clientID]);
  }

  #say(ids: number[]): void {
    if (ids.length === 0 || this.#socket?.readyState !== WebSocket.OPEN) return;
    this.#socket.send(framed(AWARENESS, encodeAwarenessUpdate(this.awareness, ids)));
  }

  #hear(message: Uint8Array): void {
    const read = { bytes: message, at: 0 };
    const kind = number(read);
    // It speaks with this person: who is refused says so in another kind, and is not asked again and again.
    if (kind === AWARENESS || kind === SYNC) this.#wait = WAITS[0];
    if (kind === AWARENESS) applyAwarenessUpdate(this.awareness, bytes(read), this);
    // What others type is shown before it comes as a row.
    if (kind === SYNC && number(read) === UPDATE) this.took(bytes(read));
  }

  close(): void {
    this.#leave();
    clearTimeout(this.#timer);
    const socket = this.#socket;
    this.#socket = undefined;
    socket?.close();
  }
}

/** A number of variable length, as `lib0` writes it. */
function number(from: { bytes: Uint8Array; at: number }): number {
  for (let value = 0, factor = 1; ; factor *= 128) {
    const byte = from.bytes[from.at++] ?? 0;
    value += (byte & 127) * factor;
    if (byte < 128) return value;
  }
}

function bytes(from: { bytes: Uint8Array; at: number }): Uint8Array {
  const length = number(from);
  return from.bytes.slice(from.at, from.at + length);
}

function framed(kind: number, body: Uint8Array): Uint8Array<ArrayBuffer> {
  const head = [kind];
  let length = body.length;
  for (; length > 127; length >>>= 7) head.push((length & 127) | 128);
  const out = new Uint8Array(head.length + 1 + body.length);
  out.set([...head, length]);
  out.set(body, head.length + 1);
  return out;
}
