// A document made again what it was: by edits, as if somebody had typed them, so that what others write meanwhile merges.

import * as Y from "yjs";

type Shared = NonNullable<ReturnType<Y.Doc["share"]["get"]>>;

/** What a name of a document holds. */
export type Root = "text" | "xml" | "map" | "array";

/**
 * Makes a `Y.Doc` again what an update of a whole document says, such as that of a version, by edits that begin and end where
 * the two differ. What nobody has named in `doc` yet is told from what is in it; `roots` says it where that is wrong.
 */
export function restoreDoc(doc: Y.Doc, update: Uint8Array, roots: Readonly<Record<string, Root>> = {}): void {
  const was = new Y.Doc();
  Y.applyUpdate(was, update);
  const names = new Set([...doc.share.keys(), ...was.share.keys()]);
  doc.transact(() => {
    for (const name of names) {
      const kind =
        roots[name] ?? known(doc.share.get(name)) ?? guessed(was.share.get(name)) ?? guessed(doc.share.get(name));
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
  if (type._map.size > 0) return "map";
  for (let item = type._start; item; item = item.right) {
    const { content } = item;
    if (item.deleted) continue;
    if (content instanceof Y.ContentString || content instanceof Y.ContentFormat || content instanceof Y.ContentEmbed)
      return "text";
    const isXml =
      content instanceof Y.ContentType && (content.type instanceof Y.XmlElement || content.type instanceof Y.XmlText);
    return isXml ? "xml" : "array";
  }
  return undefined;
}

function become(kind: Root, doc: Y.Doc, was: Y.Doc, name: string): void {
  if (kind === "text") textual(doc.getText(name), was.getText(name));
  else if (kind === "xml") listed(doc.getXmlFragment(name), was.getXmlFragment(name));
  else if (kind === "array") listed(doc.getArray(name), was.getArray(name));
  else mapped(doc.getMap(name), was.getMap(name));
}

function mapped(now: Y.Map<unknown>, then: Y.Map<unknown>): void {
  for (const key of [...now.keys()]) if (!then.has(key)) now.delete(key);
  for (const [key, value] of then.entries()) if (said(now.get(key)) !== said(value)) now.set(key, copied(value));
}

function copied<V>(value: V): V {
  return value instanceof Y.AbstractType ? (value.clone() as V) : value;
}

/** What a value says, to be compared. */
function said(value: unknown): string {
  if (value instanceof Y.XmlText) return JSON.stringify(value.toDelta());
  if (value instanceof Y.XmlElement) {
    const children = value.toArray().map(said);
    return JSON.stringify([value.nodeName, value.getAttributes(), children]);
  }
  if (value instanceof Y.Text) return JSON.stringify(value.toDelta());
  if (value instanceof Y.AbstractType) return JSON.stringify(value.toJSON());
  return JSON.stringify(value) ?? "";
}

interface List {
  length: number;
  toArray(): unknown[];
  delete(at: number, length: number): void;
  insert(at: number, content: never[]): void;
}

function listed(now: List, then: List): void {
  const [a, b] = [now.toArray().map(said), then.toArray().map(said)];
  const [from, left] = apart(a.length, b.length, (x, y) => a[x] === b[y]);
  const gone = a.length - from - left;
  if (gone > 0) now.delete(from, gone);
  const come = then.toArray().slice(from, b.length - left);
  if (come.length > 0) now.insert(from, come.map(copied) as never[]);
}

interface Piece {
  insert: unknown;
  attributes?: Record<string, unknown>;
}

/** A character, or what is embedded, with its format. */
interface Unit {
  piece: Piece;
  said: string;
  /** As Yjs counts: UTF-16 code units. */
  length: number;
}

function textual(now: Y.Text, then: Y.Text): void {
  const [a, b] = [units(now.toDelta() as Piece[]), units(then.toDelta() as Piece[])];
  const [from, left] = apart(a.length, b.length, (x, y) => a[x]?.said === b[y]?.said);
  const retain = lengthOf(a.slice(0, from));
  const gone = lengthOf(a.slice(from, a.length - left));
  const come = b.slice(from, b.length - left).map(({ piece }) => piece);
  const edits = [...(retain > 0 ? [{ retain }] : []), ...come, ...(gone > 0 ? [{ delete: gone }] : [])];
  if (come.length > 0 || gone > 0) now.applyDelta(edits, { sanitize: false });
}

const lengthOf = (list: readonly Unit[]) => list.reduce((sum, { length }) => sum + length, 0);

function units(pieces: readonly Piece[]): Unit[] {
  return pieces.flatMap((piece) => {
    const parts = typeof piece.insert === "string" ? [...piece.insert] : [piece.insert];
    return parts.map((insert) => {
      const one = { ...piece, insert };
      return { piece: one, said: JSON.stringify(one), length: typeof insert === "string" ? insert.length : 1 };
    });
  });
}

/** How many are the same at the beginning, and of the rest at the end. */
function apart(a: number, b: number, same: (a: number, b: number) => boolean): [number, number] {
  const most = Math.min(a, b);
  let from = 0;
  while (from < most && same(from, from)) from++;
  let left = 0;
  while (left < most - from && same(a - 1 - left, b - 1 - left)) left++;
  return [from, left];
}
