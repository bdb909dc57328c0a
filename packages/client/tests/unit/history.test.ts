// The past is asked for in the same words as the engine's own: what is shown for one holds for both.

import { readFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { asOf } from "../../src/history.js";

test("the rows at a moment are those that the engine tells", async () => {
  const asked: unknown[] = [];
  const db = { query: async (...call: unknown[]) => asked.push(call) } as never;
  const column = { type: "text", nullable: true };
  const members = { key: ["club", "person"], columns: { club: column, person: column, since: column } };
  const moment = new Date(5);
  await asOf(db, { tables: { members } } as never, "members" as never, moment);
  const words = (sql: string) => sql.split(/\s+/).filter(Boolean).join(" ").replaceAll("( ", "(");
  const told = await readFile(new URL("as_of.sql", import.meta.url), "utf8");
  const [[sql, params]] = asked as [[string, unknown]];
  expect([words(sql), params]).toEqual([words(told), [moment]]);
});
