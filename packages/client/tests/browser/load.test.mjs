// A large first load: the page is answered meanwhile.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Browser, call, note, open, Scope, Server, Site, until } from "./harness.mjs";

const ROWS = 10_000;
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
