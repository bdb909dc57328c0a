// Changing one's mind: what was never sent is edited and withdrawn, anything is undone and done again, and the outbox goes
// into a file and comes back out of it; in the tab that owns the database and in one that works through it.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Browser, call, note, open, reload, Scope, Server, Site, until } from "./harness.mjs";

const TITLES = (db) =>
  db.query("SELECT title FROM notes ORDER BY title").then((rows) => rows.map(({ title }) => title));
const entries = (page, n) => until(page, (db, count) => db.outbox.current.length === count, n);

async function offline(t) {
  const scope = new Scope(t);
  const site = await Site.start(scope, await Server.start(scope));
  const browser = await Browser.start(scope);
  const page = await browser.page(site);
  await open(page);
  await call(page, (db) => db.setOnline(false));
  await call(page, (db) => void db.outbox.subscribe(() => undefined));
  return { scope, site, browser, page };
}

test("an entry that was never sent is edited in place, and withdrawn", async (t) => {
  const { page } = await offline(t);
  const { rseq } = await call(page, (db, row) => db.insert("notes", row), note(1));
  const edited = await call(
    page,
    (db, { id, rseq }) =>
      db.transaction((tx) => {
        tx.edit(rseq);
        tx.update("notes", id, { title: "note 1, edited" });
      }),
    { id: note(1).id, rseq },
  );
  assert.deepEqual(edited.gone, [rseq]);
  // There is one before and after: until it is the new one.
  await until(page, (db, n) => db.outbox.current.length === 1 && db.outbox.current[0].rseq === n, edited.rseq);
  const [entry] = await call(page, (db) => db.outbox.current.map(({ createdAt, ...entry }) => entry));
  assert.equal(entry.rseq, edited.rseq);
  assert.equal(entry.open, true);
  assert.equal(entry.rows[0].op, "insert");
  assert.equal(entry.rows[0].values.title, "note 1, edited");

  // What asks for nothing of its own would be taken up, within a second.
  const later = await call(
    page,
    (db, { id, rseq }) =>
      db.transaction((tx) => {
        tx.follow(rseq);
        tx.update("notes", id, { pinned: true });
      }),
    { id: note(1).id, rseq: edited.rseq },
  );
  await entries(page, 2);
  assert.deepEqual(await call(page, (db) => db.outbox.current[1].waitsFor), [edited.rseq]);
  // The note goes, and the change of it cannot be without it.
  const { entry: was, ...withdrawn } = await call(page, (db, n) => db.outbox.withdraw(n), edited.rseq);
  assert.deepEqual(withdrawn, { withdrawn: true, withIt: [later.rseq] });
  assert.equal(was.rows[0].values.title, "note 1, edited");
  // What it was before the edit is in a copy of the outbox.
  const copies = await call(page, (db) => db.outbox.backups().then((all) => all.map(({ why }) => why)));
  assert.ok(copies.includes("before an entry was edited"), copies.join());
  assert.deepEqual(await call(page, TITLES), []);
  await until(page, (db) => db.outbox.current.length === 1 && db.outbox.current[0].state === "failed");
  const [failed] = await call(page, (db) => db.outbox.current);
  assert.match(failed.error.message, /withdrawn/);
});

test("a transaction may require another one, and shares its fate", async (t) => {
  const { page } = await offline(t);
  const { rseq } = await call(page, (db, row) => db.insert("notes", row), note(1));
  const requiring = await call(
    page,
    (db, { row, rseq }) =>
      db.transaction((tx) => {
        tx.require(rseq);
        tx.insert("notes", row);
      }),
    { row: note(2), rseq },
  );
  await entries(page, 2);
  assert.deepEqual(await call(page, (db) => db.outbox.current[1].waitsFor), [rseq]);
  assert.deepEqual((await call(page, (db, n) => db.outbox.withdraw(n), rseq)).withIt, [requiring.rseq]);
  assert.deepEqual(await call(page, TITLES), []);
  await until(page, (db) => db.outbox.current.length === 1 && db.outbox.current[0].state === "failed");
  assert.equal(await call(page, (db) => db.outbox.current[0].becauseOf), rseq);
  // What is gone cannot be required.
  const code = await call(page, (db, n) => db.transaction((tx) => tx.require(n)).catch((error) => error.code), rseq);
  assert.equal(code, "LF-5025");
});

test("what was done is undone and done again, over a reload and in another tab", async (t) => {
  const { site, browser, page } = await offline(t);
  await call(page, (db, row) => db.insert("notes", row), note(1));
  await call(page, (db, row) => db.insert("notes", row), note(2));
  await until(page, (db) => db.status.current.canUndo && !db.status.current.canRedo);
  const undone = await call(page, (db) => db.undo());
  assert.deepEqual(undone.left, []);
  assert.deepEqual(await call(page, TITLES), ["note 1"]);
  await reload(page);
  const other = await browser.page(site);
  assert.equal((await open(other)).role, "follower");
  await until(other, (db) => db.status.current.canRedo);
  await call(other, (db) => db.redo());
  assert.deepEqual(await call(other, TITLES), ["note 1", "note 2"]);
  assert.equal(await call(other, (db) => db.redo()), null);
  await call(other, (db) => db.undo());
  await call(other, (db) => db.undo());
  assert.deepEqual(await call(page, TITLES), []);
  assert.equal(await call(page, (db) => db.undo()), null);
});

test("the outbox goes into a file, and another browser takes it in", async (t) => {
  const { scope, site, page } = await offline(t);
  await call(page, (db, row) => db.insert("notes", row), note(1));
  const file = await call(page, (db) => db.outbox.export());
  const other = await (await Browser.start(scope)).page(site);
  await open(other);
  await call(other, (db) => void db.outbox.subscribe(() => undefined));
  const imported = await call(other, (db, text) => db.outbox.import(text), file);
  assert.equal(imported.added.length, 1);
  assert.deepEqual(await call(other, (db, text) => db.outbox.import(text), file), { added: [], known: 1, refused: [] });
  const problem = await call(other, (db) => db.outbox.import("{}").catch((error) => error.code));
  assert.equal(problem, "LF-5036");
  const [rseq] = imported.added;
  await call(other, (db, n) => db.outbox.discard(n), rseq);
  const [backup] = await call(other, (db) => db.outbox.backups());
  const [again] = (await call(other, (db, text) => db.outbox.import(text), backup.file)).added;
  await call(
    other,
    (db, { rseq, id }) =>
      db.transaction((tx) => {
        tx.retry(rseq);
        tx.update("notes", id, { title: "from a file" });
      }),
    { rseq: again, id: note(1).id },
  );
  assert.deepEqual(await call(other, TITLES), ["from a file"]);
});

test("what came too late has failed, and is told so", async (t) => {
  const { page } = await offline(t);
  await call(
    page,
    (db, row) =>
      db.transaction((tx) => {
        tx.expireAt(new Date(Date.now() + 300));
        tx.insert("notes", row);
      }),
    note(1),
  );
  await until(page, (db) => db.outbox.current[0]?.error?.code === "LF-3012");
  assert.deepEqual(await call(page, TITLES), []);
  assert.equal(await call(page, (db) => db.status.current.failed), 1);
});

/** Somebody else took the handle meanwhile: ann's transaction is refused. */
async function refusedHandle(t) {
  const { scope, site, page } = await offline(t);
  const { rseq } = await call(page, (db) => db.insert("people", { subject: "ann", name: "Ann", handle: "zoe" }));
  const other = await (await Browser.start(scope)).page(site);
  await open(other, { token: "dev:zoe" });
  await call(other, (db) => db.insert("people", { subject: "zoe", name: "Zoe", handle: "zoe" }));
  await until(other, (db) => db.status.current.connectivity === "online" && db.status.current.pending === 0);
  await call(page, (db) => db.setOnline(true));
  await until(page, (db) => db.outbox.current[0]?.state === "failed");
  return { page, other, rseq };
}

test("a refusal names the row and the field", async (t) => {
  const { page } = await refusedHandle(t);
  const { message, ...error } = await call(page, (db) => db.outbox.current[0].error);
  assert.deepEqual(error, { code: "LF-3004", table: "people", key: "ann", column: "handle" });
  assert.match(message, /another row has this value/);
});

test("what was refused makes way for something else, which arrives", async (t) => {
  const { page, other, rseq } = await refusedHandle(t);
  // Both or neither: what takes its place is not valid, and what was refused is still there.
  const wrong = await call(
    page,
    (db, n) =>
      db.transaction((tx) => {
        tx.supersede(n);
        tx.insert("people", { subject: "ann", name: "Ann", handle: "Not a handle!" });
      }),
    rseq,
  );
  assert.equal(wrong.code, "LF-2004");
  assert.deepEqual(await call(page, (db) => db.outbox.current.map((entry) => entry.rseq)), [rseq]);

  const written = await call(
    page,
    (db, n) =>
      db.transaction((tx) => {
        tx.supersede(n);
        tx.insert("people", { subject: "ann", name: "Ann", handle: "ann" });
      }),
    rseq,
  );
  assert.deepEqual(written.gone, [rseq]);
  // An entry stays until the device holds what came of it.
  for (const device of [page, other]) await call(device, (db) => db.shape("people").ready);
  await entries(page, 0);
  await until(other, async (db) => (await db.query("SELECT 1 FROM people WHERE subject = 'ann'")).length === 1);
  const people = () => call(other, (db) => db.query("SELECT subject, handle FROM people ORDER BY subject"));
  assert.deepEqual(await people(), [
    { subject: "ann", handle: "ann" },
    { subject: "zoe", handle: "zoe" },
  ]);
  const again = await call(page, (db, n) => db.transaction((tx) => tx.supersede(n)), rseq);
  assert.equal(again.code, "LF-5025");
});

test("what a call cannot mean is refused on the page, and nothing happens", async (t) => {
  const { page } = await offline(t);
  await call(page, (db, row) => db.insert("notes", row), note(1));
  for (const wrong of [
    (db) => db.undo(Number.NaN),
    (db) => db.outbox.withdraw(1.5),
    (db) => db.outbox.retry("1"),
    (db) => db.transaction((tx) => tx.setPriority(101)),
  ]) {
    assert.equal((await call(page, wrong)).code, "LF-2001");
  }
  assert.deepEqual(await call(page, TITLES), ["note 1"]);
});
