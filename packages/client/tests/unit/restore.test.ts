// A document made again what it was, by edits: what others write meanwhile stays, and what is the same is left alone.

import { expect, test } from "vitest";
import * as Y from "yjs";
import { common } from "../../src/difference.js";
import { type Root, restoreDoc } from "../../src/restore.js";
import { block, exchange, p, received, text, update, updatesOf, type Write, whole, written, xml } from "./written.js";

const textAt = (doc: Y.Doc, at: number) => (xml(doc).get(at) as Y.XmlElement).get(0) as Y.XmlText;

test("a plain text is made again what it was, with emoji and line ends", () => {
  const texts = ["", "one\ntwo\n", "one 🌊 two 👩‍👩‍👧", "one 🌋 two 👩‍👩‍👦\n", "\n", "e\u0301e 🇦🇷🇧🇷"];
  for (const then of texts) {
    for (const now of texts) {
      const was = written((doc) => text(doc).insert(0, then));
      const doc = written((doc) => text(doc).insert(0, now));
      restoreDoc(doc, update(was), { body: "text" });
      expect(text(doc).toString()).toBe(then);
    }
  }
});

test("formats, embedded things and attributes of a text come back, by edits of the formats alone", () => {
  const doc = written((doc) => {
    text(doc).insert(0, "plain bold linked ");
    text(doc).format(6, 4, { bold: true });
    text(doc).format(11, 6, { link: { href: "https://ferry.example" }, bold: true });
    text(doc).insertEmbed(18, { image: "a.png" }, { width: 7 });
    text(doc).setAttribute("dir", "rtl");
  });
  const [version, delta] = [update(doc), text(doc).toDelta()];
  text(doc).format(0, 19, { bold: null, link: null, width: 9, italic: true });
  text(doc).setAttribute("dir", "ltr");
  text(doc).setAttribute("more", 1);
  const there = text(doc).toString();
  let gone = 0;
  text(doc).observe((event) => {
    gone = event.changes.delta.reduce((sum, one) => sum + (one.delete ?? 0), 0);
  });
  restoreDoc(doc, version);
  expect(text(doc).toDelta()).toEqual(delta);
  expect(text(doc).getAttributes()).toEqual({ dir: "rtl" });
  expect([text(doc).toString(), gone]).toEqual([there, 0]);
});

test("the same again makes no update, whatever the order in which formats and attributes came to be", () => {
  const writes: Write[] = [
    (doc) => {
      text(doc).insert(0, "one two");
      text(doc).format(0, 3, { bold: true });
      text(doc).format(0, 3, { italic: {} });
    },
    (doc) => doc.getMap("map").set("a", { x: 1, y: [2] }),
    (doc) => doc.getArray("array").push([1, "1", null, true, Uint8Array.of(1)]),
    (doc) => doc.getXmlFragment("xml").push([block("heading", ["Title"], { level: 2, id: "a" })]),
  ];
  const [doc, other] = [written(...writes), new Y.Doc()];
  text(other).insert(0, "one two", { italic: {}, bold: true });
  text(other).format(3, 4, { italic: null, bold: null });
  other.getMap("map").set("a", { y: [2], x: 1 });
  other.getArray("array").push([1, "1", null, true, Uint8Array.of(1)]);
  other.getXmlFragment("xml").push([block("heading", ["Title"], { id: "a", level: 2 })]);
  for (const version of [update(doc), update(other)]) {
    expect(updatesOf(doc, () => restoreDoc(doc, version))).toBe(0);
    const fresh = received(update(doc));
    expect(updatesOf(fresh, () => restoreDoc(fresh, version))).toBe(0);
  }
});

test("what was never typed here is told from what is in it, and known where it is wrong", () => {
  const was = written(
    (doc) => text(doc).insert(0, "text"),
    (doc) => doc.getXmlFragment("xml").push([p("xml")]),
    (doc) => doc.getMap("map").set("one", 1),
    (doc) => doc.getArray("array").push([1, 2]),
    (doc) => doc.getText("titled").setAttribute("lang", "de"),
    (doc) => doc.getText("titled").insert(0, "t"),
  );
  const version = update(was);
  const doc = received(version);
  doc.getText("later").insert(0, "came later");
  doc.getMap("later too").set("one", 1);
  const other = received(update(doc));
  for (const one of [other, new Y.Doc()]) {
    restoreDoc(one, version);
    expect(one.getText("body").toString()).toBe("text");
    expect(one.getXmlFragment("xml").toString()).toBe("<paragraph>xml</paragraph>");
    expect(one.getMap("map").toJSON()).toEqual({ one: 1 });
    expect(one.getArray("array").toJSON()).toEqual([1, 2]);
    expect(one.getText("titled").toString()).toBe("t");
    expect(one.getText("titled").getAttributes()).toEqual({ lang: "de" });
    expect(one.getText("later").toString()).toBe("");
    expect(one.getMap("later too").toJSON()).toEqual({});
  }
  const drawn = written((doc) => doc.getText("body").insertEmbed(0, new Y.Map([["kind", "circle"]]) as never));
  const empty = new Y.Doc();
  restoreDoc(empty, update(drawn), { body: "text" } satisfies Record<string, Root>);
  expect((empty.getText("body").toDelta()[0].insert as Y.Map<string>).toJSON()).toEqual({ kind: "circle" });
});

test("blocks that are the same stay what they are, and one that differs stays the one that people write in", () => {
  const doc = written((doc) =>
    xml(doc).push([
      block("heading", ["A walk"], { level: 2 }),
      p("It rained ", ["a lot", { bold: {} }], " that day."),
      block("bulletList", [block("listItem", [p("bread")]), block("listItem", [p("salt")])]),
      p("The end."),
    ]),
  );
  const [version, was] = [update(doc), xml(doc).toString()];
  const [heading, rain, list, end] = xml(doc).toArray() as [Y.XmlElement, Y.XmlElement, Y.XmlElement, Y.XmlElement];
  heading.setAttribute("level", "3");
  (rain.get(0) as Y.XmlText).insert(0, "Yes: ");
  list.push([block("listItem", [p("butter")])]);
  (((list.get(0) as Y.XmlElement).get(0) as Y.XmlElement).get(0) as Y.XmlText).insert(5, " and jam");
  xml(doc).insert(1, [p("What was written in between, later.")]);
  expect(updatesOf(doc, () => restoreDoc(doc, version))).toBe(1);
  expect(xml(doc).toString()).toBe(was);
  expect(heading.getAttribute("level")).toBe(2);
  expect(xml(doc).toArray()).toEqual([heading, rain, list, end]);
  for (const [at, one] of [heading, rain, list, end].entries()) expect(xml(doc).get(at)).toBe(one);
});

test("what somebody else writes meanwhile survives, in the block that they write it in", () => {
  const doc = written((doc) => xml(doc).push([p("First thoughts."), p("The harbour at six."), p("Last words.")]));
  const version = update(doc);
  xml(doc).insert(0, [p("A new beginning.")]);
  textAt(doc, 2).delete(0, 11);
  textAt(doc, 2).insert(0, "The boats leave");
  textAt(doc, 3).insert(11, " And more.");
  const other = received(update(doc));
  textAt(other, 2).insert(textAt(other, 2).length, " I was there.");
  xml(other).push([p("A note of theirs.")]);
  (xml(other).get(1) as Y.XmlElement).setAttribute("align", "center");
  restoreDoc(doc, version);
  expect(xml(doc).toString()).toBe(xml(received(version)).toString());
  exchange(doc, other);
  expect(xml(other).toString()).toBe(xml(doc).toString());
  expect(xml(doc).toString()).toBe(
    [
      '<paragraph align="center">First thoughts.</paragraph>',
      "<paragraph>The harbour at six. I was there.</paragraph>",
      "<paragraph>Last words.</paragraph>",
      "<paragraph>A note of theirs.</paragraph>",
    ].join(""),
  );
});

test("in a plain text only what differs is typed again: what others type between two differences stays where it is", () => {
  const doc = written((doc) => text(doc).insert(0, "alpha one\nbravo two\ncharlie three\n"));
  const version = update(doc);
  text(doc).delete(0, 5);
  text(doc).insert(0, "ALPHA");
  text(doc).insert(text(doc).length - 1, "!");
  const other = received(update(doc));
  text(other).insert(15, " BETWEEN");
  restoreDoc(doc, version);
  exchange(doc, other);
  expect(text(doc).toString()).toBe("alpha one\nbravo BETWEEN two\ncharlie three\n");
  expect(text(other).toString()).toBe(text(doc).toString());
});

test("maps and arrays, and what is in them", () => {
  const doc = written((doc) => {
    doc.getMap("map").set("kept", "k");
    doc.getMap("map").set("gone", 1);
    doc.getMap("map").set("inner", new Y.Map([["title", "then"]]));
    doc.getMap("map").set("list", Y.Array.from([1, 2, 3]));
    doc.getArray("array").push([1, new Y.Text("a text"), { plain: true }]);
  });
  const [version, inner] = [update(doc), doc.getMap("map").get("inner") as Y.Map<unknown>];
  doc.getMap("map").delete("gone");
  doc.getMap("map").set("new", 1);
  inner.set("title", "now");
  doc.getMap("map").set("list", "no list any more");
  doc.getArray<Y.Text>("array").get(1).insert(0, "not ");
  doc.getArray("array").delete(2, 1);
  doc.getArray("array").insert(0, [0]);
  const other = received(update(doc));
  (other.getMap("map").get("inner") as Y.Map<unknown>).set("more", "theirs");
  other.getMap("map").set("own", "theirs");
  other.getArray("array").push(["theirs"]);
  restoreDoc(doc, version);
  expect(doc.getMap("map").toJSON()).toEqual({ kept: "k", gone: 1, inner: { title: "then" }, list: [1, 2, 3] });
  expect(doc.getArray("array").toJSON()).toEqual([1, "a text", { plain: true }]);
  exchange(doc, other);
  expect(doc.getMap("map").get("inner")).toBe(inner);
  expect(inner.toJSON()).toEqual({ title: "then", more: "theirs" });
  expect(doc.getMap("map").get("own")).toBe("theirs");
  expect(doc.getArray("array").toJSON()).toContain("theirs");
  expect(other.getMap("map").toJSON()).toEqual(doc.getMap("map").toJSON());
  expect(other.getArray("array").toJSON()).toEqual(doc.getArray("array").toJSON());
});

test("a restore is one update, and an editor's undo takes it back where it is told whose it is", () => {
  const doc = written((doc) => xml(doc).push([p("one"), p("two")]));
  const version = update(doc);
  const origin = {};
  const undo = new Y.UndoManager(xml(doc), { trackedOrigins: new Set([origin]) });
  textAt(doc, 0).insert(0, "number ");
  xml(doc).delete(1, 1);
  const now = xml(doc).toString();
  expect(updatesOf(doc, () => doc.transact(() => restoreDoc(doc, version), origin))).toBe(1);
  expect(xml(doc).toString()).toBe("<paragraph>one</paragraph><paragraph>two</paragraph>");
  undo.undo();
  expect(xml(doc).toString()).toBe(now);
  undo.redo();
  expect(xml(doc).toString()).toBe("<paragraph>one</paragraph><paragraph>two</paragraph>");
});

test("a long text in which nothing is the same is made again as well", () => {
  const words = (n: number) => Array.from({ length: 4_000 }, (_, at) => `${(at * n) % 9973}`).join(" ");
  const doc = written((doc) => text(doc).insert(0, words(7919)));
  const version = update(doc);
  text(doc).delete(0, text(doc).length);
  text(doc).insert(0, words(31));
  restoreDoc(doc, version);
  expect(text(doc).toString()).toBe(words(7919));
});

/** The same numbers from the same seed. */
function dice(seed: number) {
  let state = seed;
  return (below: number): number => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

const WORDS = ["a", "sea ", "🌊", "\n", "harbour", " ", "é", "x", "two words"];
const FORMATS = [{}, { bold: true }, { italic: {} }, { bold: true, link: { href: "#" } }, { bold: null }];

/** Somebody's next edit. */
function edited(doc: Y.Doc, roll: (below: number) => number): void {
  const one = <T>(list: readonly T[]): T => list[roll(list.length)] as T;
  const write = (into: Y.Text) => {
    // Between the halves of a character nobody types.
    const places = [0];
    for (const char of into.toString()) places.push((places.at(-1) ?? 0) + char.length);
    const [from, to] = [one(places), one(places)].sort((a, b) => a - b) as [number, number];
    const act = roll(4);
    if (act < 2) into.insert(from, one(WORDS), { ...one(FORMATS) });
    else if (act === 2) into.delete(from, to - from);
    else into.format(from, to - from, { ...one(FORMATS) });
  };
  const [blocks, list, map] = [xml(doc), doc.getArray("array"), doc.getMap("map")];
  const there = blocks.length > 0 ? (blocks.get(roll(blocks.length)) as Y.XmlElement) : undefined;
  const inside = there?.toArray().find((part) => part instanceof Y.XmlText);
  const acts: (() => void)[] = [
    () => write(doc.getText("text")),
    () => write(doc.getText("text")),
    () => void map.set(one(WORDS), one([1, "a", { b: [1] }, new Y.Map([["c", 1]])])),
    () => map.delete(one(WORDS)),
    () => list.insert(roll(list.length + 1), [one([1, "a", { b: [1] }])]),
    () => list.length > 0 && list.delete(roll(list.length), 1),
    () => blocks.insert(roll(blocks.length + 1), [p(one(WORDS)), p()]),
    () => there && blocks.delete(blocks.toArray().indexOf(there), 1),
    () => there?.setAttribute("level", String(roll(3))),
    () => there?.insert(roll(there.length + 1), [block("span", [one(WORDS)])]),
    () => inside instanceof Y.XmlText && write(inside),
    () => inside instanceof Y.XmlText && write(inside),
  ];
  one(acts)();
}

test("whatever was written, before and meanwhile: it is what it was, and all come to the same", () => {
  for (let seed = 1; seed <= 300; seed++) {
    const roll = dice(seed);
    const [doc, other] = [new Y.Doc(), new Y.Doc()];
    for (let n = roll(12); n >= 0; n--) edited(doc, roll);
    const version = update(doc);
    const then = whole(doc);
    for (let n = roll(12); n >= 0; n--) edited(doc, roll);
    Y.applyUpdate(other, update(doc));
    const meanwhile = `meanwhile ${seed}`;
    other.getText("text").insert(0, meanwhile);
    for (let n = roll(3); n > 0; n--) edited(other, roll);
    const kept = other.getText("text").toString().includes(meanwhile);
    const roots: Record<string, Root> = { text: "text", body: "xml", map: "map", array: "array" };
    restoreDoc(doc, version, roots);
    expect(whole(doc), `seed ${seed}`).toEqual(then);
    expect(
      updatesOf(doc, () => restoreDoc(doc, version)),
      `seed ${seed}`,
    ).toBe(0);
    exchange(doc, other);
    expect(whole(doc), `seed ${seed}`).toEqual(whole(other));
    if (kept) expect(doc.getText("text").toString(), `seed ${seed}`).toContain(meanwhile);
  }
});

test("what two lists have in common is as much as there is", () => {
  const lengths = (a: string, b: string) => common([...a], [...b]).map(([x, y, n]) => [a.slice(x, x + n), y]);
  expect(lengths("abcabba", "cbabac").reduce((sum, [run]) => sum + (run as string).length, 0)).toBe(4);
  expect(lengths("", "abc")).toEqual([]);
  expect(lengths("abc", "abc")).toEqual([["abc", 0]]);
  // As a table says it that is as large as both together.
  for (let seed = 1; seed <= 300; seed++) {
    const roll = dice(seed);
    const made = () => Array.from({ length: roll(12) }, () => "abc"[roll(3)] as string);
    const [a, b] = [made(), made()];
    const table = a.reduce(
      (row, one) => {
        const next = [0];
        for (const [at, other] of b.entries())
          next.push(one === other ? (row[at] ?? 0) + 1 : Math.max(row[at + 1] ?? 0, next[at] ?? 0));
        return next;
      },
      b.map(() => 0).concat(0),
    );
    const runs = common(a, b);
    expect(runs.reduce((sum, [, , n]) => sum + n, 0)).toBe(table.at(-1));
    let [x, y] = [0, 0];
    for (const [i, j, n] of runs) {
      expect(i >= x && j >= y).toBe(true);
      expect(a.slice(i, i + n)).toEqual(b.slice(j, j + n));
      [x, y] = [i + n, j + n];
    }
  }
});
