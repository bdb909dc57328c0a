// A large first load, and a large outbox: the page is answered meanwhile.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Browser, call, note, open, Scope, Server, Site, until } from "./harness.mjs";

const ROWS = 10_000;
// Each is a durable commit of its own, some ten milliseconds on a slow disk. Ten thousand drain in the same way, in four seconds.
const PENDING = 3_000;
const SYNCED = (db) => db.status.current.pending === 0 && db.status.current.connectivity === "online";

test("reads and writes are answered while ten thousand rows are loaded", async (t) => {
  const scope = new Scope(t);
  const site = await Site.start(scope, await Server.start(scope));
  const writer = await (await Browser.start(scope)).page(site);
  await open(writer);
  await call(
    writer,
    async (db, [row, rows]) => {
      for (let first = 0; first < rows; first += 500) {
        await db.transaction((tx) => {
          for (let n = first; n < first + 500; n++) {
            tx.insert("notes", {
              ...row,
              id: `018f7c1e-0000-7000-8000-${String(n).padStart(12, "0")}`,
              title: `note ${n}`,
            });
          }
        });
      }
    },
    [note(0), ROWS],
  );
  await until(writer, SYNCED);

  const page = await (await Browser.start(scope)).page(site);
  await open(page);
  const seen = await call(
    page,
    async (db, row) => {
      const shape = db.shape("my_notes");
      const counts = new Set();
      const progress = [];
      db.status.subscribe((status) => status.progress && progress.push(status.progress.loaded));
      let loaded = false;
      let written = 0;
      shape.ready.then(() => {
        loaded = true;
      });
      for (let n = 0; !loaded; n++) {
        const [{ count }] = await db.query("SELECT count(*) AS count FROM notes");
        counts.add(count);
        await db.insert("tags", { note_id: row.id, tag: `t${n}`, owner: "ann" });
        written += 1;
      }
      const [{ total }] = await db.query("SELECT count(*) AS total FROM notes");
      // The tags themselves need not be here any more: no open shape holds them once the server has them.
      return { counts: counts.size, total, written, progress: progress.length, last: progress.at(-1) };
    },
    note(0),
  );
  assert.equal(seen.total, ROWS);
  assert.ok(seen.counts > 5, `answers came while rows did: ${seen.counts} different ones`);
  assert.ok(seen.written > 1 && seen.progress > 1, JSON.stringify(seen));
  assert.ok(seen.last <= ROWS * 1.1);
});

test("a long outbox drains beside what the page does, is told meanwhile, and what is written then arrives too", async (t) => {
  const scope = new Scope(t);
  const site = await Site.start(scope, await Server.start(scope));
  const page = await (await Browser.start(scope)).page(site);
  await open(page);
  // What is accepted leaves the outbox when it has come back.
  await call(page, (db) => db.shape("my_notes").ready);
  await call(page, (db) => db.setOnline(false));
  await call(page, (db) => {
    globalThis.lengths = new Set();
    db.outbox.subscribe((entries) => globalThis.lengths.add(entries.length));
  });
  await call(
    page,
    async (db, [row, rows]) => {
      for (let first = 0; first < rows; first += 500) {
        const one = (_, at) => {
          const id = `018f7c1e-0000-7000-8000-${String(first + at).padStart(12, "0")}`;
          return db.insert("notes", { ...row, id, title: `note ${first + at}` });
        };
        await Promise.all(Array.from({ length: 500 }, one));
      }
    },
    [note(0), PENDING],
  );
  await until(page, (db, rows) => db.outbox.current.length === rows, PENDING);
  const meanwhile = await call(
    page,
    async (db, row) => {
      globalThis.lengths.clear();
      await db.setOnline(true);
      const left = () => db.status.current.pending;
      const seen = { online: left(), reads: 0 };
      await db.insert("tags", { note_id: row.id, tag: "meanwhile", owner: "ann" });
      seen.written = left();
      while (left() > 0 && seen.reads < 50) {
        await db.query("SELECT count(*) FROM notes");
        seen.reads += left() > 0 ? 1 : 0;
      }
      return seen;
    },
    note(0),
  );
  // How many are left, and how many reads fit, depends on the machine; none where the page waits for the drain.
  assert.ok(meanwhile.online > 0 && meanwhile.written > 0, JSON.stringify(meanwhile));
  assert.ok(meanwhile.reads > 1, `it is read while it drains: ${JSON.stringify(meanwhile)}`);
  t.diagnostic(JSON.stringify(meanwhile));
  await until(page, (db) => db.status.current.pending === 0 && db.outbox.current.length === 0);
  const told = await page.evaluate(() => globalThis.lengths.size);
  assert.ok(told > 1, `the outbox was told while it drained: ${told} times`);
  const other = await (await Browser.start(scope)).page(site);
  await open(other);
  await call(other, (db) => Promise.all([db.shape("my_notes").ready, db.shape("my_tags").ready]).then(() => null));
  const counts = "SELECT (SELECT count(*) FROM notes) AS notes, (SELECT count(*) FROM tags) AS tags";
  assert.deepEqual(await call(other, (db, sql) => db.query(sql), counts), [{ notes: PENDING, tags: 1 }]);
});
