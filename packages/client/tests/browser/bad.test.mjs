// What goes wrong is said in one sentence with a stable code, and nothing stored is lost.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";
import { Browser, call, note, open, ROOT, reload, Scope, Server, Site, tryOpen, until } from "./harness.mjs";

const SYNCED = (db) => db.status.current.pending === 0 && db.status.current.connectivity === "online";
const COUNT = (db) => db.query("SELECT count(*) AS n FROM notes").then(([{ n }]) => n);

async function start(t) {
  const scope = new Scope(t);
  const server = await Server.start(scope);
  const site = await Site.start(scope, server);
  const browser = await Browser.start(scope);
  return { scope, server, site, browser, page: await browser.page(site) };
}

/** One sentence that ends with its code. */
function isSaid(error, code, words) {
  assert.equal(error.code, code, JSON.stringify(error));
  assert.match(error.message, words);
}

test("in memory: it says so, every write is kept whole over a restart without a network, and sent once", async (t) => {
  const { page, site, scope, browser } = await start(t);
  const worker = "/tests/workers/memory.js";
  assert.deepEqual(await open(page, { worker }), { role: "owner", durability: "memory" });
  await call(page, (db) => db.shape("my_notes").ready);
  await call(page, (db, row) => db.insert("notes", { ...row, body: "whole", rating: 1.5 }), note(1));
  await until(page, SYNCED);
  site.mode = "down";
  site.cut();
  await until(page, (db) => db.status.current.connectivity !== "online");
  await call(page, (db, { id }) => db.update("notes", id, { title: "edited" }), note(1));
  await call(page, (db, row) => db.insert("notes", row), note(2));

  const follower = await browser.page(site);
  assert.deepEqual(await open(follower, { worker }), { role: "follower", durability: "memory" });
  await call(follower, (db, { id }) => db.update("notes", id, { mood: "glad" }), note(2));
  // What the person wished outlasts the tab, as what they wrote does.
  await call(follower, (db) => db.outbox.pause());
  await page.close();
  await until(follower, (db) => db.status.current.role === "owner");
  await reload(follower, { worker });
  const rows = await call(follower, (db) => db.query("SELECT title, body, rating, mood FROM notes ORDER BY id"));
  assert.deepEqual(rows, [
    { title: "edited", body: "whole", rating: 1.5, mood: null },
    { title: "note 2", body: "", rating: null, mood: "glad" },
  ]);
  // Notes keep their history: no change is taken up by another one.
  const { pending, paused } = await call(follower, (db) => db.status.current);
  assert.deepEqual({ pending, paused }, { pending: 3, paused: true });

  site.mode = "up";
  await call(follower, (db) => db.outbox.resume());
  await call(follower, (db) => db.shape("my_notes").close());
  await call(follower, (db) => db.setOnline(false));
  await call(follower, (db) => db.setOnline(true));
  await until(follower, SYNCED);
  const other = await (await Browser.start(scope)).page(site);
  await open(other);
  await call(other, (db) => db.shape("my_notes").ready);
  const synced = await call(other, (db) => db.query("SELECT title, body, rating, mood FROM notes ORDER BY id"));
  assert.deepEqual(synced, rows);
});

test("storage is denied", async (t) => {
  const { page } = await start(t);
  isSaid(await tryOpen(page, { worker: "/tests/workers/denied.js" }), "LF-5917", /allow storage/);
});

test("the disk is full: the write is refused, what was written is there, and writing goes on when there is room", async (t) => {
  const { page } = await start(t);
  const worker = "/tests/workers/full.js";
  await open(page, { worker });
  await call(page, (db, row) => db.insert("notes", row), note(1));
  const full = (is) =>
    page.evaluate(
      (value) =>
        new Promise((resolve) => {
          const channel = new BroadcastChannel("test:full");
          channel.onmessage = resolve;
          channel.postMessage(value);
        }),
      is,
    );
  await full(true);
  isSaid(await call(page, (db, row) => db.insert("notes", row), note(2)), "LF-5005", /free/);
  assert.equal(await call(page, COUNT), 1);
  await full(false);
  await call(page, (db, row) => db.insert("notes", row), note(3));
  await reload(page);
  assert.equal(await call(page, COUNT), 2);
});

test("the database of another app, and of a newer build, is left as it is", async (t) => {
  const { page } = await start(t);
  await open(page);
  await call(page, (db, row) => db.insert("notes", row), note(1));
  await call(page, (db) => db.close());
  const renamed = await page.evaluate(() => ({
    name: "other",
    compiled: schema.compiled.replace('"name":"journal"', '"name":"other"'),
  }));
  isSaid(await tryOpen(page, { patch: renamed }), "LF-5302", /belongs to the app 'journal'/);
  const older = await page.evaluate(() => {
    const compiled = JSON.parse(schema.compiled);
    for (const table of compiled.tables.filter(({ name }) => name === "notes")) {
      table.columns = table.columns.filter(({ name }) => name !== "mood");
    }
    compiled.shapes = compiled.shapes.filter(({ name }) => name !== "public_notes");
    return { compiled: JSON.stringify(compiled) };
  });
  assert.equal((await tryOpen(page, { patch: older })).code, "LF-5006");
  await open(page);
  assert.equal(await call(page, COUNT), 1);
});

test("a database that is damaged is made anew from mirror and server", async (t) => {
  const { page, site } = await start(t);
  await open(page);
  await call(page, (db) => db.shape("my_notes").ready);
  await call(page, (db, row) => db.insert("notes", row), note(1));
  await until(page, SYNCED);
  site.mode = "down";
  site.cut();
  await until(page, (db) => db.status.current.connectivity !== "online");
  await call(page, (db, row) => db.insert("notes", row), note(2));
  await call(page, (db) => db.close());
  await page.evaluate(async () => {
    const origin = await navigator.storage.getDirectory();
    const pool = await (await origin.getDirectoryHandle("landfall")).getDirectoryHandle("journal");
    const folders = async (folder) => Array.fromAsync(folder.values());
    const walk = async (folder) => {
      for (const entry of await folders(folder)) {
        if (entry.kind === "directory") await walk(entry);
        else {
          const file = await entry.getFile();
          if (file.size <= 4096) continue;
          const writable = await entry.createWritable({ keepExistingData: true });
          await writable.write({
            type: "write",
            position: 4096,
            data: new Uint8Array(Math.min(file.size - 4096, 8192)).fill(0x5a),
          });
          await writable.close();
        }
      }
    };
    await walk(pool);
  });
  site.mode = "up";
  await open(page);
  assert.equal(await call(page, COUNT), 1, "what was never sent comes from the mirror");
  await call(page, (db) => db.shape("my_notes").ready);
  await until(page, SYNCED);
  assert.equal(await call(page, COUNT), 2, "and the rest from the server");
});

test("of a lost database's damaged mirror what can be read is taken over, and the whole of it is kept", async (t) => {
  const { page, site } = await start(t);
  site.mode = "down";
  await open(page);
  for (const n of [1, 2]) await call(page, (db, row) => db.insert("notes", row), note(n));
  await call(page, (db) => db.close());
  await page.evaluate(() => {
    /** The stores of the mirror, in one transaction. */
    globalThis.stores = () =>
      new Promise((resolve, reject) => {
        const request = indexedDB.open("landfall:journal");
        request.onerror = () => reject(request.error);
        request.onsuccess = () => {
          const names = ["mirror", "meta"];
          const transaction = request.result.transaction(names, "readwrite");
          transaction.oncomplete = () => request.result.close();
          resolve(names.map((name) => transaction.objectStore(name)));
        };
      });
    globalThis.done = (request) =>
      new Promise((resolve, reject) => {
        request.onsuccess = () => resolve(request.result);
        request.onerror = () => reject(request.error);
      });
  });
  const damaged = await page.evaluate(async () => {
    const [mirror] = await stores();
    const name = (await done(mirror.getAllKeys())).at(-1);
    const value = await done(mirror.get(name));
    value.frame[20] ^= 1;
    await done(mirror.put(value, name));
    return [...value.frame];
  });
  await page.evaluate(async () => {
    await (await navigator.storage.getDirectory()).removeEntry("landfall", { recursive: true });
  });
  await open(page);
  assert.deepEqual(await call(page, (db) => db.query("SELECT title FROM notes")), [{ title: "note 1" }]);
  const error = await call(page, (db) => db.status.current.recoveryProblem);
  isSaid(error, "LF-5304", /1 place\).*1 transaction in the outbox.*kept as `damaged-\d+` in IndexedDB/);
  await call(page, (db) => db.close());
  const kept = await page.evaluate(async () => {
    const [, meta] = await stores();
    const name = (await done(meta.getAllKeys())).find((one) => one.startsWith("damaged-"));
    return [...(await done(meta.get(name)))];
  });
  assert.ok(kept.join().includes(damaged.join()), "with what could not be read");
});

test("a proxy's page where the server should be", async (t) => {
  const { page, site } = await start(t);
  site.mode = "page";
  await open(page);
  await until(page, (db) => db.status.current.lastError?.code === "LF-5920");
  await call(page, (db, row) => db.insert("notes", row), note(1));
  const { message } = await call(page, (db) => db.status.current.lastError);
  assert.match(message, /a web page.*proxy/);
  site.mode = "up";
  await call(page, (db) => db.setOnline(false));
  await call(page, (db) => db.setOnline(true));
  await until(page, SYNCED);
});

test("a server that has no room is asked again when it said, and not before", async (t) => {
  const { page, site } = await start(t);
  Object.assign(site, { mode: "busy", pauseSeconds: 2 });
  await open(page);
  await call(page, (db, row) => db.insert("notes", row), note(1));
  await until(page, (db) => db.status.current.lastError?.code === "LF-4009");
  isSaid(await call(page, (db) => db.status.current.lastError), "LF-4009", /the server is busy.* 2 s/);
  // All that were asked for until now were refused, and the next one is let in.
  const refused = site.asked.length;
  site.mode = "up";
  await until(page, SYNCED);
  const pauses = site.asked.slice(1, refused + 1).map((at, index) => at - site.asked[index]);
  assert.equal(pauses.length, refused);
  for (const pause of pauses) assert.ok(pause >= 2_000, `it came again after ${pause} ms`);
});

test("no server at all", async (t) => {
  const { page } = await start(t);
  await open(page, { server: "http://127.0.0.1:1" });
  await until(page, (db) => db.status.current.lastError?.code === "LF-5921");
  await call(page, (db) => db.close());
  isSaid(await tryOpen(page, { server: "ftp://x" }), "LF-5902", /is not a server address/);
});

test("a clock ten years ahead neither loses nor wins", async (t) => {
  const { page, site, scope } = await start(t);
  await open(page, { worker: "/tests/workers/clock.js" });
  await call(page, (db) => db.shape("my_notes").ready);
  await call(page, (db, row) => db.insert("notes", row), note(1));
  await until(page, SYNCED);
  const other = await (await Browser.start(scope)).page(site);
  await open(other);
  await call(other, (db) => db.shape("my_notes").ready);
  await call(other, (db, { id }) => db.update("notes", id, { title: "later, by a right clock" }), note(1));
  await until(other, SYNCED);
  await until(page, async (db) => (await db.query("SELECT title FROM notes"))[0].title === "later, by a right clock");
});

test("values of the wrong type are refused on the page, with table and column", async (t) => {
  const { page } = await start(t);
  await open(page);
  const wrong = [
    [{ title: 7 }, "LF-2001", "title"],
    [{ rating: "3" }, "LF-2001", "rating"],
    [{ nonsense: 1 }, "LF-2007", "nonsense"],
    [{ title: "x".repeat(300) }, "LF-2003", "title"],
    [{ rating: 9 }, "LF-2005", "rating"],
  ];
  for (const [patch, code, column] of wrong) {
    const error = await call(page, (db, row) => db.insert("notes", row), { ...note(1), ...patch });
    assert.deepEqual([error.code, error.column], [code, column], error.message);
  }
  assert.equal((await call(page, (db) => db.query("SELECT nonsense"))).code, "LF-5020");
  assert.equal((await call(page, (db) => db.query("DELETE FROM notes"))).code, "LF-5021");
  assert.equal((await call(page, (db) => db.query("SELECT ?", [undefined]))).code, "LF-2001");
  assert.equal(await call(page, COUNT), 0);
});

test("values are given back exactly", async (t) => {
  const { page } = await start(t);
  await open(page);
  const back = await page.evaluate(async (row) => {
    const place = { lat: 53.5, i: "1", nested: [null, true, "ü\u0000"] };
    const created = new Date("2026-11-21T08:30:00.125Z");
    await db.insert("people", { subject: "ann", name: "Ann", avatar: new Uint8Array([0, 1, 255]), born: "1900-01-01" });
    await db.insert("notes", { ...row, place, budget: "12.50", created, pinned: true, rating: 4 });
    await db.insert("posts", { author: "ann", title: "t", likes: 9007199254740993n });
    const [found] = await db.query("SELECT place, budget, created, pinned, rating FROM notes");
    const [{ avatar, born }] = await db.query("SELECT avatar, born FROM people WHERE subject = ?", ["ann"]);
    const [{ likes }] = await db.query("SELECT likes FROM posts WHERE likes = ?", [9007199254740993n]);
    const live = await new Promise((resolve) => {
      db.live("SELECT place, budget, pinned FROM notes WHERE created > ?", [new Date(0)]).subscribe(({ rows }) =>
        resolve(rows[0]),
      );
    });
    const same =
      JSON.stringify(found.place) === JSON.stringify(live.place) &&
      JSON.stringify(place.nested) === JSON.stringify(live.place.nested);
    return {
      ...found,
      place: same,
      avatar: [...avatar],
      born,
      likes: likes === 9007199254740993n,
      live: [live.budget, live.pinned],
    };
  }, note(1));
  assert.deepEqual(back, {
    place: true,
    budget: "12.50",
    created: "2026-11-21T08:30:00.125Z",
    pinned: true,
    rating: 4,
    avatar: [0, 1, 255],
    born: "1900-01-01",
    likes: true,
    live: ["12.50", true],
  });
});

test("a worker or a module that cannot be loaded", async (t) => {
  const { page, site } = await start(t);
  isSaid(await tryOpen(page, { worker: "/tests/workers/none.js" }), "LF-5914", /worker/);
  const module = "/wasm/landfall_client_web_bg.wasm";
  site.instead.set(module, (_, response) => response.writeHead(404).end("<h1>none</h1>"));
  isSaid(await tryOpen(page), "LF-5915", /\.wasm.*404/);
  // A server that does not know the type of the file: it loads all the same.
  const bytes = await readFile(path.join(ROOT, "packages/client", module));
  site.instead.set(module, (_, response) => response.writeHead(200, { "content-type": "text/plain" }).end(bytes));
  await reload(page);
  await open(page);
  assert.equal(await call(page, COUNT), 0);
});
