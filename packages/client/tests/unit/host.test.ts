// The owner's side, with another engine: what is asked again is not carried out again, and a long outbox is told at the
// pace at which it can be read.

import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { Ask } from "../../src/protocol.js";
import { Host, type Peer } from "../../src/worker/host.js";

/** What the engine was asked, and what it remembers of it. */
const engine = {
  calls: [] as string[],
  known: new Map<string, string>(),
  entries: 0,
  costMs: 0,
  spentMs: 0,
  sink: { status: (_: string) => undefined as unknown, connect: (_: number) => undefined as unknown },
  once<T>(call: string, answer: T, text: string, request: string | undefined): T {
    engine.calls.push(call);
    if (request !== undefined) engine.known.set(request, text);
    return answer;
  },
  deadline: () => undefined,
  disconnected: (...heard: unknown[]) => void engine.calls.push(JSON.stringify(heard)),
  answered: (request: string) => engine.known.get(request),
  write: (_: string, request?: string) => engine.once("write", [5, 3], "[5,3]", request),
  retry: (_: number, request?: string) => engine.once("retry", 7, "7", request),
  discard: (_: number, request?: string) => engine.once("discard", null, "null", request),
  manage: (verb: string, _: string, request?: string) => engine.once(verb, '{"of":4}', '{"of":4}', request),
  /** The longer it is the longer it takes. */
  outbox() {
    engine.calls.push("outbox");
    const took = engine.entries * engine.costMs;
    vi.setSystemTime(Date.now() + took);
    engine.spentMs += took;
    return String(engine.entries);
  },
};

vi.mock("../../wasm/landfall_client_web.js", () => ({
  initSync: () => undefined,
  open: async (_: string, __: unknown, ___: unknown, sink: typeof engine.sink) => Object.assign(engine, { sink }),
}));
vi.mock("../../src/worker/mirror.js", () => ({
  Mirror: {
    open: async () => ({
      mirror: { onFailure: () => undefined, settled: async () => undefined, epoch: 1 },
      found: { requests: new Map() },
    }),
  },
}));
vi.mock("../../src/worker/storage.js", () => ({
  place: async () => ({ directory: "journal", generation: 0 }),
  isDenied: () => false,
  isInUse: () => false,
}));

const CONFIG = {
  name: "journal",
  version: 1,
  compiled: "{}",
  server: null,
  token: null,
  online: true,
  functions: null,
};
let host: Host;
let told: string[];
const peer: Peer = { tab: "b", news: (news) => news.news === "outbox" && told.push(news.entries) };

beforeEach(async () => {
  vi.useFakeTimers();
  vi.spyOn(performance, "now").mockImplementation(() => Date.now());
  vi.stubGlobal("self", { addEventListener: () => undefined, removeEventListener: () => undefined });
  vi.stubGlobal("fetch", async () => ({ ok: true, headers: { get: () => null }, arrayBuffer: async () => undefined }));
  vi.spyOn(WebAssembly, "compile").mockResolvedValue({} as WebAssembly.Module);
  vi.stubGlobal("navigator", { storage: {} });
  Object.assign(engine, { calls: [], known: new Map(), entries: 0, costMs: 0, spentMs: 0 });
  told = [];
  host = await Host.open(CONFIG, (error) => expect.unreachable(error.message));
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});

const changes: [Ask, unknown][] = [
  [{ do: "write", ops: "[]" }, [5, 3]],
  [{ do: "retry", rseq: 2 }, 7],
  [{ do: "discard", rseq: 2 }, null],
  [{ do: "manage", verb: "undo", arg: "" }, '{"of":4}'],
  [{ do: "manage", verb: "redo", arg: "" }, '{"of":4}'],
  [{ do: "manage", verb: "withdraw", arg: "2" }, '{"of":4}'],
];
for (const [ask, answer] of changes) {
  const name = "verb" in ask ? ask.verb : ask.do;
  test(`${name} that a tab asks for again happens once, and is answered alike`, async () => {
    expect(await host.ask(peer, 9, ask)).toEqual(answer);
    expect(await host.ask(peer, 9, ask)).toEqual(answer);
    expect(engine.calls).toEqual([name]);
    // Another request, and one of the owner's own page, which nobody asks again.
    await host.ask(peer, 10, ask);
    await host.ask({ ...peer, tab: null }, 9, ask);
    expect(engine.calls).toEqual([name, name, name]);
  });
}

test("the engine hears when a server that refused a connection wants to be asked again", async () => {
  await Host.open({ ...CONFIG, server: "http://busy.example" }, (error) => expect.unreachable(error.message));
  vi.stubGlobal("fetch", async () => ({ status: 503, headers: { get: () => "7" } }));
  const socket = { onclose: (_: unknown) => undefined as unknown };
  vi.stubGlobal("WebSocket", function WebSocket() {
    return socket;
  });
  engine.sink.connect(4);
  socket.onclose({ reason: "" });
  await vi.waitFor(() => expect(engine.calls).toHaveLength(1));
  expect(JSON.parse(engine.calls[0] ?? "")).toEqual([4, expect.stringContaining("LF-4009"), 7_000]);
});

test("a long outbox is read seldom while it drains, and its last state is told", async () => {
  Object.assign(engine, { entries: 1000, costMs: 0.1 });
  await host.ask(peer, 1, { do: "outbox", on: true });
  engine.spentMs = 0;
  const began = Date.now();
  for (let left = 999; left >= 0; left--) {
    engine.entries = left;
    engine.sink.status("{}");
    await vi.advanceTimersByTimeAsync(10);
  }
  expect(engine.spentMs / (Date.now() - began)).toBeLessThan(0.12);
  expect(engine.calls.length).toBeGreaterThan(10);
  await vi.runAllTimersAsync();
  expect(told.at(-1)).toBe("0");
});

test("what a page does is told at once, but not each of a thousand things", async () => {
  Object.assign(engine, { entries: 1000, costMs: 0.1 });
  await host.ask(peer, 1, { do: "outbox", on: true });
  engine.entries = 1001;
  await host.ask(peer, 2, { do: "write", ops: "[]" });
  await vi.advanceTimersByTimeAsync(25);
  expect(told).toEqual(["1000", "1001"]);
  for (let n = 0; n < 100; n++) {
    engine.entries += 1;
    await host.ask(peer, 3 + n, { do: "write", ops: "[]" });
    await vi.advanceTimersByTimeAsync(10);
  }
  expect(told.length).toBeLessThan(6);
  await vi.runAllTimersAsync();
  expect(told.at(-1)).toBe("1101");
});

test("another tab that comes to hear of the outbox does not keep its last state from the first", async () => {
  await host.ask(peer, 1, { do: "outbox", on: true });
  const heard: string[] = [];
  engine.entries = 4;
  const other: Peer = { tab: "c", news: (news) => news.news === "outbox" && heard.push(news.entries) };
  await host.ask(other, 1, { do: "outbox", on: true });
  expect([told, heard]).toEqual([["0", "4"], ["4"]]);
});
