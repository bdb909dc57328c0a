// The outbox as the page has it: what the engine's text says, with keys as the app gives them.

import { expect, test } from "vitest";
import { OutboxState } from "../../src/outbox.js";
import type { Schema } from "../../src/types.js";

const schema: Schema = {
  name: "test",
  version: 1,
  tables: {
    notes: { key: ["id"], sync: true, columns: { id: { type: "integer" }, title: { type: "text" } } },
    tags: { key: ["note", "tag"], sync: true, columns: { note: { type: "integer" }, tag: { type: "text" } } },
  },
  shapes: {},
  compiled: "{}",
};

function heard(...entries: object[]) {
  const outbox = new OutboxState(schema, () => undefined);
  const plain = { rseq: 1, state: "failed", attempts: 0, created: 5, priority: 50, rows: [] };
  outbox.heard(JSON.stringify(entries.map((entry) => ({ ...plain, ...entry }))));
  return outbox.current;
}

test("a refusal tells the row and the field, where it is about one", () => {
  const error = { code: "LF-3004", message: "taken" };
  const [none, one, several, big] = heard(
    { error },
    { error: { ...error, table: "notes", key: [3], column: "title" } },
    { error: { ...error, table: "tags", key: [3, "sea"] } },
    { error: { ...error, table: "notes", key: [{ i: "9223372036854775807" }] } },
  );
  expect(none?.error).toStrictEqual(error);
  expect(one?.error).toStrictEqual({ ...error, table: "notes", key: 3, column: "title" });
  expect(several?.error).toStrictEqual({ ...error, table: "tags", key: { note: 3, tag: "sea" } });
  expect(big?.error?.key).toBe(9223372036854775807n);
});

test("what the app is asked about is told from what failed", () => {
  const [asked, failing] = heard(
    { state: "pending", asked: true, next: 9 },
    { state: "pending", attempts: 1, next: 9 },
  );
  expect(asked).toMatchObject({ asked: true, nextAttemptAt: new Date(9), attempts: 0 });
  expect(failing).not.toHaveProperty("asked");
});
