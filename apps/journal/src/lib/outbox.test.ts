import { LandfallError, type OutboxEntry, type Withdrawal } from "@landfall/client";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { Db } from "./journal.svelte";
import { notices } from "./notices.svelte";
import { withdraw } from "./outbox";

beforeEach(() => vi.useFakeTimers());
afterEach(() => {
  for (const { id } of notices.list) notices.drop(id);
  vi.useRealTimers();
});

const GONE = new LandfallError({ code: "LF-5025", message: "there is no such entry" });

/** A database whose outbox answers so, and what was asked of it. */
function outbox(withdrawal: Withdrawal, file: string | LandfallError) {
  const calls: unknown[][] = [];
  const answer = (name: string, value: unknown) => async (of: unknown) => {
    calls.push([name, of]);
    if (value instanceof Error) throw value;
    return value;
  };
  const added = { added: [9], known: 0, refused: [] };
  const outbox = {
    export: answer("export", file),
    withdraw: answer("withdraw", withdrawal),
    import: answer("import", added),
    retry: answer("retry", 10),
  };
  return { calls, db: { outbox } as unknown as Db };
}

function entry(open: boolean): OutboxEntry {
  const plain = { rseq: 7, state: "pending", rows: [], waitsFor: [], attempts: 0, priority: 50 } as const;
  return { ...plain, open, createdAt: new Date(0) };
}

const TAKEN_BACK: Withdrawal = { withdrawn: false, undone: { of: 7, rseq: 8, left: [] } };
const told = () => notices.list.map(({ text }) => text);

test("what was never sent is taken back, and the notice brings it back from its own file", async () => {
  const { calls, db } = outbox({ withdrawn: true, withIt: [] }, "the file");
  await withdraw(db, entry(true));
  expect(told()).toEqual(["It was never sent, and is taken back."]);
  await notices.list[0]?.action?.run();
  expect(calls).toEqual([
    ["export", 7],
    ["withdraw", 7],
    ["import", "the file"],
    ["retry", 9],
  ]);
});

// A long outbox is told late: these were accepted, or taken up by an edit, before the person pressed the button.
test("what was accepted meanwhile is taken back all the same", async () => {
  const { calls, db } = outbox(TAKEN_BACK, GONE);
  await withdraw(db, entry(true));
  expect(told()).toEqual(["It had been sent: a change that takes it back follows."]);
  expect(calls.map(([name]) => name)).toEqual(["export", "withdraw"]);
});

test("what was taken up meanwhile is taken back, and no way back is offered that is none", async () => {
  const { db } = outbox({ withdrawn: true, withIt: [] }, GONE);
  await withdraw(db, entry(true));
  expect(told()).toEqual(["It was never sent, and is taken back. It is among the copies that this device kept."]);
  expect(notices.list[0]?.action).toBeUndefined();
});

test("of what was handed to the network no file is asked for", async () => {
  const { calls, db } = outbox(TAKEN_BACK, GONE);
  await withdraw(db, entry(false));
  expect(calls).toEqual([["withdraw", 7]]);
});

test("another problem than that it is gone is told, and nothing is taken back", async () => {
  const problem = new LandfallError({ code: "LF-5202", message: "the disk is full" });
  const { calls, db } = outbox(TAKEN_BACK, problem);
  await expect(withdraw(db, entry(true))).rejects.toBe(problem);
  expect(calls).toEqual([["export", 7]]);
});
