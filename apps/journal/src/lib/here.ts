// Who is at a page, as the editor's own protocol tells it: names, and colours that stay a person's own.

import { plural } from "./format";

/** Somebody who is at a page, on as many devices as they are. */
export interface Person {
  readonly subject: string;
  readonly name: string;
  readonly tone: number;
  readonly devices: number;
}

/** As many colours as are told apart at a glance, beside each other and on paper by day and by night: tones.css. */
export const TONES = 8;
/** What editors that know nothing of our tones draw, in the order of the tones. */
export const COLORS = ["#9c2f10", "#1b6a3c", "#145c9e", "#7a3a9c", "#8a5a00", "#a8195f", "#0f6a70", "#566500"] as const;
const FALLBACK = "#4a5160";

/** The same for a person at every page and on every device. */
export function toneOf(subject: string): number {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(subject)) hash = Math.imul(hash ^ byte, 0x01000193);
  return ((hash ^ (hash >>> 15)) >>> 0) % TONES;
}

export function colorOf(subject: string): string {
  return COLORS[toneOf(subject)] ?? FALLBACK;
}

/** `Bea Lindqvist` is `BL`, `ada@example.com` is `A`. */
export function initials(name: string): string {
  const words = name.match(/[\p{L}\p{N}]+/gu) ?? [];
  const address = name.includes("@") && !/\s/.test(name);
  const picked = words.length > 1 && !address ? [words[0], words.at(-1)] : words.slice(0, 1);
  return picked.map((word) => [...(word ?? "")][0]?.toLocaleUpperCase() ?? "").join("") || "?";
}

/** What is told of somebody; it comes from another device, and may be anything. */
export function told(state: unknown): { subject: string; name: string } | null {
  const user: unknown = (state as { user?: unknown } | null | undefined)?.user;
  if (typeof user !== "object" || user === null) return null;
  const { name, subject } = user as { name?: unknown; subject?: unknown };
  const text = typeof name === "string" ? name.trim().slice(0, 80) : "";
  if (text === "") return null;
  return { name: text, subject: typeof subject === "string" && subject !== "" ? subject.slice(0, 200) : text };
}

/** The others at a page, each once, by name; `own` is this editor, `subject` who sits in front of it. */
export function others(states: ReadonlyMap<number, unknown>, own: number): readonly Person[] {
  const people = new Map<string, Person>();
  for (const [client, state] of states) {
    const one = client === own ? null : told(state);
    if (one === null) continue;
    const devices = (people.get(one.subject)?.devices ?? 0) + 1;
    people.set(one.subject, { ...one, tone: toneOf(one.subject), devices });
  }
  return [...people.values()].sort((a, b) => a.name.localeCompare(b.name));
}

/** How many stand with their initials; the rest are a number. */
export const SHOWN = 5;

/** `Bea and Ivo are here`: for those who do not see the initials. */
export function hereWords(people: readonly Person[], subject: string): string {
  const names = people.map((one) => (one.subject === subject ? "you on another device" : one.name));
  const [first, second] = names;
  if (first === undefined) return "Nobody else is here";
  if (second === undefined) return `${sentenceCase(first)} ${first.startsWith("you ") ? "are" : "is"} here`;
  if (names.length <= 3) return sentenceCase(`${names.slice(0, -1).join(", ")} and ${names.at(-1)} are here`);
  return sentenceCase(`${first}, ${second} and ${plural(names.length - 2, "other", "others")} are here`);
}

const sentenceCase = (text: string) => (text.startsWith("you ") ? `Y${text.slice(1)}` : text);

const SEGMENTER = typeof Intl.Segmenter === "function" ? new Intl.Segmenter(undefined, { granularity: "word" }) : null;

/** How many words a text has, also where no blanks stand between them. */
export function wordsIn(text: string): number {
  if (SEGMENTER === null) return text.match(/[\p{L}\p{N}][\p{L}\p{N}\p{M}'’-]*/gu)?.length ?? 0;
  let words = 0;
  for (const { isWordLike } of SEGMENTER.segment(text)) words += Number(isWordLike);
  return words;
}
