// Whatever two documents say, the one is made the other exactly, and nobody else loses a word by it.

import fc from "fast-check";
import { expect, test } from "vitest";
import * as Y from "yjs";
import { type Root, restoreDoc } from "../../src/restore.js";
import { block, exchange, received, update, updatesOf, whole, xml } from "./written.js";

const RUNS = 300;
const TIMEOUT_MS = 60_000;
const ROOTS: Record<string, Root> = { text: "text", body: "xml", map: "map", array: "array" };

// What people write: any characters, half of no one, among them those of two and more units, and words that come again.
const words = fc.oneof(
  fc.constantFrom("the harbour ", "a ", "🌊", "👩‍👩‍👧", "e\u0301", "🇦🇷", "\n", "𝒳𝒴 ", "two words "),
  fc.string({ unit: "grapheme", maxLength: 6 }),
  fc.string({ unit: "binary", maxLength: 4 }),
);
const marks = fc.constantFrom({}, {}, { bold: {} }, { italic: true }, { bold: {}, link: { href: "#🌊" } });
const pieces = fc.array(fc.tuple(words, marks), { maxLength: 4 });
type Pieces = [string, object][];

/** A block as an editor has it, before it is in a document. */
interface Block {
  name: string;
  attributes: object;
  text?: Pieces;
  inside?: Block[];
}

const leaf = (name: string, attributes: fc.Arbitrary<object>) =>
  fc.record({ name: fc.constant(name), attributes, text: pieces }) as fc.Arbitrary<Block>;
const { one } = fc.letrec<{ one: Block; list: Block; item: Block }>((tie) => ({
  one: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    leaf("paragraph", fc.constantFrom({}, { align: "right" })),
    leaf("heading", fc.constantFrom({ level: 1 }, { level: 2 })),
    tie("list"),
  ),
  list: fc.record({
    name: fc.constantFrom("bulletList", "orderedList", "blockquote"),
    attributes: fc.constant({}),
    inside: fc.array(tie("item"), { minLength: 1, maxLength: 3 }),
  }),
  item: fc.record({
    name: fc.constant("listItem"),
    attributes: fc.constant({}),
    inside: fc.array(tie("one"), { minLength: 1, maxLength: 2 }),
  }),
}));
const blocks = fc.array(one, { maxLength: 5 });
const said = fc.record({ blocks, text: pieces });

const made = ({ name, attributes, text: parts = [], inside = [] }: Block): Y.XmlElement =>
  block(name, [...filled(parts), ...inside.map(made)], attributes);
const filled = (parts: Pieces) => parts.filter(([one]) => one !== "");

function write(doc: Y.Doc, { blocks: list, text: parts }: { blocks: Block[]; text: Pieces }): void {
  xml(doc).push(list.map(made));
  for (const [one, format] of filled(parts)) doc.getText("text").insert(doc.getText("text").length, one, { ...format });
}

/** The texts within the blocks, in order. */
function textsOf(doc: Y.Doc): Y.XmlText[] {
  const found: Y.XmlText[] = [];
  const look = (part: unknown) => {
    if (part instanceof Y.XmlText) found.push(part);
    else if (part instanceof Y.XmlElement || part instanceof Y.XmlFragment) part.toArray().forEach(look);
  };
  look(xml(doc));
  return found;
}

/** An edit, of whatever is at a place that is told as a part of what there is. */
type Change = { at: number; to: number; words: string } & (
  | { act: "type" | "delete" | "plain" | "unplain" }
  | { act: "format"; format: object }
  | { act: "block"; block: Block }
  | { act: "remove" | "attribute" }
);
const place = fc.double({ min: 0, max: 0.999, noNaN: true });
const where = { at: place, to: place, words };
const change: fc.Arbitrary<Change> = fc.oneof(
  fc.record({ ...where, act: fc.constantFrom("type", "delete", "plain", "unplain", "remove", "attribute") }),
  fc.record({ ...where, act: fc.constant("format" as const), format: marks }),
  fc.record({ ...where, act: fc.constant("block" as const), block: one }),
) as fc.Arbitrary<Change>;
const changes = fc.array(change, { maxLength: 8 });

/** Between characters, as editors have it: nobody types between the halves of one. */
function spots(into: Y.Text): number[] {
  const list = [0];
  for (const { insert } of into.toDelta() as { insert: unknown }[])
    for (const char of typeof insert === "string" ? insert : [""]) list.push((list.at(-1) ?? 0) + (char.length || 1));
  return list;
}

const pick = <T>(list: readonly T[], at: number): T | undefined => list[Math.floor(at * list.length)];

function edit(doc: Y.Doc, edit: Change): void {
  const { act, at, to, words } = edit;
  const plain = act === "plain" || act === "unplain";
  const into = plain ? doc.getText("text") : pick(textsOf(doc), at);
  const top = Math.floor(at * xml(doc).length);
  const there = xml(doc).length > 0 ? xml(doc).get(top) : undefined;
  if (act === "block") xml(doc).insert(Math.floor(at * (xml(doc).length + 1)), [made(edit.block)]);
  if (act === "remove" && there) xml(doc).delete(top, 1);
  if (act === "attribute" && there instanceof Y.XmlElement) there.setAttribute("level", words);
  if (!into || act === "block" || act === "remove" || act === "attribute") return;
  const list = spots(into);
  const [from, until] = [pick(list, at) ?? 0, pick(list, to) ?? 0].sort((a, b) => a - b) as [number, number];
  if (act === "type" || act === "plain") {
    if (words !== "") into.insert(from, words);
  } else if (act === "format") into.format(from, until - from, { ...edit.format });
  else into.delete(from, until - from);
}

test(
  "one document is made another exactly, whatever both say, and again makes no update",
  () => {
    fc.assert(
      fc.property(said, said, (a, b) => {
        const [doc, was] = [new Y.Doc(), new Y.Doc()];
        write(doc, a);
        write(was, b);
        restoreDoc(doc, update(was), ROOTS);
        expect(whole(doc)).toEqual(whole(was));
        expect(updatesOf(doc, () => restoreDoc(doc, update(was), ROOTS))).toBe(0);
        const fresh = received(update(doc));
        expect(whole(fresh)).toEqual(whole(was));
      }),
      { numRuns: RUNS },
    );
  },
  TIMEOUT_MS,
);

test(
  "a document is made again what it was before edits, in one update, which an undo takes back",
  () => {
    fc.assert(
      fc.property(said, changes, (then, edits) => {
        const doc = new Y.Doc();
        write(doc, then);
        const [version, was] = [update(doc), whole(doc)];
        for (const one of edits) edit(doc, one);
        const now = whole(doc);
        const undo = new Y.UndoManager([xml(doc), doc.getText("text")], { trackedOrigins: new Set(["restore"]) });
        const count = updatesOf(doc, () => doc.transact(() => restoreDoc(doc, version, ROOTS), "restore"));
        expect(count).toBeLessThanOrEqual(1);
        expect(whole(doc)).toEqual(was);
        undo.undo();
        expect(whole(doc)).toEqual(now);
      }),
      { numRuns: RUNS },
    );
  },
  TIMEOUT_MS,
);

test(
  "what somebody else writes meanwhile is kept where its place is, and all come to the same",
  () => {
    const MARK = "«meanwhile»";
    fc.assert(
      fc.property(said, changes, changes, place, (then, edits, theirs, at) => {
        const doc = new Y.Doc();
        write(doc, then);
        const version = update(doc);
        for (const one of edits) edit(doc, one);
        const other = received(update(doc));
        const index = textsOf(other).indexOf(pick(textsOf(other), at) as Y.XmlText);
        const mine = textsOf(doc)[index];
        // Theirs: a mark in the plain text, one in a block, one in a block of their own; and whatever they do beside.
        for (const one of theirs)
          if (one.act === "type" || one.act === "block" || one.act === "format") edit(other, one);
        other.getText("text").insert(pick(spots(other.getText("text")), at) ?? 0, MARK);
        const typed = index < 0 ? undefined : twin(other, mine as Y.XmlText);
        typed?.insert(pick(spots(typed), at) ?? 0, MARK);
        xml(other).push([made({ name: "paragraph", attributes: {}, text: [[MARK, {}]] })]);

        restoreDoc(doc, version, ROOTS);
        const stays = mine !== undefined && !isGone(mine);
        exchange(doc, other);
        expect(whole(doc)).toEqual(whole(other));
        expect(text_(doc)).toContain(MARK);
        // Where both put something at one place, either may come first.
        expect(xml(doc).toArray().map(String)).toContain(`<paragraph>${MARK}</paragraph>`);
        if (stays) expect(mine.toString()).toContain(MARK);
      }),
      { numRuns: RUNS },
    );
  },
  TIMEOUT_MS,
);

const text_ = (doc: Y.Doc) => doc.getText("text").toString();

/** The same text in another document. */
const twin = (doc: Y.Doc, of: Y.XmlText): Y.XmlText | undefined =>
  textsOf(doc).find((one) => Y.compareIDs(one._item?.id ?? null, of._item?.id ?? null));

/** Whether it, or what it is in, was deleted. */
function isGone(of: Y.XmlText): boolean {
  for (let item = of._item; item; item = (item.parent as Y.XmlElement)._item ?? null) if (item.deleted) return true;
  return false;
}
