// Two texts beside each other, word by word, and one text out of two.

import { diffArrays, diffWordsWithSpace } from "diff";
import { diff3Merge } from "node-diff3";

/** A piece of a text beside another one. */
export interface Piece {
  readonly text: string;
  readonly was: "same" | "added" | "removed";
}

/** Longer texts are compared as a whole: a word for word comparison of them would take too long. */
const COMPARE_MAX = 60_000;

/** What became of a text, word by word. */
export function compared(before: string, after: string): Piece[] {
  if (before === after) return after === "" ? [] : [{ text: after, was: "same" }];
  const whole = [
    { text: before, was: "removed" },
    { text: after, was: "added" },
  ] as const;
  const pieces: readonly Piece[] =
    before.length + after.length > COMPARE_MAX
      ? whole
      : diffWordsWithSpace(before, after).map(({ value, added, removed }) => ({
          text: value,
          was: added ? "added" : removed ? "removed" : "same",
        }));
  return pieces.filter(({ text }) => text !== "");
}

/** What stands level in two texts that are shown side by side. */
export interface Level {
  readonly left: readonly Piece[];
  readonly right: readonly Piece[];
  readonly same: boolean;
}

/** Two texts side by side: lines that both have stand level, and so does what each has between them. */
export function sideBySide(left: string, right: string): Level[] {
  const levels: Level[] = [];
  const add = (before: readonly string[], after: readonly string[]) => {
    // As many lines on both sides are each other's; otherwise nobody knows which line became which.
    const pairs = before.length === after.length ? before.map((line, at) => [line, after[at] ?? ""] as const) : null;
    for (const [was, is] of pairs ?? [[before.join("\n"), after.join("\n")] as const]) {
      const pieces = compared(was, is);
      levels.push({
        left: pieces.filter(({ was }) => was !== "added"),
        right: pieces.filter(({ was }) => was !== "removed"),
        same: was === is && pairs !== null,
      });
    }
  };
  let removed: readonly string[] = [];
  for (const part of [...diffArrays(left.split("\n"), right.split("\n")), null]) {
    if (part?.removed) removed = part.value;
    else if (part?.added) {
      add(removed, part.value);
      removed = [];
    } else {
      if (removed.length > 0) add(removed, []);
      removed = [];
      if (part !== null) add(part.value, part.value);
    }
  }
  return levels;
}

/** Levels to be shown, or so many that are the same and need not be. */
export type Shown = { readonly levels: readonly Level[] } | { readonly folded: readonly Level[] };

/** How many lines that are the same stay in sight beside one that is not. */
const AROUND = 2;
/** Fewer than so many are not worth hiding. */
const FOLD_MIN = 4;

/** Folds long runs of what is the same, so that what differs is in sight. */
export function folded(levels: readonly Level[]): Shown[] {
  const isNear = (at: number) => levels.slice(Math.max(0, at - AROUND), at + AROUND + 1).some(({ same }) => !same);
  const shown: { levels: Level[]; near: boolean }[] = [];
  for (const [at, level] of levels.entries()) {
    const near = isNear(at);
    const last = shown.at(-1);
    if (last?.near === near) last.levels.push(level);
    else shown.push({ levels: [level], near });
  }
  return shown.map(({ levels, near }) => (near || levels.length < FOLD_MIN ? { levels } : { folded: levels }));
}

const words = (text: string): string[] => text.match(/[\p{L}\p{N}\p{M}]+|\s|[^\p{L}\p{N}\p{M}\s]/gu) ?? [];

/** Two runs of words, one behind the other. */
function both(a: string, b: string): string {
  if (a === "" || b === "") return a + b;
  return a + (/\s$/.test(a) || /^\s/.test(b) ? "" : " ") + b;
}

/** What becomes of what both changed. */
type Meet = (mine: string, theirs: string) => string;

/** Both changes of a text in one, by words; `meet` decides where they meet. */
function merged(mine: string, theirs: string, base: string, meet: Meet): string {
  return diff3Merge(words(mine), words(base), words(theirs), { excludeFalseConflicts: true })
    .map(({ ok, conflict }) => (conflict ? meet(conflict.a.join(""), conflict.b.join("")) : (ok ?? []).join("")))
    .join("");
}

const isLong = (...texts: readonly (string | null)[]) =>
  texts.reduce((sum, text) => sum + (text?.length ?? 0), 0) > COMPARE_MAX;

/**
 * One text out of two, for a person to go on with: what only one of them changed is as that one has it, and where both
 * changed the same words they stand one behind the other. Without what they were written on, everything that differs does.
 */
export function woven(mine: string, theirs: string, base: string | null): string {
  if (mine === theirs) return mine;
  if (isLong(mine, theirs, base)) return both(mine, theirs);
  if (base !== null) return merged(mine, theirs, base, both);
  const add = (text: string, piece: Piece) => (piece.was === "added" ? both(text, piece.text) : text + piece.text);
  return compared(mine, theirs).reduce(add, "");
}

/** Their text with what only others changed since it was written, so that nobody's change is taken back by taking it. */
export function abreast(mine: string, theirs: string, base: string | null): string {
  return base === null || isLong(mine, theirs, base) ? theirs : merged(mine, theirs, base, (_, words) => words);
}
