// What must type-check against the generated file, and what must not. Compiled by `npm run check`, never run.

import type { Transaction } from "@landfall/client";
import type {
  Actions,
  DateTableKey,
  ScratchPadUpdate,
  Shapes,
  Tables,
  Things,
  ThingsInsert,
  ThingsKey,
  ThingsUpdate,
} from "./everything.gen";
import { schema } from "./everything.gen";

/** As a query gives it. */
export function read(thing: Things): string {
  const count: number | bigint = thing.count;
  const state: "new" | 'half "done"' | "done" = thing.state;
  const at: Date = new Date(thing.at);
  const bytes: number = thing.cover?.byteLength ?? 0;
  // @ts-expect-error An integer may be a bigint.
  const half: number = thing.count / 2;
  // @ts-expect-error It may be NULL.
  const slug: string = thing.slug;
  return [count, state, at, bytes, half, slug].join();
}

/** What has a default or may be NULL may be left out. */
export const smallest: ThingsInsert = { label: "a" };
export const fuller: ThingsInsert = {
  label: "a",
  count: 9007199254740993n,
  at: new Date(0),
  extra: { a: [1, null] },
  cover: null,
};
// @ts-expect-error What is required may not.
export const unlabelled: ThingsInsert = { state: "new" };
// @ts-expect-error Nor may it be NULL.
export const nullLabel: ThingsInsert = { label: null };
// @ts-expect-error The choices are known.
export const otherState: ThingsInsert = { label: "a", state: "old" };

export const change: ThingsUpdate = { flag: true, price: "2.00", size: 9007199254740993n };
// @ts-expect-error A key never changes.
export const otherKey: ThingsUpdate = { id: "018f7c1e-0000-7000-8000-000000000000" };
// @ts-expect-error Decimals are exact text.
export const inexact: ThingsUpdate = { price: 2 };

export const one: ThingsKey = "018f7c1e-0000-7000-8000-000000000000";
export const two: DateTableKey = { thing: one, number: 1n };
// @ts-expect-error A key is whole.
export const part: DateTableKey = { thing: one };
export const local: ScratchPadUpdate = { text: "" };

export const none: Shapes["all"] = {};
export const some: Shapes["some"] = {
  label: "a",
  since: new Date(0),
  below: "1.00",
  day: "2026-01-01",
  flag: true,
  ratio: 1,
};
// @ts-expect-error Every parameter is needed.
export const fewer: Shapes["counted"] = {};

export const names: (keyof Tables)[] = ["things", "things_conflicts", "date", "scratch_pad"];
export const text: string = schema.compiled;

/** A column is changed as its merge rule says. */
export function parts(tx: Transaction<Tables, Actions>): void {
  tx.add("things", one, { likes: -1 });
  tx.set("things", one, "words").add("a", 1, true);
  tx.set("things", one, "words").remove("a");
  tx.map("things", one, "traits").set(["look", "colour"], "red");
  tx.map("things", one, "traits").remove("look");
  tx.update("things", one, { words: ["a", 1], traits: { look: { colour: null } } });
  tx.list("things", one, "place", ["flag"]).move({ after: one });
  tx.list("things", one, "place").move("last");
  // @ts-expect-error Its order is nobody's.
  tx.list("things", one, "label");
  tx.resolve("things", one, "keep");
  tx.resolve("things", one, { essay: "what a person made of both" });
  // @ts-expect-error There is no such way.
  tx.resolve("things", one, "both");
  // @ts-expect-error Nobody but the server makes a conflict.
  tx.insert("things_conflicts", { conflict_id: one });
  // @ts-expect-error It does not count.
  tx.add("things", one, { count: 1 });
  // @ts-expect-error It is no set.
  tx.set("things", one, "traits");
  // @ts-expect-error A set has no objects in it.
  tx.set("things", one, "words").add({});
  // @ts-expect-error It has no maps.
  tx.map("scratch_pad", one, "text");
}

/** An action takes its arguments; what is not required may be left out. */
export function act(tx: Transaction<Tables, Actions>): void {
  tx.action("order", { thing: one, count: 1, price: "1.50", extra: null });
  tx.action("close");
  // @ts-expect-error What is required may not.
  tx.action("order", { thing: one });
  // @ts-expect-error Nor may all of it.
  tx.action("order");
  // @ts-expect-error The types are known.
  tx.action("order", { thing: one, count: "1" });
  // @ts-expect-error The names are known.
  tx.action("reorder");
  // @ts-expect-error What only the server fills is not written.
  tx.update("things", one, { serial: 1 });
}
