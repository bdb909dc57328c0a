// Versions that people keep: of a row with its document, with a name and unasked, without a network, restored while others
// write. docs/versions.md.

import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";
import { bundled } from "./bundled.mjs";
import { Browser, call, folder, open, Scope, Server, Site, until } from "./harness.mjs";

const WIKI = `
[app]
name = "wiki"

[tables.pages]
versions = true
[tables.pages.columns]
id     = { type = "uuid", default = "uuid" }
owner  = { type = "text", required = true }
public = { type = "boolean", required = true, default = false }
title  = "text"
body   = { type = "doc" }
[tables.pages.access]
read  = "owner = claim('sub') OR public"
write = "owner = claim('sub')"

[shapes.pages]
table = "pages"
[shapes.bodies]
table = "pages_docs"
[shapes.page_versions]
table = "pages_versions"
where = "id = :page"
params = { page = "uuid" }
`;
const ID = "018f7c1e-0000-7000-8000-000000000001";

async function wiki(t) {
  const scope = new Scope(t);
  const schema = path.join(await folder(scope), "landfall.toml");
  await writeFile(schema, WIKI);
  const site = await Site.start(scope, await Server.start(scope, [], schema));
  await bundled(site, "versions-page");
  return { scope, site };
}

/** A device of somebody, with the page open. */
async function device(scope, site, name, isThere = true) {
  const at = await (await Browser.start(scope)).page(site);
  await at.addScriptTag({ type: "module", url: "/versions-page.js" });
  await at.waitForFunction(() => globalThis.versions !== undefined, null, { polling: 50 });
  await open(at, { name: "wiki", token: `dev:${name}` });
  await call(
    at,
    (db, id) =>
      Promise.all([db.shape("pages"), db.shape("bodies"), db.shape("page_versions", { page: id })].map((s) => s.ready)),
    ID,
  );
  if (!isThere) await call(at, (db, id) => db.insert("pages", { id, owner: "ann", title: "Then", public: true }), ID);
  await until(at, (db) => db.query("SELECT 1 FROM pages").then((rows) => rows.length === 1));
  await call(at, (db, id) => globalThis.versions.begin(db, id), ID);
  return at;
}

const type = (at, place, words) =>
  at.evaluate(
    ([place, words]) => {
      const { text } = globalThis.here;
      text.insert(place < 0 ? text.length + 1 + place : place, words);
      return globalThis.here.bound.save();
    },
    [place, words],
  );
const reads = (at, wanted) => at.waitForFunction((text) => globalThis.here.text.toString() === text, wanted);
const keep = (at, name = null) => call(at, (db, name) => globalThis.versions.keep(db, name), name);
const list = (at) =>
  at.evaluate(() =>
    globalThis.here.list.snapshot.rows.map(({ version_name, version_by }) => [version_name, version_by]),
  );
const lists = (at, wanted) =>
  at.waitForFunction((wanted) => {
    const rows = globalThis.here.list.snapshot.rows.map(({ version_name }) => version_name);
    return JSON.stringify(rows) === JSON.stringify(wanted);
  }, wanted);
const sent = (at) => until(at, (db) => db.status.current.pending === 0);
const titleIs = (at, wanted) =>
  until(at, (db, wanted) => db.query("SELECT title FROM pages").then(([row]) => row.title === wanted), wanted);

test("a version that is kept without a network comes to the person's other device, signed, with its text", async (t) => {
  const { scope, site } = await wiki(t);
  const desk = await device(scope, site, "ann", false);
  await sent(desk);
  const phone = await device(scope, site, "ann");
  await call(desk, (db) => db.setOnline(false));
  await type(desk, 0, "one 🌊 two");
  const first = await keep(desk, "First draft");
  await type(desk, -1, " three");
  await call(desk, (db, id) => db.update("pages", id, { title: "Now" }), ID);
  await keep(desk, "Second draft");
  // The newest first, also of those that nobody has numbered yet.
  await lists(desk, ["Second draft", "First draft"]);
  assert.deepEqual(await list(desk), [
    ["Second draft", null],
    ["First draft", null],
  ]);
  assert.equal(await call(desk, (db, id) => globalThis.versions.textOf(db, id), first), "one 🌊 two");

  await call(desk, (db) => db.setOnline(true));
  await lists(phone, ["Second draft", "First draft"]);
  assert.deepEqual((await list(phone))[1], ["First draft", "ann"]);
  const entry = await phone.evaluate(() => {
    const { version_at, version_id } = globalThis.here.list.snapshot.rows[1];
    return [version_id, new Date(version_at) <= new Date(), version_at !== null];
  });
  assert.deepEqual(entry, [first, true, true]);
  const there = await call(
    phone,
    (db, id) => globalThis.versions.read(db, id).then(({ title, id }) => [title, id]),
    first,
  );
  assert.deepEqual(there, ["Then", ID]);
  assert.equal(await call(phone, (db, id) => globalThis.versions.textOf(db, id), first), "one 🌊 two");

  // It stays as it was kept, and may go.
  const changed = (db, id) => db.update("pages_versions", id, { version_name: "Another" });
  assert.equal((await call(phone, changed, first)).code, "LF-2010");
  await call(phone, (db, id) => db.delete("pages_versions", id), first);
  await lists(desk, ["Second draft"]);
  assert.equal(await call(phone, (db, id) => globalThis.versions.read(db, id), first), undefined);
  await sent(phone);
});

test("a row and its document are made again what they were while somebody else types, and an undo takes the row back", async (t) => {
  const { scope, site } = await wiki(t);
  const desk = await device(scope, site, "ann", false);
  await type(desk, 0, "alpha one\nbravo two\n");
  const version = await keep(desk, "Then");
  await call(desk, (db, id) => db.update("pages", id, { title: "Now" }), ID);
  await type(desk, 0, "NOT ");
  await type(desk, -1, "charlie three\n");
  await sent(desk);
  const phone = await device(scope, site, "ann");
  await reads(phone, "NOT alpha one\nbravo two\ncharlie three\n");

  // Both are without a network: neither has seen what the other does.
  for (const at of [desk, phone]) await call(at, (db) => db.setOnline(false));
  await type(phone, 13, " (theirs)");
  await call(desk, (db, id) => globalThis.versions.row(db, id), version);
  await titleIs(desk, "Then");
  const queued = await call(desk, (db) =>
    db.outbox.current.flatMap(({ rows }) => rows.map(({ table, op, values }) => [table, op, values.title])),
  );
  assert.deepEqual(queued, [["pages", "update", "Then"]]);
  await call(desk, (db) => db.undo());
  await titleIs(desk, "Now");
  await call(desk, (db) => db.redo());
  await titleIs(desk, "Then");
  await call(desk, (db, id) => globalThis.versions.document(db, id), version);
  await reads(desk, "alpha one\nbravo two\n");

  for (const at of [desk, phone]) await call(at, (db) => db.setOnline(true));
  for (const at of [desk, phone]) {
    await reads(at, "alpha one (theirs)\nbravo two\n");
    await titleIs(at, "Then");
  }
  // What is so already is nothing to write.
  for (const at of [desk, phone]) await sent(at);
  await call(desk, (db) => db.setOnline(false));
  await call(desk, (db, id) => globalThis.versions.row(db, id), version);
  assert.equal(await call(desk, (db) => db.status.current.pending), 0);
});

test("who may only read keeps none, and is told why; of what is not here none is kept", async (t) => {
  const { scope, site } = await wiki(t);
  const desk = await device(scope, site, "ann", false);
  await type(desk, 0, "hers");
  const version = await keep(desk, "Hers");
  await sent(desk);
  const reader = await device(scope, site, "ben");
  // They may look at what there is.
  await lists(reader, ["Hers"]);
  assert.equal(await call(reader, (db, id) => globalThis.versions.textOf(db, id), version), "hers");
  await keep(reader, "Mine");
  await until(reader, (db) => db.outbox.current[0]?.state === "failed");
  const [{ error }] = await call(reader, (db) => db.outbox.current);
  assert.equal(error.code, "LF-3001");
  assert.match(error.message, /not allowed/);
  await lists(reader, ["Hers"]);
  await lists(desk, ["Hers"]);

  const none = await reader.evaluate(async () => {
    const { here, versions, db } = globalThis;
    const id = here.id;
    here.id = crypto.randomUUID();
    const said = await versions.keep(db, "None").catch((error) => error.message);
    here.id = id;
    return said;
  });
  assert.match(none, /no row of 'pages'/);
});

test("versions are kept unasked: one within each while, one at the end, and not for ever; named ones stay", async (t) => {
  const { scope, site } = await wiki(t);
  const desk = await device(scope, site, "ann", false);
  await keep(desk, "Begun");
  await call(desk, (db) => globalThis.versions.unasked(db, { everyMs: 20, most: 3 }));
  for (let n = 1; n <= 5; n++) {
    await type(desk, -1, `${n} `);
    const wanted = [...Array(Math.min(n, 3)).fill(null), "Begun"];
    await lists(desk, wanted);
    // The newest of them has all that was typed.
    await until(
      desk,
      async (db, text) => {
        const [{ version_id }] = globalThis.here.list.snapshot.rows;
        return (await globalThis.versions.textOf(db, version_id)) === text;
      },
      Array.from({ length: n }, (_, at) => `${at + 1} `).join(""),
    );
  }
  // Nothing that is kept unasked is anybody's to undo.
  assert.equal(await call(desk, (db) => db.undo().then((done) => done?.rows?.length ?? 0)), 0);
  await desk.evaluate(() => globalThis.keeping.stop());
  await call(desk, (db) => globalThis.versions.unasked(db, { everyMs: 3_600_000, most: 3 }));
  await type(desk, -1, "at last");
  await desk.evaluate(() => globalThis.keeping.stop());
  const last = await desk.evaluate(() => globalThis.here.list.snapshot.rows[0].version_id);
  assert.equal(await call(desk, (db, id) => globalThis.versions.textOf(db, id), last), "1 2 3 4 5 at last");
  await lists(desk, [null, null, null, "Begun"]);
  await sent(desk);
});
