import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, test } from "vitest";
import { Net } from "../../src/worker/net.js";

test("C2: a chunk that is asked for again, since it came damaged, is not taken from a cache", async () => {
  const asked: (string | undefined)[] = [];
  const server = createServer((request, answer) => {
    asked.push(request.headers["cache-control"]);
    answer.setHeader("cache-control", "private, max-age=600, immutable").end("a chunk");
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  const { port } = server.address() as AddressInfo;
  let heard: (what: number | string) => void = () => undefined;
  const net = new Net(`http://127.0.0.1:${port}`, {
    connected: () => undefined,
    disconnected: () => undefined,
    frame: () => undefined,
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
  expect(asked).toEqual([undefined, undefined, "no-cache"]);
  net.close();
  server.closeAllConnections();
  server.close();
});
