// The app's own merge functions (`merge = "custom"`). A function cannot be posted to a worker, so the app names a module, and
// the worker loads it. The engine asks by name, in the middle of its turn: whatever a function does, an answer comes back.

import type { Column, ColumnType, MergeFunction } from "../types.js";
import { decodeList, encodeCell } from "../values.js";
import { codes, fail } from "./failure.js";

let functions: Map<string, MergeFunction> | null = null;
const told = new Set<string>();
/** The last question, and what was answered to it: the engine asks twice, so that nobody decides by lot. */
let last: [question: string, answer: string] = ["", ""];

/** Loads the functions of the module at this address; none when the app names no module. */
export async function loadFunctions(address: string | null): Promise<void> {
  functions = null;
  told.clear();
  Object.assign(globalThis, { landfallMerge: { ask, fault } });
  if (address === null) return;
  let module: Record<string, unknown>;
  try {
    // The app's own address: nothing for a bundler to look for.
    module = await import(/* @vite-ignore */ /* webpackIgnore: true */ address);
  } catch (thrown) {
    const message =
      `the module of merge functions, ${address}, could not be loaded (${wordsOf(thrown)}); ` +
      "check that it is served as JavaScript, and needs nothing that a worker does not have";
    throw fail(codes.functions, message);
  }
  const { default: all, ...named } = module;
  const isFunction = (entry: [string, unknown]): entry is [string, MergeFunction] => typeof entry[1] === "function";
  functions = new Map(Object.entries({ ...named, ...(all as object | undefined) }).filter(isFunction));
}

/** Their names; `undefined`: the app names no module. */
export function functionNames(): string[] | undefined {
  return functions ? [...functions.keys()] : undefined;
}

/** What a function makes of three values: its value in a list, or as a text why there is none. It never throws. */
function ask(name: string, type: ColumnType, three: string): string {
  const answer = JSON.stringify(decide(name, { type }, three));
  const question = `${name} ${type} ${three}`;
  if (last[0] === question && last[1] !== answer) fault(name, "it gave two answers to one question");
  last = [question, answer];
  return answer;
}

function decide(name: string, column: Column, three: string): [unknown] | string {
  try {
    // Read anew for each call: what a function does to its arguments is no part of the next question.
    const [base, ours, theirs] = decodeList(three);
    return [encodeCell(column, functions?.get(name)?.({ base, ours, theirs }), { what: "its column" })];
  } catch (thrown) {
    return wordsOf(thrown);
  }
}

/** Says why a function decides nothing: once, since it is asked whenever its row is shown. */
function fault(name: string, why: string): void {
  if (told.has(name)) return;
  told.add(name);
  console.warn(
    `landfall: the merge function '${name}': ${why}. What it was to merge is shown as it was written, until the server has merged it`,
  );
}

/** What is thrown may be anything, and may not even be a text. */
function wordsOf(thrown: unknown): string {
  try {
    return String(thrown);
  } catch {
    return "it threw what is no error";
  }
}
