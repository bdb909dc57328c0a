import type { EntryState, OutboxEntry } from "@landfall/client";
import { expect, test } from "vitest";
import { marksOf } from "./marks";

function entry(rseq: number, state: EntryState, ...rows: [table: string, key: unknown][]): OutboxEntry {
  return {
    rseq,
    state,
    rows: rows.map(([table, key]) => ({ table, key, op: "update", values: {} })),
    open: true,
    waitsFor: [],
    attempts: 0,
    priority: 50,
    createdAt: new Date(0),
  };
}

test("what is typed into a page marks the page", () => {
  const [typed] = [entry(1, "pending", ["pages_docs", "u1"])];
  const rows = typed.rows.map((row) => ({ ...row, values: { id: "p", doc_column: "body" } }));
  expect([...marksOf([{ ...typed, rows }]).keys()]).toEqual(["pages/p"]);
  const version = rows.map((row) => ({ ...row, table: "pages_versions" }));
  expect([...marksOf([{ ...typed, rows: version }]).keys()]).toEqual(["pages/p"]);
});

test("an item's mark is the worst of its row's and its tags' entries", () => {
  const marks = marksOf([
    entry(1, "pending", ["notes", "a"]),
    entry(2, "failed", ["tags", { note_id: "a", tag: "sea" }]),
    entry(3, "sending", ["notes", "b"], ["notes", "c"]),
    entry(4, "pending", ["notes", "b"]),
    entry(5, "sent", ["notes", "d"]),
  ]);
  const states = [...marks].map(([item, { state, entries }]) => [item, state, entries.map(({ rseq }) => rseq)]);
  expect(states).toEqual([
    ["notes/a", "failed", [1, 2]],
    ["notes/b", "sending", [3, 4]],
    ["notes/c", "sending", [3]],
  ]);
});
