// The device in WebAssembly: the very module that ships, with what a worker does around it, and clocks, randomness and a
// network that the scenario holds. What it does and shows is told as the native runner tells it
// (`crates/client-web/tests/scenarios/device.rs`).

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import initModule, { open } from "../../wasm/landfall_client_web.js";
import initCodec, { toFrame, toJson } from "./codec/landfall_protocol_web.js";

const WALL_MS = 1_795_000_000_000;
const MONO_MS = 1_000;
/** More turns of the timer than any scenario needs: a device that wants more spins. */
const MOST_TURNS = 200;

/** What the module asks the browser for. There is one device at a time. */
const now = { wall: WALL_MS, mono: MONO_MS };
let dice = 0;

/** Randomness that both runners draw alike: xorshift, 32 bits, the lowest byte of each. */
function fill(bytes) {
  for (let at = 0; at < bytes.length; at++) {
    dice ^= dice << 13;
    dice ^= dice >>> 17;
    dice ^= dice << 5;
    bytes[at] = dice & 0xff;
  }
  return bytes;
}

const codec = new URL("./codec/landfall_protocol_web_bg.wasm", import.meta.url);
const module = new URL("../../wasm/landfall_client_web_bg.wasm", import.meta.url);
await initCodec({ module_or_path: await readFile(codec) });
await initModule({ module_or_path: await readFile(module) });
Date.now = () => now.wall;
Object.defineProperty(globalThis, "performance", { value: { now: () => now.mono }, configurable: true });
Object.defineProperty(globalThis, "crypto", { value: { getRandomValues: fill }, configurable: true });

export { toFrame, toJson };

export function unhex(text) {
  return Uint8Array.from(text.replace(/[^0-9a-f]/g, "").match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}

/** Entries as they are told, but for what differs from run to run. */
function toldOf(text) {
  return JSON.parse(text).map(({ attempts: _, created: __, ...entry }) => entry);
}

export class Device {
  #client;
  #did = [];
  #status = null;
  #shapes = new Map();
  #fetches = [];
  #connection = 0;
  #before = 0;
  /** What was offered under each number, for P1. */
  #offered = new Map();

  static async open(schema) {
    [now.wall, now.mono, dice] = [WALL_MS, MONO_MS, 0x1234_5678];
    const device = new Device();
    const config = {
      schema,
      directory: null,
      vfs: "none",
      token: "token",
      online: false,
      cache_kib: 1024,
      chunk_rows: 2,
    };
    device.#client = await open(JSON.stringify(config), new Uint8Array(), new Uint8Array(), device.#sink());
    assert.deepEqual(device.#did, [], "a device that is offline does nothing by itself");
    return device;
  }

  close() {
    this.#client.free();
  }

  #sink() {
    const nothing = () => undefined;
    return {
      connect: (connection) => {
        [this.#before, this.#connection] = [this.#connection, connection];
        this.#did.push({ connect: connection });
      },
      disconnect: (connection) => this.#did.push({ disconnect: connection }),
      send: (connection, frame) => {
        assert.equal(connection, this.#connection, "it speaks over a connection that is not the present one");
        this.#did.push({ send: this.#sent(JSON.parse(toJson("client", frame))) });
      },
      fetch: (request, address) => {
        this.#fetches.push({ request, address });
        this.#did.push({ fetch: address });
      },
      status: (text) => {
        this.#status = JSON.parse(text);
      },
      rows: (_, text) => this.#did.push({ rows: JSON.parse(text) }),
      queryFailed: (_, reason) => this.#did.push({ query_failed: reason }),
      shape: (handle, complete, failure) => this.#shapes.set(String(handle), { complete, failure: failure ?? null }),
      mirrorPut: nothing,
      mirrorDelete: nothing,
      mirrorDamaged: nothing,
      mirrorAnew: nothing,
    };
  }

  /** P1: whatever is offered again under a number is the same. */
  #sent(message) {
    for (const entry of message.entries ?? []) {
      const name = `${entry.replica} ${entry.rseq}`;
      if (!this.#offered.has(name)) this.#offered.set(name, entry);
      assert.deepEqual(entry, this.#offered.get(name), "P1: another content under a number that was offered before");
    }
    // It holds the version of the build.
    return "agent" in message ? { ...message, agent: "landfall" } : message;
  }

  /** Takes a step, and tells what the device did. */
  take(step, messages) {
    const client = this.#client;
    if ("app" in step) this.#app(step.app);
    if (step.net === "up") client.connected(this.#connection);
    else if ("net" in step) client.disconnected(this.#connection, step.net.down);
    if ("server" in step) client.frame(this.#connection, this.#frame(step.server, messages, step));
    if ("late" in step) client.frame(this.#before, this.#frame(step.late, messages, step));
    if ("frame" in step) client.frame(this.#connection, unhex(step.frame));
    if ("chunk" in step) this.#chunk(step.chunk);
    if ("after" in step) this.#wait(step.after);
    if ("clock" in step) now.wall += step.clock;
    this.#turn(now.mono);
    // Answers wait a millisecond for the changes behind them. Here every step takes longer than that.
    if (client.deadline() === now.mono + 1) client.tick();
    return this.#did.splice(0);
  }

  #frame(message, messages, { cut = 0, turned, packed }) {
    const whole = { ...messages[message.type], ...message };
    for (const name in whole) if (whole[name] === "now") whole[name] = now.wall;
    const frame = toFrame("server", JSON.stringify(whole));
    if (packed !== undefined) assert.equal(frame[0] === 1, packed, "whether the frame is compressed");
    if (turned !== undefined) frame[turned >> 3] ^= 1 << (turned & 7);
    return frame.subarray(0, frame.length - cut);
  }

  #chunk(answers) {
    const [[address, what]] = Object.entries(answers);
    const at = this.#fetches.findIndex((asked) => asked.address === address);
    assert.ok(at >= 0, `nobody asked for ${address}`);
    const [{ request }] = this.#fetches.splice(at, 1);
    if ("gone" in what) this.#client.chunkFailed(request, true, what.gone);
    else if ("later" in what) this.#client.chunkFailed(request, false, what.later, what.wait);
    else if ("frame" in what) this.#client.chunkLoaded(request, unhex(what.frame));
    else this.#client.chunkLoaded(request, toFrame("chunk", JSON.stringify(what)));
  }

  #app(what) {
    try {
      const value = this.#call(what);
      if (value !== undefined) this.#did.push(value);
    } catch (thrown) {
      // The module's own failures are JSON text.
      if (typeof thrown !== "string") throw thrown;
      this.#did.push({ failed: JSON.parse(thrown).code });
    }
  }

  #call(what) {
    const client = this.#client;
    if ("online" in what) client.setOnline(what.online);
    else if ("token" in what) client.setToken(what.token);
    else if ("pause" in what) client.manage(what.pause ? "pause" : "resume", "");
    else if ("replay" in what) client.manage("replay", "");
    else if ("review" in what) return { review: toldOf(client.manage("review", "")) };
    else if ("nudge" in what) client.nudge();
    else if ("write" in what) return { wrote: client.write(JSON.stringify(what.write), undefined) ?? null };
    else if ("watch" in what) return { watched: JSON.parse(client.watch(what.watch, "[]")[1]) };
    else if ("open" in what) return { opened: client.openShape(what.open, JSON.stringify(what.params ?? {})) };
    else if ("close" in what) client.closeShape(what.close);
    else if ("retry" in what) return { wrote: client.retry(what.retry) };
    else if ("discard" in what) client.discard(what.discard);
    else assert.fail(`no call of the app is named so: ${JSON.stringify(what)}`);
    return undefined;
  }

  #turn(until) {
    for (let turns = 0; turns < MOST_TURNS; turns++) {
      const due = this.#client.deadline();
      if (due === undefined || due > until) return;
      this.#pass(Math.max(0, due - now.mono));
      this.#client.tick();
    }
    assert.fail("the device spins");
  }

  #pass(ms) {
    now.mono += ms;
    now.wall += ms;
  }

  #wait(ms) {
    const until = now.mono + ms;
    this.#turn(until);
    this.#pass(until - now.mono);
  }

  /** What the app sees, of what is asked for. */
  see(asked) {
    const part = (of, from) => Object.fromEntries(Object.keys(of).map((name) => [name, from(name)]));
    return part(asked, (what) => {
      if (what === "status") return part(asked.status, (name) => this.#status[name] ?? null);
      if (what === "shapes") return part(asked.shapes, (handle) => this.#shapes.get(handle));
      if (what === "outbox") return toldOf(this.#client.outbox());
      try {
        return JSON.parse(this.#client.query(what, "[]")).rows;
      } catch (thrown) {
        if (typeof thrown !== "string") throw thrown;
        return { failed: JSON.parse(thrown).code };
      }
    });
  }
}
