// What the tests of restored documents stand on: documents that somebody wrote, and all that one says.

import * as Y from "yjs";

export type Write = (doc: Y.Doc) => void;

/** What a document is that somebody wrote. */
export function written(...writes: Write[]): Y.Doc {
  const doc = new Y.Doc();
  for (const write of writes) write(doc);
  return doc;
}

/** A document that came over the network: no name of it was ever typed here. */
export function received(...updates: Uint8Array[]): Y.Doc {
  const doc = new Y.Doc();
  for (const update of updates) Y.applyUpdate(doc, update);
  return doc;
}

export const update = (doc: Y.Doc) => Y.encodeStateAsUpdate(doc);

/** What two are when each has all that the other has. */
export function exchange(one: Y.Doc, other: Y.Doc): void {
  const [mine, theirs] = [update(one), update(other)];
  Y.applyUpdate(one, theirs);
  Y.applyUpdate(other, mine);
}

/** The updates that doing something makes. */
export function updatesOf(doc: Y.Doc, act: () => void): number {
  let count = 0;
  const note = () => void count++;
  doc.on("update", note);
  act();
  doc.off("update", note);
  return count;
}

export const text = (doc: Y.Doc) => doc.getText("body");
export const xml = (doc: Y.Doc) => doc.getXmlFragment("body");

/** A block as ProseMirror writes it. */
export function block(
  name: string,
  content: readonly (string | Y.XmlElement | [string, object])[],
  attributes: object = {},
) {
  const made = new Y.XmlElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  const parts = content.map((part) => {
    if (part instanceof Y.XmlElement) return part;
    const one = new Y.XmlText();
    if (typeof part === "string") one.insert(0, part);
    else one.insert(0, part[0], part[1]);
    return one;
  });
  made.insert(0, parts);
  return made;
}
export const p = (...content: Parameters<typeof block>[1]) => block("paragraph", content);

/** All that a document says, formats too. */
export function whole(doc: Y.Doc): unknown {
  // Yjs sometimes tells in two pieces what is formatted alike.
  const delta = (type: Y.Text) =>
    type.toDelta().flatMap(({ insert, attributes = {} }) => [...insert].map((char) => [char, attributes]));
  const told = (type: unknown): unknown => {
    if (type instanceof Y.Text) return delta(type);
    if (type instanceof Y.XmlElement) return [type.nodeName, type.getAttributes(), type.toArray().map(told)];
    return type;
  };
  const lists = [delta(doc.getText("text")), xml(doc).toArray().map(told)];
  return [...lists, doc.getMap("map").toJSON(), doc.getArray("array").toJSON()];
}
