// Tabs share one database: one owns it, the others work through it, and take over when it goes, losing nothing.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Browser, call, crash, note, open, reload, Scope, Server, Site, tryOpen, until } from "./harness.mjs";

const ROLE = (db, role) => db.status.current.role === role;

async function tabs(t, count) {
  const scope = new Scope(t);
  const site = await Site.start(scope, await Server.start(scope));
  const browser = await Browser.start(scope);
  const pages = [];
  for (let n = 0; n < count; n++) {
    const page = await browser.page(site);
    const { role } = await open(page);
    assert.equal(role, n === 0 ? "owner" : "follower");
    pages.push(page);
  }
  return { scope, site, browser, pages };
}

test("what one tab writes the other sees, and the other way round", async (t) => {
  const { pages } = await tabs(t, 2);
  const [owner, follower] = pages;
  await follower.evaluate(() => {
    globalThis.titles = [];
    db.live("SELECT title FROM notes ORDER BY title").subscribe(({ rows }) => {
      globalThis.titles = rows.map(({ title }) => title);
    });
  });
  await call(owner, (db, row) => db.insert("notes", row), note(1));
  await call(follower, (db, row) => db.insert("notes", row), note(2));
  await follower.waitForFunction(() => globalThis.titles.join() === "note 1,note 2", null, { polling: 50 });
  assert.deepEqual(await call(owner, (db) => db.query("SELECT count(*) AS n FROM notes")), [{ n: 2 }]);
  // A refusal reaches the tab that asked, with its code.
  const refused = await call(follower, (db, row) => db.insert("notes", row), note(2));
  assert.match(refused.code, /^LF-/);
  await call(follower, (db) => db.shape("my_notes").ready);
});

test("a transaction that reads is whole, and others wait for it", async (t) => {
  const { pages } = await tabs(t, 2);
  const [owner, follower] = pages;
  await call(owner, (db, row) => db.insert("notes", { ...row, rating: 0 }), note(1));
  const increment = (db, { id }) =>
    Promise.all(
      Array.from({ length: 20 }, () =>
        db.transaction(async (tx) => {
          const [{ rating }] = await tx.query("SELECT rating FROM notes WHERE id = ?", [id]);
          tx.update("notes", id, { rating: rating + 0.125 });
        }),
      ),
    ).then((all) => all.length);
  await Promise.all([call(owner, increment, note(1)), call(follower, increment, note(1))]);
  assert.deepEqual(await call(owner, (db) => db.query("SELECT rating FROM notes")), [{ rating: 5 }]);
  const thrown = await call(
    follower,
    async (db, { id }) => {
      const gone = db.transaction(async (tx) => {
        tx.update("notes", id, { title: "never" });
        await tx.query("SELECT 1");
        throw Object.assign(new Error("no"), { code: "mine" });
      });
      return gone;
    },
    note(1),
  );
  assert.equal(thrown.code, "mine");
  assert.deepEqual(await call(follower, (db) => db.query("SELECT title FROM notes")), [{ title: "note 1" }]);
});

test("a transaction that idles is undone and says so", async (t) => {
  const { pages } = await tabs(t, 2);
  const [owner, follower] = pages;
  const idle = call(
    follower,
    (db, row) =>
      db.transaction(async (tx) => {
        tx.insert("notes", row);
        await tx.query("SELECT 1");
        // Until another tab's read, which waits for this transaction, has been answered.
        await new Promise((resolve) => {
          globalThis.goOn = resolve;
        });
      }),
    note(1),
  );
  await follower.waitForFunction(() => globalThis.goOn, null, { polling: 50 });
  assert.deepEqual(await call(owner, (db) => db.query("SELECT count(*) AS n FROM notes")), [{ n: 0 }]);
  await follower.evaluate(() => globalThis.goOn());
  assert.equal((await idle).code, "LF-5918");
});

for (const [how, end] of [
  ["closed", (page) => page.close()],
  ["crashed", crash],
]) {
  test(`the owner is ${how} in mid-write: the other tab takes over, and every write happens once`, async (t) => {
    const { pages, browser, site } = await tabs(t, 3);
    const [owner, follower, third] = pages;
    await call(follower, (db, row) => db.insert("notes", { ...row, rating: 0 }), note(0));
    await third.evaluate(() => {
      db.live("SELECT count(*) AS n FROM tags").subscribe(({ rows }) => {
        globalThis.seen = rows[0]?.n;
      });
    });
    const writing = call(
      follower,
      async (db, { id, owner }) => {
        const numbers = new Set();
        globalThis.written = 0;
        for (let n = 0; n < 200; n++) {
          const { rseq } = await db.transaction((tx) => {
            tx.sql("UPDATE notes SET rating = rating + 0.015625 WHERE id = ?", [id]);
            tx.insert("tags", { note_id: id, tag: `t${n}`, owner });
          });
          numbers.add(rseq);
          globalThis.written = n;
        }
        return numbers.size;
      },
      note(0),
    );
    await follower.waitForFunction(() => globalThis.written > 50, null, { polling: 50 });
    await end(owner);
    assert.equal(await writing, 200, "each write is an entry of its own");
    const counts = "SELECT (SELECT rating FROM notes) AS rating, (SELECT count(*) FROM tags) AS tags";
    assert.deepEqual(await call(third, (db, sql) => db.query(sql), counts), [{ rating: 3.125, tags: 200 }]);
    await third.waitForFunction(() => globalThis.seen === 200, null, { polling: 50 });
    const roles = [
      await call(follower, (db) => db.status.current.role),
      await call(third, (db) => db.status.current.role),
    ];
    assert.deepEqual(roles.sort(), ["follower", "owner"]);
    const fourth = await browser.page(site);
    assert.equal((await open(fourth)).role, "follower");
    assert.deepEqual(await call(fourth, (db, sql) => db.query(sql), counts), [{ rating: 3.125, tags: 200 }]);
  });
}

test("the owner crashes while much is taken back: the next one is asked again, and nothing is taken back twice", async (t) => {
  const { pages } = await tabs(t, 3);
  const [owner, follower, third] = pages;
  await call(follower, (db) => db.setOnline(false));
  const rseqs = await call(
    follower,
    async (db, row) => {
      const all = [];
      for (let n = 0; n < 120; n++) {
        const id = `018f7c1e-0000-7000-8000-${String(n).padStart(12, "0")}`;
        all.push((await db.insert("notes", { ...row, id })).rseq);
      }
      globalThis.taken = 0;
      return all;
    },
    note(0),
  );
  // The older half is withdrawn by number, the younger one undone, whichever is the newest.
  const taking = call(
    follower,
    async (db, rseqs) => {
      const withdrawn = [];
      const undone = [];
      const older = async () => {
        for (const rseq of rseqs.slice(0, 60)) {
          withdrawn.push(await db.outbox.withdraw(rseq));
          globalThis.taken += 1;
        }
      };
      const younger = async () => {
        for (let n = 0; n < 60; n++) {
          undone.push((await db.undo()).of);
          globalThis.taken += 1;
        }
      };
      await Promise.all([older(), younger()]);
      return { withdrawn, undone };
    },
    rseqs,
  );
  await follower.waitForFunction(() => globalThis.taken > 40, null, { polling: 50 });
  await crash(owner);
  const { withdrawn, undone } = await taking;
  assert.deepEqual(
    withdrawn.map(({ entry, ...told }) => ({ ...told, rseq: entry.rseq })),
    rseqs.slice(0, 60).map((rseq) => ({ withdrawn: true, withIt: [], rseq })),
  );
  assert.deepEqual(undone, rseqs.slice(60).reverse());
  assert.deepEqual(await call(third, (db) => db.query("SELECT count(*) AS n FROM notes")), [{ n: 0 }]);
  assert.equal(await call(third, (db) => db.undo()), null);
});

test("the wish to stay offline is of all tabs, and outlives the last of them", async (t) => {
  const { pages, browser, site } = await tabs(t, 2);
  const [owner, follower] = pages;
  const offlineAs = (db, role) => db.status.current.role === role && db.status.current.connectivity === "offline";
  await until(follower, (db) => db.status.current.connectivity === "online");
  await call(follower, (db) => db.setOnline(false));
  await until(owner, offlineAs, "owner");
  await until(follower, offlineAs, "follower");
  const third = await browser.page(site);
  await open(third);
  await owner.close();
  await follower.close();
  await until(third, offlineAs, "owner");
  await call(third, (db, row) => db.insert("notes", row), note(1));
  await reload(third);
  // One that is to be online is connecting as soon as it is open.
  assert.deepEqual(await call(third, ({ status: { current } }) => [current.connectivity, current.pending]), [
    "offline",
    1,
  ]);
  await call(third, (db) => db.setOnline(true));
  await until(third, (db) => db.status.current.pending === 0);
  await reload(third);
  await until(third, (db) => db.status.current.connectivity === "online");
});

test("two databases in one page know nothing of each other", async (t) => {
  const { pages } = await tabs(t, 1);
  const [page] = pages;
  const found = await page.evaluate(async (row) => {
    const other = await openDatabase({ schema, name: "other" });
    await other.insert("notes", row);
    const count = (database) => database.query("SELECT count(*) AS n FROM notes").then(([{ n }]) => n);
    const counts = [await count(db), await count(other)];
    await other.close();
    return [...counts, await count(db), await other.query("SELECT 1").catch(({ code }) => code)];
  }, note(1));
  assert.deepEqual(found, [0, 1, 0, "LF-5901"]);
});

test("a panic is an error of every call that waits, in every tab; what was written is kept", async (t) => {
  const scope = new Scope(t);
  const site = await Site.start(scope, await Server.start(scope));
  const browser = await Browser.start(scope);
  const [owner, follower] = [await browser.page(site), await browser.page(site)];
  const worker = "/tests/workers/panicking.js";
  await open(owner, { worker });
  assert.equal((await open(follower, { worker })).role, "follower");
  await call(owner, (db, row) => db.insert("notes", row), note(1));
  await owner.evaluate(() => {
    globalThis.answers = [];
    db.live("SELECT title FROM notes ORDER BY title").subscribe(({ rows }) => globalThis.answers.push(rows.length));
  });
  const stuck = call(follower, (db) => db.query("SELECT 'panic please'"));
  assert.equal((await stuck).code, "LF-5910");
  await until(owner, (db) =>
    db.query("SELECT 1").then(
      () => true,
      () => false,
    ),
  );
  await call(follower, (db, row) => db.insert("notes", row), note(2));
  assert.deepEqual(await call(owner, (db) => db.query("SELECT title FROM notes ORDER BY title")), [
    { title: "note 1" },
    { title: "note 2" },
  ]);
  await owner.waitForFunction(() => globalThis.answers.at(-1) === 2, null, { polling: 50 });
  assert.equal((await call(owner, (db) => db.query("SELECT 'panic please'"))).code, "LF-5910");
  assert.deepEqual(await call(follower, (db) => db.query("SELECT count(*) AS n FROM notes")), [{ n: 2 }]);
});

test("a tab of a newer version takes the database from an older one, which works on through it", async (t) => {
  const { pages, browser, site } = await tabs(t, 1);
  const [older] = pages;
  await call(older, (db, row) => db.insert("notes", row), note(1));
  const newer = await browser.page(site);
  const patch = await newer.evaluate(() => ({
    version: schema.version + 1,
    compiled: schema.compiled.replace(`"version":${schema.version}`, `"version":${schema.version + 1}`),
  }));
  assert.equal((await tryOpen(newer, { patch })).role, "owner");
  await until(older, ROLE, "follower");
  assert.deepEqual(await call(older, (db) => db.query("SELECT title FROM notes")), [{ title: "note 1" }]);
});
