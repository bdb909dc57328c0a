// What a person does without a network is there after a reload, after the browser was killed, and on the server.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Browser, call, open, reload, Scope, Server, Site, until } from "./harness.mjs";

const NOTE = (n) => ({
  id: `018f7c1e-0000-7000-8000-${String(n).padStart(12, "0")}`,
  owner: "ann",
  title: `note ${n}`,
});

test("a note is written, synced, and there after a reload", async (t) => {
  const scope = new Scope(t);
  const server = await Server.start(scope);
  const site = await Site.start(scope, server);
  const browser = await Browser.start(scope);
  const page = await browser.page(site);
  assert.deepEqual(await open(page), { role: "owner", durability: "best-effort" });
  const written = await call(page, (db, note) => db.insert("notes", note), NOTE(1));
  assert.equal(written.rseq, 1);
  await call(page, async (db) => db.shape("my_notes").ready);
  await until(page, (db) => db.status.current.pending === 0 && db.status.current.connectivity === "online");

  await reload(page);
  const rows = await call(page, (db) => db.query("SELECT title, pinned, created FROM notes"));
  assert.equal(rows.length, 1);
  assert.equal(rows[0].title, "note 1");
  assert.equal(rows[0].pinned, false);
  assert.match(rows[0].created, /^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
});
