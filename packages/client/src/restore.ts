// A document made again what it was: by edits, as if somebody had typed them, so that what others write meanwhile merges.

import * as Y from "yjs";
import { common, ends, type Run } from "./difference.js";

type Shared = NonNullable<ReturnType<Y.Doc["share"]["get"]>>;

/** What a name of a document holds. */
export type Root = "text" | "xml" | "map" | "array";

/**
 * Makes a `Y.Doc` again what an update of a whole document says, such as that of a version, by edits of what differs, in one
 * transaction: within another one (`doc.transact(() => restoreDoc(doc, update), origin)`) it is part of that, so that an
 * editor's undo can take it back. What nobody has named in `doc` yet is told from what is in it; `roots` says it where that is
 * wrong.
 * @example
 * ```ts
 * const version = await readVersion(db, "pages", versionId);
 * if (version?.body) restoreDoc(doc, version.body);
 * ```
 */
export function restoreDoc(doc: Y.Doc, update: Uint8Array, roots: Readonly<Record<string, Root>> = {}): void {
  const was = new Y.Doc();
  Y.applyUpdate(was, update);
  const names = new Set([...doc.share.keys(), ...was.share.keys()]);
  doc.transact(() => {
    for (const name of names) {
      const kind =
        known(doc.share.get(name)) ?? roots[name] ?? guessed(was.share.get(name)) ?? guessed(doc.share.get(name));
      if (kind) become(kind, doc, was, name);
    }
  });
  was.destroy();
}

function known(type: Shared | undefined): Root | undefined {
  if (type instanceof Y.Text) return "text";
  if (type instanceof Y.XmlFragment) return "xml";
  if (type instanceof Y.Map) return "map";
  if (type instanceof Y.Array) return "array";
  return undefined;
}

/** What a type that came over the network is, of which only what is in it is known. */
function guessed(type: Shared | undefined): Root | undefined {
  if (!type) return undefined;
  for (let item = type._start; item; item = item.right) {
    const { content } = item;
    if (item.deleted) continue;
    if (content instanceof Y.ContentString || content instanceof Y.ContentFormat || content instanceof Y.ContentEmbed)
      return "text";
    const isXml =
      content instanceof Y.ContentType && (content.type instanceof Y.XmlElement || content.type instanceof Y.XmlText);
    return isXml ? "xml" : "array";
  }
  return type._map.size > 0 ? "map" : undefined;
}

function become(kind: Root, doc: Y.Doc, was: Y.Doc, name: string): void {
  if (kind === "text") textual(doc.getText(name), was.getText(name));
  else if (kind === "xml") listed(doc.getXmlFragment(name), was.getXmlFragment(name));
  else if (kind === "array") listed(doc.getArray(name), was.getArray(name));
  else mapped(doc.getMap(name), was.getMap(name));
}

/** Of which kind a value is: one can be made another of its kind, whoever else is writing in it, and none of another kind. */
function kindOf(value: unknown): string | undefined {
  if (value instanceof Y.XmlText) return "xml text";
  if (value instanceof Y.Text) return "text";
  if (value instanceof Y.XmlElement) return `<${value.nodeName}>`;
  if (value instanceof Y.XmlFragment) return "xml";
  if (value instanceof Y.XmlHook) return `hook ${value.hookName}`;
  if (value instanceof Y.Map) return "map";
  return value instanceof Y.Array ? "array" : undefined;
}

/** Makes a value another one of its kind. */
function again(now: unknown, then: unknown): void {
  if (now instanceof Y.Text && then instanceof Y.Text) {
    textual(now, then);
  } else if (now instanceof Y.XmlFragment && then instanceof Y.XmlFragment) {
    if (now instanceof Y.XmlElement && then instanceof Y.XmlElement) attributed(now, then);
    listed(now, then);
  } else if (now instanceof Y.Map && then instanceof Y.Map) {
    mapped(now, then);
  } else if (now instanceof Y.Array && then instanceof Y.Array) {
    listed(now, then);
  }
}

function mapped(now: Y.Map<unknown>, then: Y.Map<unknown>): void {
  for (const key of [...now.keys()]) if (!then.has(key)) now.delete(key);
  for (const [key, value] of then.entries()) {
    const there = now.get(key);
    if (now.has(key) && said(there) === said(value)) continue;
    const kind = kindOf(value);
    if (kind !== undefined && kind === kindOf(there)) again(there, value);
    else now.set(key, copied(value));
  }
}

/** What has attributes: `Y.Text`, of any kind, and elements. */
interface Attributed {
  getAttributes(): Record<string, unknown>;
  setAttribute(name: string, value: unknown): void;
  removeAttribute(name: string): void;
}

function attributed(now: Attributed, then: Attributed): void {
  const [a, b] = [now.getAttributes(), then.getAttributes()];
  for (const name of Object.keys(a)) if (!(name in b)) now.removeAttribute(name);
  for (const [name, value] of Object.entries(b))
    if (!(name in a) || said(a[name]) !== said(value)) now.setAttribute(name, copied(value));
}

interface List {
  length: number;
  toArray(): unknown[];
  delete(at: number, length: number): void;
  insert(at: number, content: never[]): void;
}

/** What both have stays; of what lies between, like becomes like, so that whoever is writing in it goes on writing in it. */
function listed(now: List, then: List): void {
  const [a, b] = [now.toArray(), then.toArray()];
  const [was, is] = [a.map(said), b.map(said)];
  const stays: Run[] = [];
  let [x, y] = [0, 0];
  for (const [nextX, nextY, length] of [...common(was, is), [a.length, b.length, 0] as Run]) {
    for (const [i, j] of paired(a.slice(x, nextX), b.slice(y, nextY))) stays.push([x + i, y + j, 1]);
    if (length > 0) stays.push([nextX, nextY, length]);
    [x, y] = [nextX + length, nextY + length];
  }
  // From the end, so that what comes before is still where it was.
  [x, y] = [a.length, b.length];
  for (const [i, j, length] of [...stays.reverse(), [0, 0, 0] as Run]) {
    const [gone, come] = [x - i - length, b.slice(j + length, y)];
    if (gone > 0) now.delete(i + length, gone);
    if (come.length > 0) now.insert(i + length, come.map(copied) as never[]);
    if (length === 1 && was[i] !== is[j]) again(a[i], b[j]);
    [x, y] = [i, j];
  }
}

/** More than so many of the one with the other are not weighed, but taken in their order. */
const MOST_WEIGHED = 2_500;

/** Which of these become which of those, in order: as many as can, and those that say the most of the same. */
function paired(a: readonly unknown[], b: readonly unknown[]): [number, number][] {
  const weighs = a.length * b.length > 1 && a.length * b.length <= MOST_WEIGHED;
  const [theirs, ours] = weighs ? [a.map(wordsOf), b.map(wordsOf)] : [[], []];
  const worth = (i: number, j: number) => {
    const kind = kindOf(a[i]);
    if (kind === undefined || kind !== kindOf(b[j])) return 0;
    return 1 + (weighs ? alike(theirs[i] as Words, ours[j] as Words) : 0);
  };
  if (a.length * b.length > MOST_WEIGHED) {
    return a.slice(0, b.length).flatMap((_, i): [number, number][] => (worth(i, i) > 0 ? [[i, i]] : []));
  }
  // The best that can be had of what is left of both.
  const best = Array.from({ length: a.length + 1 }, () => new Float64Array(b.length + 1));
  const had = (i: number, j: number) => best[i]?.[j] ?? 0;
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) {
      const it = worth(i, j);
      (best[i] as Float64Array)[j] = Math.max(it > 0 ? it + had(i + 1, j + 1) : 0, had(i + 1, j), had(i, j + 1));
    }
  }
  const pairs: [number, number][] = [];
  for (let [i, j] = [0, 0]; i < a.length && j < b.length; ) {
    const it = worth(i, j);
    if (it > 0 && it + had(i + 1, j + 1) >= had(i, j)) pairs.push([i++, j++]);
    else if (had(i + 1, j) >= had(i, j + 1)) i++;
    else j++;
  }
  return pairs;
}

type Words = Map<string, number>;

function wordsOf(value: unknown): Words {
  const words: Words = new Map();
  for (const [word] of said(value).matchAll(/[\p{L}\p{N}]+/gu)) words.set(word, (words.get(word) ?? 0) + 1);
  return words;
}

/** How much of their words two have in common: 0 to 1. */
function alike(a: Words, b: Words): number {
  let [both, all] = [0, 0];
  for (const [word, times] of a) {
    both += 2 * Math.min(times, b.get(word) ?? 0);
    all += times;
  }
  for (const times of b.values()) all += times;
  return all === 0 ? 0 : both / all;
}

interface Piece {
  insert: unknown;
  attributes: Record<string, unknown>;
}

/** A character, or what is embedded, with its format. */
interface Unit {
  insert: unknown;
  attributes: Record<string, unknown>;
  /** What it is, and how it is formatted, to be compared. */
  said: string;
  format: string;
}

/** What is made of a text: the edits of Yjs. */
type Edit = { retain?: number; delete?: number; insert?: unknown; attributes?: Record<string, unknown> };

function textual(now: Y.Text, then: Y.Text): void {
  attributed(now as unknown as Attributed, then as unknown as Attributed);
  const [a, b] = [unitsOf(piecesOf(now)), unitsOf(piecesOf(then))];
  const edits: Edit[] = [];
  let [x, y] = [0, 0];
  for (const [i, j, length] of [...kept(a, b, 0), [a.length, b.length, 0] as Run]) {
    typed(edits, b.slice(y, j));
    if (i > x) edits.push({ delete: a.slice(x, i).reduce((sum, unit) => sum + lengthOf(unit), 0) });
    for (let n = 0; n < length; n++) stayed(edits, a[i + n] as Unit, b[j + n] as Unit);
    [x, y] = [i + length, j + length];
  }
  const last = edits.at(-1);
  if (last?.retain !== undefined && last.attributes === undefined) edits.pop();
  if (edits.length > 0) now.applyDelta(edits);
}

/** As Yjs counts: UTF-16 code units. */
const lengthOf = ({ insert }: Unit) => (typeof insert === "string" ? insert.length : 1);

/** Adds what is typed: what is formatted alike is one piece. */
function typed(edits: Edit[], units: readonly Unit[]): void {
  let before: Unit | undefined;
  for (const unit of units) {
    const last = edits.at(-1);
    const isText = typeof before?.insert === "string" && typeof unit.insert === "string";
    if (last && isText && before?.format === unit.format) last.insert = `${last.insert}${unit.insert}`;
    else edits.push({ insert: copied(unit.insert), attributes: { ...unit.attributes } });
    before = unit;
  }
}

/** Adds a character that stays, in the format it had. */
function stayed(edits: Edit[], now: Unit, then: Unit): void {
  const attributes = now.format === then.format ? undefined : changeOf(now.attributes, then.attributes);
  const length = lengthOf(now);
  const last = edits.at(-1);
  const isOne = last?.retain !== undefined && said(last.attributes) === said(attributes);
  if (isOne) last.retain = (last.retain ?? 0) + length;
  else edits.push({ retain: length, ...(attributes && { attributes }) });
}

/** What makes the one format the other. */
function changeOf(now: Record<string, unknown>, then: Record<string, unknown>): Record<string, unknown> {
  const gone = Object.keys(now).filter((name) => !(name in then));
  const come = Object.entries(then).filter(([name, value]) => said(now[name]) !== said(value));
  return Object.fromEntries([...gone.map((name): [string, unknown] => [name, null]), ...come]);
}

/** What is in a text: what is formatted alike is one piece, where Yjs sometimes has two. */
function piecesOf(text: Y.Text): Piece[] {
  const pieces: Piece[] = [];
  for (const { insert, attributes = {} } of text.toDelta() as Partial<Piece>[]) {
    const last = pieces.at(-1);
    const isOne = typeof insert === "string" && typeof last?.insert === "string";
    if (isOne && said(last?.attributes) === said(attributes)) (last as Piece).insert = `${last?.insert}${insert}`;
    else pieces.push({ insert, attributes });
  }
  return pieces;
}

function unitsOf(pieces: readonly Piece[]): Unit[] {
  return pieces.flatMap(({ insert, attributes }) => {
    const format = said(attributes);
    // No character is taken apart, and so none of two halves becomes one that nobody wrote.
    const parts = typeof insert === "string" ? [...insert] : [insert];
    return parts.map((part): Unit => {
      const what = typeof part === "string" ? part : `embedded ${said(part)}`;
      return { insert: part, attributes, said: what, format };
    });
  });
}

/** By what a text is compared: lines, within lines that differ words, within words only what is the same at both ends. */
const ENDS: readonly ((unit: Unit, next: Unit | undefined) => boolean)[] = [
  ({ said }) => said === "\n",
  ({ said }, next) => !isWord(said) || next === undefined || !isWord(next.said),
];

const isWord = (text: string) => /^[\p{L}\p{N}\p{M}]$/u.test(text);

/** The runs of characters that stay. */
function kept(a: readonly Unit[], b: readonly Unit[], level: number): Run[] {
  const isEnd = ENDS[level];
  const [from, left] = ends(
    a.map((unit) => unit.said),
    b.map((unit) => unit.said),
  );
  const runs: Run[] = [[0, 0, from]];
  const [insideA, insideB] = [a.slice(from, a.length - left), b.slice(from, b.length - left)];
  if (isEnd && insideA.length > 0 && insideB.length > 0) {
    const [one, other] = [parted(insideA, isEnd), parted(insideB, isEnd)];
    let [x, y] = [from, from];
    const [restA, restB] = [one.said.length, other.said.length];
    for (const [i, j, length] of [...common(one.said, other.said), [restA, restB, 0] as Run]) {
      const [nextX, nextY] = [from + (one.at[i] ?? 0), from + (other.at[j] ?? 0)];
      for (const [p, q, n] of kept(a.slice(x, nextX), b.slice(y, nextY), level + 1)) runs.push([x + p, y + q, n]);
      const same = (one.at[i + length] ?? 0) - (one.at[i] ?? 0);
      runs.push([nextX, nextY, same]);
      [x, y] = [nextX + same, nextY + same];
    }
  }
  runs.push([a.length - left, b.length - left, left]);
  return runs.filter(([, , length]) => length > 0);
}

/** A text in parts, and where each begins; behind the last one, where it ends. */
function parted(units: readonly Unit[], isEnd: (unit: Unit, next: Unit | undefined) => boolean) {
  const at = [0];
  for (const [index, unit] of units.entries()) {
    if (index === units.length - 1 || isEnd(unit, units[index + 1])) at.push(index + 1);
  }
  const parts = at.slice(1).map((end, index) => {
    const part = units.slice(at[index], end);
    return part.map((unit) => unit.said).join("");
  });
  return { said: parts, at };
}

/** A value that can be put into another document. */
function copied(value: unknown): unknown {
  if (value instanceof Y.Text) return textCopied(value);
  if (value instanceof Y.XmlElement) {
    const made = new Y.XmlElement(value.nodeName);
    for (const [name, one] of Object.entries(value.getAttributes())) made.setAttribute(name, copied(one) as string);
    made.insert(0, value.toArray().map(copied) as never[]);
    return made;
  }
  if (value instanceof Y.XmlFragment) {
    const made = new Y.XmlFragment();
    made.insert(0, value.toArray().map(copied) as never[]);
    return made;
  }
  if (value instanceof Y.Map) {
    const made: Y.Map<unknown> = value instanceof Y.XmlHook ? new Y.XmlHook(value.hookName) : new Y.Map();
    for (const [key, one] of value.entries()) made.set(key, copied(one));
    return made;
  }
  if (value instanceof Y.Array) return Y.Array.from(value.toArray().map(copied) as never[]);
  // A document within the document is another one, of which only the name is here.
  return value instanceof Y.Doc ? new Y.Doc({ guid: value.guid, meta: value.meta }) : value;
}

function textCopied(value: Y.Text): Y.Text {
  const made = value instanceof Y.XmlText ? new Y.XmlText() : new Y.Text();
  const pieces = piecesOf(value).map((piece) => ({ ...piece, insert: copied(piece.insert) }));
  made.applyDelta(pieces);
  for (const [name, one] of Object.entries(value.getAttributes())) made.setAttribute(name, one);
  return made;
}

/** What a value says, to be compared: the same for what is the same, in whatever order its names came to be. */
function said(value: unknown): string {
  if (value instanceof Y.Text) {
    const pieces = piecesOf(value).map(({ insert, attributes }) => [insert, attributes]);
    return `${kindOf(value)}${said([pieces, value.getAttributes()])}`;
  }
  if (value instanceof Y.XmlElement) return `${kindOf(value)}${said([value.getAttributes(), value.toArray()])}`;
  if (value instanceof Y.XmlFragment || value instanceof Y.Array) return `${kindOf(value)}${said(value.toArray())}`;
  if (value instanceof Y.Map) return `${kindOf(value)}${said(Object.fromEntries(value.entries()))}`;
  if (value instanceof Y.Doc) return `document ${value.guid}`;
  if (value instanceof Uint8Array) return `bytes ${value.join()}`;
  if (Array.isArray(value)) return `[${value.map(said).join()}]`;
  if (typeof value === "object" && value !== null) {
    const entries = Object.entries(value).sort(([one], [other]) => (one < other ? -1 : 1));
    return `{${entries.map(([name, one]) => `${JSON.stringify(name)}:${said(one)}`).join()}}`;
  }
  return typeof value === "string" ? JSON.stringify(value) : String(value);
}
