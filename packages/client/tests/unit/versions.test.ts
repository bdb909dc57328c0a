// When versions are kept unasked. What they hold is tested with a real database: tests/browser/versions.test.mjs.

import { afterEach, beforeEach, expect, test, vi } from "vitest";
import * as Y from "yjs";
import type { Database, Schema } from "../../src/types.js";
import { keepVersions } from "../../src/versions.js";

const WHILE_MS = 60_000;
const text = { type: "text", nullable: true } as const;
const schema = {
  tables: {
    pages: { key: ["id"], columns: { id: text, title: text } },
    pages_versions: { key: ["version_id"], columns: { version_id: text, id: text, version_name: text, title: text } },
  },
} as unknown as Schema;

/** A database that only notes what is kept. */
function noting() {
  const kept: number[] = [];
  const deleted: unknown[] = [];
  const state = { full: false, old: [] as string[] };
  const tx = {
    leaveOutOfUndo: () => undefined,
    query: async () => [{ id: "a", title: "A page" }],
    insert: () => void kept.push(Date.now()),
    delete: (_: string, id: string) => void deleted.push(id),
  };
  const db = {
    query: async () => state.old.splice(0).map((version_id) => ({ version_id })),
    transaction: async (f: (with_: typeof tx) => unknown) => {
      if (state.full) throw new Error("no room");
      return f(tx);
    },
  };
  return { db: db as unknown as Database, kept, deleted, state };
}

function begun() {
  const made = noting();
  const doc = new Y.Doc();
  const save = vi.fn(async () => undefined);
  const pages = "pages" as never;
  const keeping = keepVersions(made.db, schema, pages, "a" as never, doc, save, { everyMs: WHILE_MS });
  const type = (words = "x") => doc.getText("body").insert(0, words);
  return { ...made, doc, save, keeping, type };
}

beforeEach(() => void vi.useFakeTimers({ now: 0 }));
afterEach(() => void vi.useRealTimers());

test("one within each while in which something was written, and one at the end", async () => {
  const { kept, save, keeping, type } = begun();
  await vi.advanceTimersByTimeAsync(10 * WHILE_MS);
  expect(kept).toEqual([]);
  for (let n = 0; n < 30; n++) {
    type();
    await vi.advanceTimersByTimeAsync(WHILE_MS / 20);
  }
  expect(kept).toEqual([11 * WHILE_MS]);
  await vi.advanceTimersByTimeAsync(5 * WHILE_MS);
  expect(kept).toHaveLength(2);
  type();
  await keeping.stop();
  expect(kept).toHaveLength(3);
  expect(save).toHaveBeenCalledTimes(3);
  type();
  await vi.advanceTimersByTimeAsync(5 * WHILE_MS);
  expect(kept).toHaveLength(3);
});

test("what others write is theirs to keep, and what has not changed is not kept at the end", async () => {
  const { kept, doc, keeping } = begun();
  const other = new Y.Doc();
  other.getText("body").insert(0, "theirs");
  Y.applyUpdate(doc, Y.encodeStateAsUpdate(other));
  await vi.advanceTimersByTimeAsync(5 * WHILE_MS);
  await keeping.stop();
  expect(kept).toEqual([]);
});

test("what could not be kept is told, and kept later; the end says so where it cannot be", async () => {
  const { kept, state, keeping, type } = begun();
  const errors: unknown[] = [];
  keeping.error.subscribe((error) => errors.push(error instanceof Error ? error.message : error));
  state.full = true;
  type();
  await vi.advanceTimersByTimeAsync(WHILE_MS);
  expect([errors, kept]).toEqual([["no room"], []]);
  await expect(keeping.stop()).rejects.toThrow("no room");
  state.full = false;
  await keeping.stop();
  expect(kept).toHaveLength(1);
  expect(keeping.error.current).toBeNull();
});

test("older ones than the most are deleted", async () => {
  const { deleted, state, keeping, type } = begun();
  state.old = ["one", "two"];
  type();
  await keeping.stop();
  expect(deleted).toEqual(["one", "two"]);
});
