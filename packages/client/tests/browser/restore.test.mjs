// A row made again what it was in a version, whatever it was and is: all that differs, and nothing else. docs/versions.md.

import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { bundled } from "./bundled.mjs";
import { Browser, call, folder, open, Scope, Server, Site, until } from "./harness.mjs";

const THINGS = `
[app]
name = "things"
[outbox]
collapse = "0ms"    # each write is undone by itself

[tables.things]
versions = true
[tables.things.columns]
id     = { type = "uuid", default = "uuid" }
title  = { type = "text", required = true }
number = "integer"
weight = "float"
done   = "boolean"
due    = "timestamp"
more   = "json"
raw    = "bytes"

[shapes.things]
table = "things"
[shapes.versions]
table = "things_versions"
`;
const ID = "018f7c1e-0000-7000-8000-000000000001";

async function device(scope, site) {
  const at = await (await Browser.start(scope)).page(site);
  await at.addScriptTag({ type: "module", url: "/restore-page.js" });
  await at.waitForFunction(() => globalThis.again !== undefined, null, { polling: 50 });
  await open(at, { name: "things" });
  await call(at, (db) => Promise.all(["things", "versions"].map((shape) => db.shape(shape).ready)));
  return at;
}

async function things(t) {
  const scope = new Scope(t);
  const schema = path.join(await folder(scope), "landfall.toml");
  await writeFile(schema, THINGS);
  const site = await Site.start(scope, await Server.start(scope, [], schema));
  await bundled(site, "restore-page");
  return { scope, site };
}

const orNull = (some) => fc.option(some, { nil: null, freq: 4 });
const CELLS = {
  title: fc.string({ unit: "binary", maxLength: 8 }),
  // Those that are no number of JavaScript, too.
  number: orNull(fc.oneof(fc.integer(), fc.bigInt({ min: 2n ** 53n, max: 2n ** 63n - 1n }))),
  weight: orNull(fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => value + 0)),
  done: orNull(fc.boolean()),
  due: orNull(fc.date({ min: new Date(0), max: new Date("2100-01-01"), noInvalidDate: true })),
  more: orNull(fc.dictionary(fc.string({ unit: "grapheme" }), fc.oneof(fc.integer(), fc.string({ unit: "grapheme" })))),
  raw: orNull(fc.uint8Array({ maxLength: 6 })),
};
const COLUMNS = Object.keys(CELLS);
const row = fc.record(CELLS);
const some = fc.record(CELLS, { requiredKeys: [] });

const put = (at, cells) =>
  call(at, (db, [id, cells]) => db.update("things", id, cells).then(({ rseq }) => rseq), [ID, cells]);
const seen = (at) => call(at, (db, id) => db.query("SELECT * FROM things WHERE id = ?", [id]).then(([row]) => row), ID);
const keep = (at) => call(at, (db, id) => globalThis.keep(db, id), ID);
const again = (at, version) => call(at, (db, version) => globalThis.again(db, version), version);
const sent = (at) => until(at, (db) => db.status.current.pending === 0);

test("a row is made again what it was, by one write of what differs, which an undo takes back", async (t) => {
  const { scope, site } = await things(t);
  const at = await device(scope, site);
  await call(at, (db) => db.setOnline(false));
  await call(at, (db, id) => db.insert("things", { id, title: "first" }), ID);
  const property = fc.asyncProperty(row, some, async (then, change) => {
    await put(at, then);
    const was = await seen(at);
    const version = await keep(at);
    await put(at, change);
    const now = await seen(at);
    const rseq = await again(at, version);
    assert.ok(rseq === null || typeof rseq === "number", rseq?.message);
    assert.deepEqual(await seen(at), was);
    assert.equal(await again(at, version), null, "nothing differs");
    const differs = JSON.stringify(plain(now)) !== JSON.stringify(plain(was));
    assert.equal(rseq === null, !differs);
    if (differs) {
      await call(at, (db) => db.undo());
      assert.deepEqual(await seen(at), now);
      await again(at, version);
    }
  });
  await fc.assert(property, { numRuns: 60 });
});

test("of what somebody else changed meanwhile all stays that the restore does not write, on every device", async (t) => {
  const { scope, site } = await things(t);
  const desk = await device(scope, site);
  await call(desk, (db, id) => db.insert("things", { id, title: "first" }), ID);
  const phone = await device(scope, site);
  await until(phone, (db) => db.query("SELECT 1 FROM things").then((rows) => rows.length === 1));
  const property = fc.asyncProperty(row, some, some, async (then, change, theirs) => {
    await put(desk, then);
    const was = await seen(desk);
    const version = await keep(desk);
    await put(desk, change);
    await sent(desk);
    const now = await seen(desk);
    await same(phone, now);
    for (const at of [desk, phone]) await call(at, (db) => db.setOnline(false));
    await put(phone, theirs);
    const meant = await seen(phone);
    const rseq = await again(desk, version);
    assert.ok(rseq === null || typeof rseq === "number", rseq?.message);
    for (const at of [phone, desk]) {
      await call(at, (db) => db.setOnline(true));
      await sent(at);
    }
    const end = await settled(desk, phone);
    for (const column of COLUMNS) {
      const [before, after] = [print(now[column]), print(was[column])];
      const wanted = before === after ? [meant[column]] : [was[column], meant[column]];
      assert.ok(wanted.map(print).includes(print(end[column])), column);
    }
  });
  await fc.assert(property, { numRuns: 15 });
});

const plain = (row) => row && Object.entries(row).map(([name, value]) => [name, print(value)]);
const print = (value) => JSON.stringify(value, (_, one) => (typeof one === "bigint" ? `${one}n` : one));

/** Waits until a device shows a row. */
async function same(at, row) {
  await until(
    at,
    async (db, [id, wanted]) => {
      const [now] = await db.query("SELECT * FROM things WHERE id = ?", [id]);
      const text = (value) => JSON.stringify(value, (_, one) => (typeof one === "bigint" ? `${one}n` : one));
      return Object.keys(wanted).every((name) => text(now[name]) === text(wanted[name]));
    },
    [ID, row],
  );
}

/** What both show, once both have heard all: a write of each that comes behind everything is there on the other. */
async function settled(one, other) {
  for (const [from, to] of [
    [one, other],
    [other, one],
  ]) {
    const mark = crypto.randomUUID();
    await call(from, (db, id) => db.insert("things", { id, title: "mark" }), mark);
    await until(
      to,
      (db, id) => db.query("SELECT 1 FROM things WHERE id = ?", [id]).then((rows) => rows.length === 1),
      mark,
    );
  }
  const [a, b] = [await seen(one), await seen(other)];
  assert.deepEqual(a, b);
  return a;
}
