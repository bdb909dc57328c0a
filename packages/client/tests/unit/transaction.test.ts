// What a transaction asks for beside its writes is checked on the page, in words that name what would be right.

import { expect, test } from "vitest";
import { Tx } from "../../src/transaction.js";
import type { Schema } from "../../src/types.js";

const schema: Schema = { name: "test", version: 1, tables: {}, shapes: {}, compiled: "{}" };
const wrong = (value: unknown) => value as never;

async function sent(f: (tx: Tx) => void): Promise<unknown> {
  const asked: unknown[] = [];
  const tx = new Tx(schema, async (ask) => {
    asked.push(ask);
    return 1;
  });
  f(tx);
  await tx.finish();
  const [write] = asked as { ops: string }[];
  return JSON.parse(write?.ops ?? "null");
}

test("wishes of the right form are sent as they are", async () => {
  expect(await sent((tx) => tx.setPriority(0))).toEqual([["p", 0]]);
  expect(await sent((tx) => tx.setPriority(100))).toEqual([["p", 100]]);
  expect(await sent((tx) => tx.follow(7))).toEqual([["f", 7]]);
  expect(await sent((tx) => tx.require(7))).toEqual([["r", 7]]);
  expect(await sent((tx) => tx.expireAt(new Date(5)))).toEqual([["e", 5]]);
  expect(await sent((tx) => tx.expireAt(new Date(-5)))).toEqual([["e", 0]]);
});

const values: [string, string, (tx: Tx) => void][] = [
  ["setPriority", "a whole number from 0 to 100, and was given the number 101", (tx) => tx.setPriority(101)],
  ["setPriority", "a whole number from 0 to 100, and was given the number -1", (tx) => tx.setPriority(-1)],
  ["setPriority", "a whole number from 0 to 100, and was given the number 0.5", (tx) => tx.setPriority(0.5)],
  ["setPriority", 'a whole number from 0 to 100, and was given "5"', (tx) => tx.setPriority(wrong("5"))],
  ["follow", "the number of an entry, and was given the number NaN", (tx) => tx.follow(Number.NaN)],
  ["require", "the number of an entry, and was given null", (tx) => tx.require(wrong(null))],
  ["require", "the number of an entry, and was given the number 0", (tx) => tx.require(0)],
  ["edit", "the number of an entry, and was given the number 0", (tx) => tx.edit(0)],
  ["retry", "the number of an entry, and was given the number 1.5", (tx) => tx.retry(1.5)],
  ["supersede", "the number of an entry, and was given the number Infinity", (tx) => tx.supersede(1 / 0)],
  ["expireAt", "a valid Date, and was given an invalid Date", (tx) => tx.expireAt(new Date(Number.NaN))],
  ["expireAt", "a valid Date, and was given the number 5", (tx) => tx.expireAt(wrong(5))],
];
for (const [call, words, f] of values) {
  test(`${call} takes ${words}`, async () => {
    await expect(sent(f)).rejects.toMatchObject({ code: "LF-2001", message: `${call} takes ${words} [LF-2001]` });
  });
}
