// The history of rows, by the package's own functions: every step is there, whoever made it; the rows of a moment; a row
// made again what it was.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Browser, call, note, open, Scope, Server, Site, until } from "./harness.mjs";

const kinds = (page) =>
  page.evaluate(() =>
    globalThis.changes.snapshot.rows.map(({ change_kind, title, change_by }) => [change_kind, title, change_by]),
  );
const sees = (page, n) => page.waitForFunction((count) => globalThis.changes.snapshot.rows.length === count, n);
const titlesAt = (page, at) =>
  page.evaluate(async (moment) => {
    const rows = await globalThis.past.asOf(globalThis.db, globalThis.schema, "notes", new Date(moment));
    return rows.map(({ title, pinned, created }) => [title, pinned, typeof created]).sort();
  }, at);

test("every step is kept, the rows of a moment are told, and a row comes back", async (t) => {
  const scope = new Scope(t);
  const site = await Site.start(scope, await Server.start(scope));
  const page = await (await Browser.start(scope)).page(site);
  await open(page);
  const { id } = note(1);
  await page.evaluate(async (id) => {
    const { db, schema } = globalThis;
    globalThis.past = await import("/dist/history.js");
    db.shape("my_notes");
    await db.shape("note_history", { note: id }).ready;
    globalThis.changes = globalThis.past.changesOf(db, schema, "notes", id);
    globalThis.changes.subscribe(() => undefined);
  }, id);
  await call(page, (db, row) => db.insert("notes", row), note(1));
  // Three within a second, each superseding the one before: none is joined with another where a history is kept.
  for (const title of ["a", "b", "c"])
    await call(page, (db, { id, title }) => db.update("notes", id, { title }), { id, title });
  await sees(page, 4);
  await call(page, (db, id) => db.delete("notes", id), id);
  await sees(page, 5);
  assert.deepEqual(await kinds(page), [
    ["delete", "c", "ann"],
    ["update", "c", "ann"],
    ["update", "b", "ann"],
    ["update", "a", "ann"],
    ["insert", "note 1", "ann"],
  ]);
  const [mine, device, at] = await page.evaluate(async () => [
    await globalThis.past.thisDevice(globalThis.db),
    globalThis.changes.snapshot.rows[0].change_device,
    globalThis.changes.snapshot.rows.map(({ change_at }) => change_at),
  ]);
  assert.equal(mine, device);
  assert.deepEqual(await titlesAt(page, 0), []);
  assert.deepEqual(await titlesAt(page, at[0]), []);
  if (at[1] < at[0]) assert.deepEqual(await titlesAt(page, at[1]), [["c", false, "string"]]);

  // Back to what it was after the second step; and on to what it was at first, as an update.
  const back = (n) =>
    page.evaluate(async (n) => {
      const { db, schema, past, changes } = globalThis;
      const change = changes.snapshot.rows.at(n);
      await db.transaction((tx) => past.restore(tx, schema, "notes", change));
    }, n);
  await back(-2);
  await sees(page, 6);
  await back(-1);
  await sees(page, 7);
  assert.deepEqual((await kinds(page)).slice(0, 2), [
    ["update", "note 1", "ann"],
    ["insert", "a", "ann"],
  ]);
  assert.deepEqual(await call(page, (db) => db.query("SELECT title FROM notes")), [{ title: "note 1" }]);
  // Nobody writes a history.
  const code = await call(page, (db) =>
    db.transaction((tx) => tx.sql("DELETE FROM notes_history")).catch((e) => e.code),
  );
  assert.equal(code, "LF-2010");
  await until(page, (db) => db.status.current.pending === 0);
});
