// A live answer is the old one and the difference; rows that did not change keep their identity.

import { expect, test } from "vitest";
import { fail } from "../../src/error.js";
import { Live, splice } from "../../src/live.js";

test("splice takes out by old indexes and puts in by new ones", () => {
  const rows = ["a", "b", "c", "d"];
  expect(splice(rows, [1, 3], [])).toEqual(["a", "c"]);
  expect(
    splice(
      rows,
      [0],
      [
        [0, "x"],
        [4, "y"],
      ],
    ),
  ).toEqual(["x", "b", "c", "d", "y"]);
  expect(splice(rows, [0, 1, 2, 3], [[0, "z"]])).toEqual(["z"]);
  expect(
    splice(
      [] as string[],
      [],
      [
        [0, "a"],
        [1, "b"],
      ],
    ),
  ).toEqual(["a", "b"]);
});

function live() {
  const calls: string[] = [];
  const query = new Live<{ id: number; n: number }>(1, "SELECT 1", "[]", (_, on) =>
    calls.push(on ? "watch" : "unwatch"),
  );
  return { query, calls };
}

const FIRST = JSON.stringify({
  columns: ["id", "n"],
  rows: [
    [1, 1],
    [2, 2],
    [3, 3],
  ],
  complete: true,
});

test("it runs while somebody is subscribed", () => {
  const { query, calls } = live();
  const [one, two] = [query.subscribe(() => undefined), query.subscribe(() => undefined)];
  one();
  one();
  expect(calls).toEqual(["watch"]);
  two();
  expect(calls).toEqual(["watch", "unwatch"]);
});

test("what did not change is the same object, also after the engine started anew", () => {
  const { query } = live();
  const seen: number[] = [];
  query.subscribe((snapshot) => seen.push(snapshot.rows.length));
  query.first(FIRST);
  const before = query.snapshot.rows;
  query.diff(JSON.stringify({ removed: [0], inserted: [[2, [4, 4]]], updated: [[0, [2, 9]]], complete: true }));
  expect(query.snapshot.rows).toEqual([
    { id: 2, n: 9 },
    { id: 3, n: 3 },
    { id: 4, n: 4 },
  ]);
  expect(query.snapshot.rows[1]).toBe(before[2]);
  query.first(
    JSON.stringify({
      columns: ["id", "n"],
      rows: [
        [3, 3],
        [5, 5],
      ],
      complete: false,
    }),
  );
  expect(query.snapshot.rows[0]).toBe(before[2]);
  expect(seen).toEqual([3, 3, 2]);
});

test("a query that fails keeps what was shown and says so", () => {
  const { query } = live();
  query.subscribe(() => undefined);
  query.first(FIRST);
  query.failed(fail("LF-5203", "no"));
  expect(query.snapshot).toMatchObject({ state: "error", rows: { length: 3 }, error: { code: "LF-5203" } });
});
