// Sockets and requests, against real servers that refuse them in the ways of servers and proxies.

import { once } from "node:events";
import { createServer, request } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Net, type Receiver } from "../../src/worker/net.js";

/** Node 20 has no WebSocket. As a browser's, this one does not tell what it was refused with. */
class RefusedSocket {
  onclose: ((event: { reason: string }) => void) | null = null;

  constructor(url: string) {
    const headers = { connection: "Upgrade", upgrade: "websocket" };
    const closed = () => this.onclose?.({ reason: "" });
    request(url.replace(/^ws/, "http"), { headers }).on("response", closed).on("error", closed).end();
  }

  close(): void {}
}

interface Said {
  status: number;
  headers?: Record<string, string>;
  body?: string;
}

const ends: (() => void)[] = [];
beforeEach(() => vi.stubGlobal("WebSocket", RefusedSocket));
afterEach(() => {
  vi.unstubAllGlobals();
  for (const end of ends.splice(0)) end();
});

/** A server that answers an upgrade as it answers the same request without one. */
async function serve(answer: (path: string) => Said): Promise<{ url: string; asked: string[]; caching: unknown[] }> {
  const [asked, caching]: [string[], unknown[]] = [[], []];
  const server = createServer(({ url = "", headers }, response) => {
    asked.push(url);
    caching.push(headers["cache-control"]);
    const { status, headers: said, body } = answer(url);
    response.writeHead(status, said).end(body);
  });
  server.on("upgrade", ({ url = "" }, socket) => {
    asked.push(`upgrade ${url}`);
    const { status, headers = {} } = answer(url);
    const lines = Object.entries({ ...headers, "content-length": "0" }).map(([name, value]) => `${name}: ${value}\r\n`);
    socket.end(`HTTP/1.1 ${status} Refused\r\n${lines.join("")}\r\n`);
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  ends.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked, caching };
}

function open(url: string, heard: Partial<Receiver>): Net {
  const nothing = () => undefined;
  const deaf = {
    connected: nothing,
    disconnected: nothing,
    frame: nothing,
    chunkLoaded: nothing,
    chunkFailed: nothing,
  };
  const net = new Net(url, (input) => input({ ...deaf, ...heard }));
  ends.push(() => net.close());
  return net;
}

/** What is said of a connection that cannot be made. */
function connect(url: string): Promise<[reason: string, retryAfterMs?: number]> {
  return new Promise((resolve) => open(url, { disconnected: (_, ...why) => resolve(why) }).connect(1));
}

test("C2: a chunk that is asked for again, since it came damaged, is not taken from a cache", async () => {
  const headers = { "cache-control": "private, max-age=600, immutable" };
  const { url, caching } = await serve(() => ({ status: 200, headers, body: "a chunk" }));
  let heard: (what: number | string) => void = () => undefined;
  const net = open(url, {
    chunkLoaded: (request) => heard(request),
    chunkFailed: (_request, _gone, reason) => heard(reason),
  });
  for (const [request, address] of ["/a", "/b", "/a"].entries()) {
    const answer = new Promise((resolve) => {
      heard = resolve;
    });
    net.fetch(request, address);
    expect(await answer).toBe(request);
  }
  // The first time the tag of what a cache has is compared, since the server may have lost the history that it is of.
  expect(caching).toEqual(["max-age=0", "max-age=0", "no-cache"]);
});

for (const status of [429, 503]) {
  test(`a server that has no room (${status}) is said to be busy, and when it wants to be asked again is known`, async () => {
    const { url, asked } = await serve(() => ({ status, headers: { "Retry-After": "7" } }));
    const [reason, wait] = await connect(url);
    expect(reason).toMatch(/^the server is busy; .* 7 s.* \[LF-4009\]$/);
    expect(wait).toBe(7_000);
    // Who has no room is asked for nothing more.
    expect(asked).toEqual(["upgrade /v1/sync", "/v1/sync"]);
  });
}

test("a proxy without its server is no busy server, but its word on when to come again counts", async () => {
  for (const status of [502, 504]) {
    const { url } = await serve(() => ({ status, headers: { "Retry-After": "9" } }));
    const [reason, wait] = await connect(url);
    expect([reason, wait]).toEqual([expect.stringMatching(`status ${status} .*\\[LF-5920\\]$`), 9_000]);
  }
});

test("who says no time in seconds, or has nothing to do with it, is asked again whenever this device likes", async () => {
  const cases: Said[] = [
    { status: 503 },
    { status: 429, headers: { "Retry-After": "Sat, 21 Nov 2026 08:30:00 GMT" } },
    { status: 503, headers: { "Retry-After": "-1" } },
    { status: 503, headers: { "Retry-After": "1".repeat(400) } },
    { status: 400, headers: { "Retry-After": "9" } },
    { status: 404, headers: { "Retry-After": "9" } },
  ];
  for (const said of cases) {
    const health = { status: 200, headers: { "content-type": "application/json" }, body: "{}" };
    const { url } = await serve((path) => (path === "/health" ? health : said));
    const [reason, wait] = await connect(url);
    expect(reason).toBe("the server is there but the WebSocket failed; a proxy on the way may block it [LF-5920]");
    expect(wait).toBeUndefined();
  }
});

test("a proxy's page, and nobody at all, are told apart from a server", async () => {
  const page = { status: 200, headers: { "content-type": "text/html" }, body: "<h1>Welcome to the hotel</h1>" };
  const { url } = await serve(() => page);
  expect(await connect(url)).toEqual([expect.stringMatching(/a web page .*\[LF-5920\]$/), undefined]);
  expect(await connect("http://127.0.0.1:1")).toEqual([expect.stringMatching(/\[LF-5921\]$/), undefined]);
});
