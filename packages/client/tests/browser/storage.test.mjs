// The browser's own storage at its limits: a real quota, files of a newer build, a private window, a page that is set
// aside and comes back.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Browser, call, note, open, PrivateWindow, reload, Scope, Server, Site, tryOpen, until } from "./harness.mjs";

const SYNCED = (db) => db.status.current.pending === 0 && db.status.current.connectivity === "online";
const COUNT = (db) => db.query("SELECT count(*) AS n FROM notes").then(([{ n }]) => n);

async function start(t, options) {
  const scope = new Scope(t);
  const server = await Server.start(scope);
  const site = await Site.start(scope, server);
  const browser = await Browser.start(scope, options);
  return { scope, server, site, browser, page: await browser.page(site) };
}

/** One sentence that ends with its code. */
function isSaid(error, code, words) {
  assert.equal(error.code, code, JSON.stringify(error));
  assert.match(error.message, words);
}

test("the browser's quota: writes are refused in words, nothing is lost, and it goes on when there is room", async (t) => {
  const { page, site } = await start(t);
  await open(page);
  await call(page, (db) => db.setOnline(false));
  await call(page, (db, row) => db.insert("notes", row), note(0));
  const session = await page.context().newCDPSession(page);
  const quota = async (more) => {
    const usage = await page.evaluate(() => navigator.storage.estimate().then(({ usage }) => usage));
    await session.send("Storage.overrideQuotaForOrigin", { origin: site.url, quotaSize: usage + more });
  };
  await quota(1 << 20);
  const filled = await call(
    page,
    async (db, row) => {
      for (let at = 1; at < 100; at++) {
        const id = row.id.slice(0, -3) + String(at).padStart(3, "0");
        try {
          await db.insert("notes", { ...row, id, body: crypto.randomUUID().repeat(3_000) });
        } catch ({ code, message }) {
          return { code, message, at };
        }
      }
      return { code: "none", message: "a hundred went in" };
    },
    note(0),
  );
  isSaid(filled, "LF-5005", /free/);
  assert.ok(filled.at > 1, "some fit");
  assert.equal(await call(page, COUNT), filled.at, "what was confirmed is there, and no more");
  await quota(64 << 20);
  await call(page, (db, row) => db.insert("notes", row), note(500));
  await reload(page);
  assert.equal(await call(page, COUNT), filled.at + 1);
  await call(page, (db) => db.setOnline(true));
  await until(page, SYNCED);
});

test("a database of a newer build is left as it is", async (t) => {
  const { page } = await start(t);
  await open(page, { server: null });
  await call(page, (db, row) => db.insert("notes", row), note(1));
  await call(page, (db) => db.close());
  /** Sets the format that the file names; gives the one before. */
  const format = (number) =>
    page.evaluate(async (next) => {
      const [HEADER, USER_VERSION] = [4096, 60];
      const walk = async (folder) => {
        for await (const entry of folder.values()) {
          if (entry.kind === "directory") {
            const found = await walk(entry);
            if (found !== null) return found;
            continue;
          }
          const bytes = await (await entry.getFile()).arrayBuffer();
          const start = new TextDecoder().decode(bytes.slice(HEADER, HEADER + 15));
          if (start !== "SQLite format 3") continue;
          const data = new DataView(new ArrayBuffer(4));
          data.setUint32(0, next);
          const writable = await entry.createWritable({ keepExistingData: true });
          await writable.write({ type: "write", position: HEADER + USER_VERSION, data });
          await writable.close();
          return new DataView(bytes).getUint32(HEADER + USER_VERSION);
        }
        return null;
      };
      return walk(await navigator.storage.getDirectory());
    }, number);
  const ours = await format(999);
  isSaid(await tryOpen(page, { server: null }), "LF-5003", /newer/);
  assert.equal(await format(ours), 999, "nothing was written into it");
  await open(page, { server: null });
  assert.equal(await call(page, COUNT), 1);
});

test("a mirror of a newer build stops an older one before it changes anything", async (t) => {
  const { page } = await start(t);
  await open(page, { server: null });
  await call(page, (db, row) => db.insert("notes", row), note(1));
  await call(page, (db) => db.close());
  await page.evaluate(
    () =>
      new Promise((resolve, reject) => {
        const request = indexedDB.open("landfall:journal", 99);
        request.onsuccess = () => resolve(request.result.close());
        request.onerror = () => reject(request.error);
      }),
  );
  isSaid(await tryOpen(page, { server: null }), "LF-5301", /newer version/);
});

test("a private window works like any other, and says how long its data live", async (t) => {
  const scope = new Scope(t);
  const site = await Site.start(scope, await Server.start(scope));
  const page = await (await PrivateWindow.start(scope)).page(site);
  const { durability } = await open(page);
  assert.ok(["best-effort", "memory"].includes(durability), durability);
  await call(page, (db, row) => db.insert("notes", row), note(1));
  await until(page, SYNCED);
  await reload(page);
  await call(page, (db) => db.shape("my_notes").ready);
  assert.equal(await call(page, COUNT), 1);
});

test("a page that is set aside hands over, and works when it comes back", async (t) => {
  const { page, browser, site } = await start(t, { setsAside: true });
  await open(page);
  const follower = await browser.page(site);
  assert.equal((await open(follower)).role, "follower");
  await call(page, (db, row) => db.insert("notes", row), note(1));
  await page.evaluate(() => {
    globalThis.addEventListener("pageshow", ({ persisted }) => {
      globalThis.cameBack = persisted;
    });
  });
  await page.goto(`${site.url}/tests/page.html`);
  await until(follower, (db) => db.status.current.role === "owner");
  await call(follower, (db, row) => db.insert("notes", row), note(2));
  // It comes back as it was, and is not loaded again: that has no "load" to wait for.
  await page.goBack({ waitUntil: "commit" });
  await page.waitForFunction(() => globalThis.cameBack === true, null, { polling: 50 });
  await until(page, (db) => db.status.current.role === "follower");
  assert.equal(await call(page, COUNT), 2);
  await call(page, (db, row) => db.insert("notes", row), note(3));
  await until(follower, (db) => db.query("SELECT count(*) AS n FROM notes").then(([{ n }]) => n === 3));
});

test("writes that follow each other reach a file together, and every read and flush sees them", async (t) => {
  const { page } = await start(t);
  const found = await page.evaluate(
    () =>
      new Promise((resolve, reject) => {
        const worker = new Worker("/tests/workers/gather.js", { type: "module" });
        worker.onmessage = ({ data }) => resolve(data);
        worker.onerror = (event) => reject(new Error(event.message));
        worker.postMessage("go");
      }),
  );
  assert.deepEqual(found.problems, []);
  assert.ok(found.calls < found.written * 0.6, `${found.written} writes took ${found.calls} calls`);
});
