// What the benchmarks call in the page: the database of the SDK, and the bare one beside it.

import { openDatabase } from "@landfall/client";
import { schema } from "landfall-schema";

export const LIST = "00000000-0000-0000-0000-000000000000";

/** The engine's worker as it is shipped. */
function open(options = {}) {
  return openDatabase({ schema, name: "bench", server: location.origin, token: "dev:bench", ...options });
}

/** The same worker with ears: it tells how long the engine's part took, and how much memory it has. */
class Measured {
  #line = new BroadcastChannel("measured");

  async open(options = {}) {
    const worker = () =>
      new Worker(new URL("./measured-worker.js", import.meta.url), { type: "module", name: "measured" });
    return open({ ...options, worker });
  }

  /** Since the last time: milliseconds of each write, and of the longest turn; and the bytes of the module's memory. */
  ask() {
    return new Promise((resolve) => {
      this.#line.onmessage = ({ data }) => resolve(data);
      this.#line.postMessage("how is it");
    });
  }
}

/** SQLite alone in a worker of the same kind. */
class Bare {
  #worker = new Worker(new URL("./bare-worker.js", import.meta.url), { type: "module", name: "bare" });
  #waiting = new Map();
  #asked = 0;

  constructor() {
    this.#worker.onmessage = ({ data }) => {
      const { resolve, reject } = this.#waiting.get(data.id);
      this.#waiting.delete(data.id);
      if (data.error) reject(new Error(data.error));
      else resolve(data);
    };
  }

  /** Gives `value`, and `ms`: what the call took in the worker. */
  call(name, ...args) {
    this.#asked += 1;
    const id = this.#asked;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#worker.postMessage({ id, name, args });
    });
  }

  end() {
    this.#worker.terminate();
  }
}

/** Row `n` as the native benchmarks have it. */
function row(n) {
  const spread = BigInt.asUintN(64, BigInt(n) * 0x9e3779b97f4a7c15n);
  const title = `row ${String(n).padStart(8, "0")} ${spread.toString(16)}`.padEnd(40);
  const updated_at = "2026-09-21T14:13:20Z";
  return { id: crypto.randomUUID(), list_id: LIST, title, done: false, position: n, updated_at };
}

/** When the frame after this one's changes is on the screen, as far as a page can tell. */
function painted() {
  return new Promise((resolve) => {
    requestAnimationFrame(() => {
      const { port1, port2 } = new MessageChannel();
      port1.onmessage = () => resolve(performance.now());
      port2.postMessage(null);
    });
  });
}

/** Waits until the status is as `want` says. */
function status(db, want) {
  return new Promise((resolve) => {
    const look = () => {
      if (!want(db.status.current)) return;
      stop();
      resolve();
    };
    const stop = db.status.subscribe(look);
    look();
  });
}

function online(db) {
  return status(db, ({ connectivity, pending }) => connectivity === "online" && pending === 0);
}

globalThis.bench = { LIST, open, Measured, Bare, row, painted, status, online };

/** `?start=…`: opens at once and asks one query, as an app does. The answer's time counts from the navigation. */
async function start(what) {
  if (what === "landfall") {
    globalThis.db = await open();
    await globalThis.db.query("SELECT count(*) AS n FROM items");
  } else {
    globalThis.bare = new Bare();
    await globalThis.bare.call("open", "bare");
    await globalThis.bare.call("count");
  }
  globalThis.answered = performance.now();
}

const what = new URLSearchParams(location.search).get("start");
if (what) start(what);
globalThis.ready = true;
