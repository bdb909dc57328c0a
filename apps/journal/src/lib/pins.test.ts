import { expect, test } from "vitest";
import { type Pin, spotFor, standsWhere } from "./pins";

const PINS: Pin[] = ["a", "b", "c"].map((id) => ({ id, title: id.toUpperCase() }));

test("a step up or down leads past the neighbour, and not over the ends", () => {
  expect(spotFor(PINS, "b", -1)).toEqual({ before: "a" });
  expect(spotFor(PINS, "b", 1)).toEqual({ after: "c" });
  expect(spotFor(PINS, "a", 9)).toEqual({ after: "c" });
  expect(spotFor(PINS, "a", -1)).toBeNull();
  expect(spotFor(PINS, "c", 1)).toBeNull();
  expect(spotFor(PINS, "elsewhere", 1)).toBeNull();
  expect(spotFor([], "a", 1)).toBeNull();
});

test("where a note stands is said by its title", () => {
  expect(standsWhere(PINS, "b")).toBe("“B” is 2 of 3 pinned notes now.");
  expect(standsWhere([{ id: "a", title: " " }], "a")).toBe("“Untitled” is 1 of 1 pinned notes now.");
  expect(standsWhere(PINS, "elsewhere")).toBe("");
});
