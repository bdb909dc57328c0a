// The app's merge functions in the worker: what they are given, and that whatever they do is an answer.

import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { functionNames, loadFunctions } from "../../src/worker/functions.js";

interface Merge {
  ask(name: string, type: string, three: string): string;
  fault(name: string, why: string): void;
}

const merge = () => (globalThis as unknown as { landfallMerge: Merge }).landfallMerge;
const ask = (name: string, type: string, three: unknown[]) =>
  JSON.parse(merge().ask(name, type, JSON.stringify(three))) as [unknown] | string;
const load = (source: string) => loadFunctions(`data:text/javascript,${encodeURIComponent(source)}`);

let said: string[];
beforeEach(() => {
  said = [];
  vi.spyOn(console, "warn").mockImplementation((words: string) => void said.push(words));
});
afterEach(() => vi.restoreAllMocks());

test("functions are exported by their names, or as properties of the default export", async () => {
  await load("export const a = () => 1; export const no = 5; export default { b: () => 2 };");
  expect(functionNames()).toEqual(["a", "b"]);
  await loadFunctions(null);
  expect(functionNames()).toBeUndefined();
});

test("values are those that the app reads elsewhere, and those that it may write", async () => {
  await load(`
    export const big = ({ base, ours, theirs }) => ours + theirs - (base ?? 0n);
    export const union = ({ ours, theirs }) => ({ ...theirs, ...ours });
    export const longer = ({ ours, theirs }) => (ours.length > theirs.length ? ours : theirs);
    export const day = () => new Date(0);
    export const nothing = () => null;
  `);
  const two60 = { i: "1152921504606846976" };
  expect(ask("big", "integer", [null, two60, two60])).toEqual([{ i: "2305843009213693952" }]);
  expect(ask("union", "json", [null, { j: { a: 1 } }, { j: { b: [2] } }])).toEqual([{ j: { a: 1, b: [2] } }]);
  expect(ask("longer", "bytes", [null, { b: "AAEC" }, { b: "" }])).toEqual([{ b: "AAEC" }]);
  expect(ask("longer", "decimal", ["1.50", "12.50", "2.00"])).toEqual(["12.50"]);
  expect(ask("day", "timestamp", [null, "2026-01-01T00:00:00Z", null])).toEqual([{ t: "1970-01-01T00:00:00.000Z" }]);
  expect(ask("nothing", "text", ["a", "b", "c"])).toEqual([null]);
  expect(said).toEqual([]);
});

test("what a function does wrong is an answer without a value, and never an exception", async () => {
  await load(`
    export const throws = () => { throw new Error("not today"); };
    export const worse = () => { throw { toString() { throw 1; } }; };
    export const deep = (input) => 1 + deep(input);
    export const text = () => "five";
    export const fraction = () => 1.5;
    export const later = async () => 5;
    export const forgets = () => undefined;
    export const circle = () => { const a = []; a.push(a); return a; };
  `);
  const why = (name: string, type = "integer") => ask(name, type, [1, 2, 3]);
  expect(why("throws")).toBe("Error: not today");
  expect(why("worse")).toBe("it threw what is no error");
  expect(why("deep")).toMatch(/^RangeError/);
  expect(why("text")).toMatch(/takes a whole number.*"five"/);
  expect(why("fraction")).toMatch(/takes a whole number/);
  expect(why("later")).toMatch(/an object \(Promise\)/);
  expect(why("later", "json")).toMatch(/an object \(Promise\)/);
  expect(why("forgets", "json")).toMatch(/undefined/);
  expect(why("circle", "json")).toEqual(expect.any(String));
  expect(why("nobody")).toMatch(/undefined/);
});

test("what a function does to its arguments is forgotten, and two answers to one question are told once", async () => {
  await load(`
    let calls = 0;
    export const grows = ({ ours }) => (ours.push(0), ours);
    export const counts = () => ++calls;
  `);
  const three = [{ j: [] }, { j: [1] }, { j: [2] }];
  expect(ask("grows", "json", three)).toEqual(ask("grows", "json", three));
  expect(said).toEqual([]);
  for (let n = 0; n < 4; n++) ask("counts", "integer", [1, 2, 3]);
  expect(said).toEqual([expect.stringContaining("'counts': it gave two answers")]);
  merge().fault("counts", "something else");
  merge().fault("grows", "something else");
  expect(said).toHaveLength(2);
});

test("a module that cannot be loaded is an error with a code", async () => {
  const failed = { code: "LF-5923", message: expect.stringContaining("could not be loaded") };
  await expect(load("this is no JavaScript")).rejects.toMatchObject(failed);
  await expect(loadFunctions("data:text/html,hello")).rejects.toMatchObject(failed);
});
