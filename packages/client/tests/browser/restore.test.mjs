// A row made again what it was in a version, or after a change of its history, whatever it was and is: all that differs, and
// nothing else. docs/versions.md, docs/history.md.

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
history = true
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
[shapes.history]
table = "things_history"
`;
const ID = "018f7c1e-0000-7000-8000-000000000001";

async function device(scope, site) {
  const at = await (await Browser.start(scope)).page(site);
  await at.addScriptTag({ type: "module", url: "/restore-page.js" });
  await at.waitForFunction(() => globalThis.again !== undefined, null, { polling: 50 });
  await open(at, { name: "things" });
  await call(at, (db) => Promise.all(["things", "versions", "history"].map((shape) => db.shape(shape).ready)));
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

const back = (at, change) => call(at, (db, id) => globalThis.back(db, id), change);
const changes = (at, kind) =>
  call(
    at,
    (db, [id, kind]) => {
      const which = kind === "lost" ? "=" : "<>";
      return db.query(`SELECT * FROM things_history WHERE id = ? AND change_kind ${which} 'lost' ORDER BY change_seq`, [
        id,
      ]);
    },
    [ID, kind],
  );

test("a row is made again what it was after any change of its history, and an undo takes that back", async (t) => {
  const { scope, site } = await things(t);
  const at = await device(scope, site);
  await call(at, (db, id) => db.insert("things", { id, title: "first" }), ID);
  const was = [await seen(at)];
  const property = fc.asyncProperty(fc.array(some, { minLength: 1, maxLength: 3 }), fc.nat(), async (steps, nth) => {
    for (const step of steps) {
      await put(at, step);
      const now = await seen(at);
      if (print(now) !== print(was.at(-1))) was.push(now);
    }
    await until(
      at,
      (db, n) => db.query("SELECT count(*) AS n FROM things_history").then(([row]) => row.n === n),
      was.length,
    );
    const [place, now] = [nth % was.length, was.at(-1)];
    const change = (await changes(at))[place].change_id;
    const rseq = await back(at, change);
    assert.ok(rseq === null || typeof rseq === "number", rseq?.message);
    assert.deepEqual(await seen(at), was[place]);
    assert.equal(await back(at, change), null, "nothing differs");
    assert.equal(rseq === null, print(now) === print(was[place]));
    if (rseq === null) return;
    was.push(was[place]);
    await call(at, (db) => db.undo());
    assert.deepEqual(await seen(at), now);
    was.push(now);
  });
  await fc.assert(property, { numRuns: 40 });
});

test("of what two write at once all is in the row or in the history, and what lost comes back by itself", async (t) => {
  const { scope, site } = await things(t);
  const desk = await device(scope, site);
  await call(desk, (db, id) => db.insert("things", { id, title: "first" }), ID);
  const phone = await device(scope, site);
  await until(phone, (db) => db.query("SELECT 1 FROM things").then((rows) => rows.length === 1));
  const property = fc.asyncProperty(some, some, fc.boolean(), async (mine, theirs, isFirst) => {
    const was = await seen(desk);
    await same(phone, was);
    const [known, before] = [(await changes(desk, "lost")).length, (await changes(desk)).length];
    for (const at of [desk, phone]) await call(at, (db) => db.setOnline(false));
    await put(desk, mine);
    await put(phone, theirs);
    const wrote = [await seen(desk), await seen(phone)];
    for (const at of isFirst ? [desk, phone] : [phone, desk]) {
      await call(at, (db) => db.setOnline(true));
      await sent(at);
    }
    const end = await settled(desk, phone);
    const lost = (await changes(desk, "lost")).slice(known);
    assert.deepEqual((await changes(phone, "lost")).slice(known).map(plain), lost.map(plain));
    // What came first was in the row, and is a step of its history; what came later and lost never was.
    const steps = (await changes(desk)).slice(before);
    for (const column of COLUMNS) {
      const told = [...steps, ...lost].filter(({ change_columns }) => change_columns.includes(column));
      const gone = wrote.map((row) => print(row[column])).filter((one) => one !== print(was[column]));
      assert.deepEqual(new Set(told.map((row) => print(row[column]))), new Set(gone), column);
      const lasts = lost.filter(({ change_columns }) => change_columns.includes(column));
      assert.ok(
        lasts.every((row) => print(row[column]) !== print(end[column])),
        column,
      );
    }
    for (const change of lost) {
      const wanted = { ...end, ...Object.fromEntries(change.change_columns.map((name) => [name, change[name]])) };
      assert.equal(typeof (await back(desk, change.change_id)), "number");
      assert.deepEqual(await seen(desk), wanted);
      await call(desk, (db) => db.undo());
    }
    await sent(desk);
  });
  await fc.assert(property, { numRuns: 20 });
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
