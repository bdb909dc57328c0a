import { expect, test } from "vitest";
import { FOUND_FROM, FOUND_TO, matchExpression, pieces } from "./search";

test("every word must occur, the last may be unfinished, and nothing typed is syntax", () => {
  expect(matchExpression("old light")).toBe('"old" "light"*');
  expect(matchExpression('  he said "NOT (this" OR that*  ')).toBe('"he" "said" "NOT" "this" "OR" "that"*');
  expect(matchExpression("Müller’s naïve 東京")).toBe('"Müller" "s" "naïve" "東京"*');
  expect(matchExpression(' "*() -- ')).toBe("");
});

test("a snippet falls into what was found and what lies between", () => {
  const text = (marked: string) => marked.replaceAll("[", FOUND_FROM).replaceAll("]", FOUND_TO);
  expect(pieces(text("the [old] light[house]"))).toEqual([
    { text: "the ", found: false },
    { text: "old", found: true },
    { text: " light", found: false },
    { text: "house", found: true },
  ]);
  expect(pieces("nothing")).toEqual([{ text: "nothing", found: false }]);
  expect(pieces("")).toEqual([]);
});
