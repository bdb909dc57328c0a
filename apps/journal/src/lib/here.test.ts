import { expect, test } from "vitest";
import { COLORS, hereWords, initials, others, TONES, told, toneOf, wordsIn } from "./here";

const user = (name: unknown, subject?: unknown) => ({ user: { name, subject } });

test("a person has one tone of all, everywhere", () => {
  expect(toneOf("ada")).toBe(toneOf("ada"));
  const tones = new Set(Array.from({ length: 200 }, (_, i) => toneOf(`person ${i}`)));
  expect(tones.size).toBe(TONES);
  expect(COLORS).toHaveLength(TONES);
  for (const color of COLORS) expect(color).toMatch(/^#[0-9a-f]{6}$/);
});

test("initials are of first and last name, of an address its first letter, and never nothing", () => {
  expect(["Bea Lindqvist", "ivo", "Anna Maria de Vries", "ada@example.com", "Ö", "李 小龙", "—"].map(initials)).toEqual(
    ["BL", "I", "AV", "A", "Ö", "李小", "?"],
  );
});

test("who is here is told by each device, and counted once for each person", () => {
  const states = new Map<number, unknown>([
    [1, user("Ada", "ada")],
    [2, user("Ivo", "ivo")],
    [3, user("Bea", "bea")],
    [4, user("Ivo", "ivo")],
  ]);
  expect(others(states, 1).map(({ name, devices }) => [name, devices])).toEqual([
    ["Bea", 1],
    ["Ivo", 2],
  ]);
});

test("what others' devices tell of themselves may be anything", () => {
  for (const state of [null, undefined, 7, {}, { user: null }, { user: "x" }, user(""), user("  "), user(7)])
    expect(told(state)).toBeNull();
  expect(told(user("x".repeat(900)))?.name).toHaveLength(80);
  expect(told(user("Ada", 7))).toEqual({ name: "Ada", subject: "Ada" });
});

test("who is here is said in words", () => {
  const person = (name: string) => ({ subject: name, name, tone: 0, devices: 1 });
  const words = (...names: string[]) => hereWords(names.map(person), "ada");
  expect(words()).toBe("Nobody else is here");
  expect(words("Bea")).toBe("Bea is here");
  expect(words("ada")).toBe("You on another device are here");
  expect(words("Bea", "Ivo")).toBe("Bea and Ivo are here");
  expect(words("A", "B", "C", "D", "E")).toBe("A, B and 3 others are here");
});

test("words are counted, also where no blanks stand between them", () => {
  expect(wordsIn("")).toBe(0);
  expect(wordsIn(" — … ")).toBe(0);
  expect(wordsIn("The ferry’s bell rang 3 times.")).toBe(6);
  expect(wordsIn("今日は雨です")).toBeGreaterThan(1);
});
