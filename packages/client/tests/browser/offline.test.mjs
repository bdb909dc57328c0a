// What a person does without a network is there after a reload, after the browser was killed, and on the server.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Browser, call, note, open, reload, Scope, Server, Site, until } from "./harness.mjs";

const SYNCED = (db) => db.status.current.pending === 0 && db.status.current.connectivity === "online";
const TITLES = (db) =>
  db.query("SELECT title FROM notes ORDER BY title").then((rows) => rows.map(({ title }) => title));

test("a note is written, synced, and there after a reload", async (t) => {
  const scope = new Scope(t);
  const site = await Site.start(scope, await Server.start(scope));
  const browser = await Browser.start(scope);
  const page = await browser.page(site);
  assert.deepEqual(await open(page), { role: "owner", durability: "best-effort" });
  const written = await call(page, (db, row) => db.insert("notes", row), note(1));
  assert.equal(written.rseq, 1);
  await call(page, (db) => db.shape("my_notes").ready);
  await until(page, SYNCED);
  await reload(page);
  const rows = await call(page, (db) => db.query("SELECT title, pinned, created FROM notes"));
  assert.equal(rows.length, 1);
  assert.equal(rows[0].title, "note 1");
  assert.equal(rows[0].pinned, false);
  assert.match(rows[0].created, /^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
});

test("what is written offline survives a reload and a killed browser, and reaches another device", async (t) => {
  const scope = new Scope(t);
  const server = await Server.start(scope);
  const site = await Site.start(scope, server);
  let browser = await Browser.start(scope);
  let page = await browser.page(site);
  await open(page);
  await call(page, (db, row) => db.insert("notes", row), note(1));
  await call(page, (db) => db.shape("my_notes").ready);
  await until(page, SYNCED);

  site.mode = "down";
  site.cut();
  await until(page, (db) => db.status.current.connectivity !== "online");
  await call(page, (db, row) => db.insert("notes", row), note(2));
  await call(page, (db, { id }) => db.update("notes", id, { title: "note 1, edited" }), note(1));
  assert.equal(await call(page, (db, { id }) => db.rowState("notes", id), note(3)), "synced");
  await until(page, (db) => db.outbox.current.length === 2);
  await reload(page);
  assert.deepEqual(await call(page, TITLES), ["note 1, edited", "note 2"]);

  await call(page, (db, row) => db.insert("notes", row), note(3));
  await browser.kill();
  browser = await Browser.start(scope, { profile: browser.profile });
  page = await browser.page(site);
  await open(page);
  assert.deepEqual(await call(page, TITLES), ["note 1, edited", "note 2", "note 3"]);
  assert.equal(await call(page, (db) => db.status.current.pending), 3);

  site.mode = "up";
  await call(page, (db) => db.setOnline(false));
  await call(page, (db) => db.setOnline(true));
  await until(page, SYNCED);
  const other = await (await Browser.start(scope)).page(site);
  await open(other);
  await call(other, (db) => db.shape("my_notes").ready);
  assert.deepEqual(await call(other, TITLES), ["note 1, edited", "note 2", "note 3"]);
});

test("a server that is killed in mid-push and started again has every write once", async (t) => {
  const scope = new Scope(t);
  const server = await Server.start(scope);
  const site = await Site.start(scope, server);
  const page = await (await Browser.start(scope)).page(site);
  await open(page);
  await call(page, (db) => db.shape("my_notes").ready);
  const writing = call(
    page,
    async (db, row) => {
      for (let n = 0; n < 300; n++) {
        const id = `018f7c1e-0000-7000-8000-${String(n).padStart(12, "0")}`;
        await db.insert("notes", { ...row, id, title: `note ${n}` });
      }
    },
    note(0),
  );
  // The server is at work on them, but nothing that it says arrives.
  site.withholdAnswers();
  await until(page, (db) => db.status.current.pending > 20);
  await server.kill();
  site.cut();
  await writing;
  await server.start();
  await call(page, (db) => db.setOnline(false));
  await call(page, (db) => db.setOnline(true));
  await until(page, SYNCED);
  const other = await (await Browser.start(scope)).page(site);
  await open(other);
  await call(other, (db) => db.shape("my_notes").ready);
  const rows = await call(other, (db) => db.query("SELECT count(*) AS n, count(DISTINCT title) AS titles FROM notes"));
  assert.deepEqual(rows, [{ n: 300, titles: 300 }]);
});
