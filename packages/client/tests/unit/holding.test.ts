// A transaction that is open has the engine to itself, and not for ever.

import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { fail } from "../../src/error.js";
import { Holding, IDLE_MS } from "../../src/worker/holding.js";
import type { Peer } from "../../src/worker/host.js";

const peer: Peer = { tab: null, news: () => undefined };
const other: Peer = { tab: "b", news: () => undefined };

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

test("everything else waits, in order, until it ends", async () => {
  const holding = new Holding(() => undefined);
  const tx = await holding.run(undefined, () => holding.begin(peer));
  const done: string[] = [];
  const first = holding.run(undefined, () => done.push("first"));
  const second = holding.run(undefined, () => done.push("second"));
  await holding.run(tx, () => holding.part(() => done.push("part")));
  await holding.run(tx, () => holding.end(() => done.push("end")));
  await Promise.all([first, second]);
  expect(done).toEqual(["part", "end", "first", "second"]);
});

test("one that waited may begin the next, and the rest waits on", async () => {
  const holding = new Holding(() => undefined);
  const one = await holding.run(undefined, () => holding.begin(peer));
  const begun = holding.run(undefined, () => holding.begin(other));
  const done: string[] = [];
  const read = holding.run(undefined, () => done.push("read"));
  await holding.run(one, () => holding.end(() => undefined));
  const two = await begun;
  expect(done).toEqual([]);
  await holding.run(two, () => holding.end(() => done.push("end")));
  await read;
  expect(done).toEqual(["end", "read"]);
});

test("one that idles is undone, and learns why", async () => {
  const undo = vi.fn();
  const holding = new Holding(undo);
  const tx = await holding.run(undefined, () => holding.begin(peer));
  const read = holding.run(undefined, () => "read");
  vi.advanceTimersByTime(IDLE_MS);
  await expect(read).resolves.toBe("read");
  expect(undo).toHaveBeenCalledOnce();
  await expect(holding.run(tx, () => undefined)).rejects.toMatchObject({ code: "LF-5918" });
});

test("a page that is gone, a part that fails, an engine that is gone: nobody waits for ever", async () => {
  const holding = new Holding(() => undefined);
  await holding.run(undefined, () => holding.begin(peer));
  holding.drop(other);
  const waits = holding.run(undefined, () => 1);
  holding.drop(peer);
  await expect(waits).resolves.toBe(1);
  const tx = await holding.run(undefined, () => holding.begin(peer));
  const broken = holding.run(tx, () =>
    holding.part(() => {
      throw fail("LF-2001", "no");
    }),
  );
  await expect(broken).rejects.toMatchObject({ code: "LF-2001" });
  await expect(holding.run(undefined, () => 2)).resolves.toBe(2);
  await holding.run(undefined, () => holding.begin(peer));
  const dead = holding.run(undefined, () => 3);
  holding.fail(fail("LF-5910", "gone"));
  await expect(dead).rejects.toMatchObject({ code: "LF-5910" });
});
