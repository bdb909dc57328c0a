import { expect, test } from "vitest";
import { abreast, compared, folded, type Piece, sideBySide, woven } from "./compare";

const text = (pieces: readonly Piece[]) => pieces.map((piece) => piece.text).join("");
const LONG = "wave after wave ".repeat(5_000);
const PAIRS = [
  ["", ""],
  ["", "all of it"],
  ["a b c", "a x c"],
  ["one\ntwo", "one\ntwo\nthree"],
  ["one\ntwo\nthree", "three"],
  ["Grüße, 世界", "Grüße an die 世界"],
  [LONG, `${LONG}!`],
] as const;

test("both texts can be read from what is compared, however long they are", () => {
  for (const [before, after] of PAIRS) {
    const pieces = compared(before, after);
    expect(text(pieces.filter(({ was }) => was !== "added"))).toBe(before);
    expect(text(pieces.filter(({ was }) => was !== "removed"))).toBe(after);
  }
  const same = compared("a b c", "a x c").filter(({ was }) => was === "same");
  expect(same.map(({ text }) => text.trim())).toEqual(["a", "c"]);
});

test("side by side, lines that both have stand level", () => {
  const levels = sideBySide("one\ntwo\nthree", "one\n2\nand a half\nthree");
  expect(levels.map(({ left, right, same }) => [text(left), text(right), same])).toEqual([
    ["one", "one", true],
    ["two", "2\nand a half", false],
    ["three", "three", true],
  ]);
  for (const [left, right] of PAIRS) {
    const levels = sideBySide(left, right);
    const plain = (text: string) => text.replaceAll("\n", "");
    expect(plain(levels.map((level) => text(level.left)).join(""))).toBe(plain(left));
    expect(plain(levels.map((level) => text(level.right)).join(""))).toBe(plain(right));
  }
});

test("what is the same for long is folded, and what differs is never", () => {
  const lines = Array.from({ length: 30 }, (_, n) => `line ${n}`);
  const changed = lines.with(12, "another line").join("\n");
  const shown = folded(sideBySide(lines.join("\n"), changed));
  expect(shown.map((part) => ("folded" in part ? -part.folded.length : part.levels.length))).toEqual([-10, 5, -15]);
  expect(folded(sideBySide("a\nb\nc", "a\nb\nd"))).toHaveLength(1);
});

test("one text out of two has what either changed, and both where they meet", () => {
  const base = "It leaves at nine.\nBring bread.\n";
  expect(woven("It leaves at ten.\nBring bread.\n", "It leaves at nine.\nBring bread and salt.\n", base)).toBe(
    "It leaves at ten.\nBring bread and salt.\n",
  );
  expect(woven("It leaves at ten.", "It leaves at eleven.", "It leaves at nine.")).toBe("It leaves at ten eleven.");
  expect(woven("Ferry, ten", "Ferry, eleven", null)).toBe("Ferry, ten eleven");
  expect(woven("one\ntwo", "one\nthree", null)).toBe("one\ntwo three");
  expect(woven("same", "same", null)).toBe("same");
  expect(woven("", "new", "old")).toBe("new");
  expect(woven(LONG, "short", null)).toBe(`${LONG}short`);
});

test("to take a version takes back nothing that only others changed", () => {
  const base = "It leaves at nine.\nBring bread.\n";
  const [now, theirs] = ["It leaves at ten.\nBring bread and salt.\n", "It leaves at eleven.\nBring bread.\n"];
  expect(abreast(now, theirs, base)).toBe("It leaves at eleven.\nBring bread and salt.\n");
  expect(abreast(now, theirs, null)).toBe(theirs);
  expect(abreast("", theirs, theirs)).toBe("");
  expect(abreast(LONG, theirs, base)).toBe(theirs);
});
