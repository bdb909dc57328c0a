import { expect, test } from "vitest";
import { type Conflict, choicesOf } from "./conflicts";

function conflict(id: string, column: string, value: unknown, part: Partial<Conflict> = {}): Conflict {
  const about = {
    conflict_base: null,
    conflict_by: "ada",
    conflict_device: "phone",
    conflict_written: null,
    conflict_seq: 1,
  };
  return { conflict_id: id, conflict_column: column, [column]: value, ...about, ...part } as Conflict;
}

test("choices come in the order of the columns, with all of their siblings", () => {
  const choices = choicesOf("notes", [
    conflict("1", "body", "a", { conflict_base: "" }),
    conflict("2", "title", "x"),
    conflict("3", "body", "b", { conflict_base: "", conflict_device: "laptop" }),
    conflict("4", "body", "c", { conflict_base: "", conflict_device: "tablet" }),
  ]);
  expect(choices.map(({ column, siblings }) => [column, siblings.map(({ id }) => id)])).toEqual([
    ["title", ["2"]],
    ["body", ["1", "3", "4"]],
  ]);
  expect(choices.every(({ isText }) => isText)).toBe(true);
});

test("what one hand wrote in steps is one sibling, and what it was written on is from before the first step", () => {
  const [choice] = choicesOf("notes", [
    conflict("1", "body", "It leaves", { conflict_base: "It" }),
    conflict("2", "body", "It leaves at", { conflict_base: "It leaves" }),
    conflict("3", "body", "It leaves at ten", { conflict_base: "It leaves at" }),
    // Another device wrote the same on the way, and is not this one.
    conflict("4", "body", "It leaves", { conflict_base: "It", conflict_device: "laptop" }),
    // Something else of the same device, on another text.
    conflict("5", "body", "It arrives", { conflict_base: "It came" }),
  ]);
  expect(choice?.siblings.map(({ id, base, steps }) => [id, base, steps])).toEqual([
    ["3", "It", ["1", "2"]],
    ["4", "It", []],
    ["5", "It came", []],
  ]);
});

test("a text that came back to what it was is not a step to itself", () => {
  const [choice] = choicesOf("notes", [
    conflict("1", "body", "nine", { conflict_base: "ten" }),
    conflict("2", "body", "ten", { conflict_base: "nine" }),
    conflict("3", "body", "same", { conflict_base: "same" }),
  ]);
  // Each of the first two was written on what the other one says: none may vanish.
  expect(choice?.siblings.flatMap(({ id, steps }) => [id, ...steps]).sort()).toEqual(["1", "2", "3"]);
});
