// What is typed without a network is few entries of the outbox, and all of it arrives once. docs/documents.md.

import assert from "node:assert/strict";
import { test } from "node:test";
import { bundled } from "./bundled.mjs";
import { Browser, call, open, Site, until } from "./harness.mjs";
import { content, ID, page, person, reads, shows, wiki, writer } from "./wiki.mjs";

const KIB = 1024;

async function desk(t, { online = false, ...rest } = {}) {
  const { scope, server } = await wiki(t);
  await server.sql(page());
  const site = await Site.start(scope, server);
  await bundled(site, "docs-page");
  const browser = await Browser.start(scope, rest);
  const at = await writer(scope, site, "ann", { browser });
  await call(at, (db, id) => globalThis.write(db, id, "Ann"), ID);
  await call(at, (db, isOn) => db.setOnline(isOn), online);
  return { scope, server, site, browser, at };
}

/** Opens the page again: another document on the same database. */
async function again(at, options) {
  await at.waitForFunction(() => globalThis.ready === true, null, { polling: 50 });
  await at.addScriptTag({ type: "module", url: "/docs-page.js" });
  await at.waitForFunction(() => globalThis.write !== undefined, null, { polling: 50 });
  await open(at, { name: "wiki", token: "dev:ann", ...options });
  await call(at, (db, id) => globalThis.write(db, id, "Ann"), ID);
}

const words = (count, from = 0) => Array.from({ length: count }, (_, n) => `${from + n} `);
const types = (at, some) => call(at, (_, list) => globalThis.typed(list), some);

/** The entries of the outbox: what each has in bytes, and in rows. */
async function entries(at) {
  await until(at, (db) => db.outbox.current.length === db.status.current.pending);
  return call(at, (db) =>
    db.outbox.current.map(({ state, rows }) => ({
      state,
      rows: rows.length,
      bytes: rows.reduce((sum, { values }) => sum + values.doc_update.length, 0),
    })),
  );
}

test("what is typed without a network is one entry, however long it takes, and arrives once", async (t) => {
  const { scope, server, browser, at, site } = await desk(t);
  await types(at, words(300));
  assert.deepEqual(
    (await entries(at)).map(({ rows }) => rows),
    [1],
  );
  // Somebody who looks at the same document in another tab sees each of it, also what was only deleted.
  const tab = await writer(scope, site, "ann", { browser, isOn: false });
  await call(tab, (db, id) => globalThis.write(db, id, "Ann"), ID);
  await shows(tab, words(300).join(""));
  await call(at, () => globalThis.erased(4));
  await shows(tab, words(299).join(""));
  await types(tab, ["<tab>"]);
  await shows(at, `${words(299).join("")}<tab>`);
  await types(at, words(50, 1_000));
  await types(tab, ["</tab>"]);
  const both = await content(tab);
  await shows(at, both);
  assert.equal((await entries(at)).length, 2, "one of each tab");
  await tab.close();

  // After a restart it goes on in an entry of its own; all of it is there.
  await at.reload();
  await again(at, { online: false });
  assert.equal(await content(at), both);
  await types(at, words(50, 2_000));
  assert.equal((await entries(at)).length, 3);
  // What was deleted letter by letter are rows of one entry.
  await call(at, () => globalThis.erased(40));
  const whole = await content(at);
  assert.equal((await entries(at)).length, 3);

  const other = person(scope, server.port, "ann");
  await call(at, (db) => db.setOnline(true));
  await reads(other, (text) => text === whole);
  await until(at, (db) => db.status.current.pending === 0);
  const late = person(scope, server.port, "ann");
  await reads(late, (text) => text === whole);
  await shows(at, whole);
});

test("an entry does not grow without end", async (t) => {
  const { scope, server, at } = await desk(t);
  const page = `${"long ".repeat(1_000)}\n`;
  await types(at, Array(40).fill(page));
  const list = await entries(at);
  assert.ok(list.length >= 3 && list.length <= 5, `${list.length} entries`);
  for (const { bytes } of list) assert.ok(bytes <= 64 * KIB, `${bytes} bytes`);
  const other = person(scope, server.port, "ann");
  await call(at, (db) => db.setOnline(true));
  await reads(other, (text) => text === page.repeat(40));
});

test("what was handed to the network is not written in any more, and what is typed then goes by itself", async (t) => {
  const { scope, server, site, at } = await desk(t, { online: true });
  // It is sent, and nothing is heard of it.
  site.withholdAnswers();
  await types(at, ["one "]);
  await until(at, (db) => db.outbox.current[0]?.state === "sending");
  await types(at, ["two ", "three "]);
  await until(at, (db) => db.outbox.current.length > 1);
  site.cut();
  const other = person(scope, server.port, "ann");
  await reads(other, (text) => text === "one two three ");

  // It comes and goes while somebody is typing.
  const list = words(200);
  for (let from = 0; from < list.length; from += 10) {
    const typing = types(at, list.slice(from, from + 10));
    if (from % 40 === 0) site.withholdAnswers();
    if (from % 40 === 20) site.cut();
    await typing;
  }
  site.cut();
  const whole = `one two three ${list.join("")}`;
  await reads(other, (text) => text === whole);
  await until(at, (db) => db.status.current.pending === 0);
  const late = person(scope, server.port, "ann");
  await reads(late, (text) => text === whole);
  await shows(at, whole);
});

test("what is typed after somebody withdrew the last entry is written all the same", async (t) => {
  const { at } = await desk(t);
  await types(at, ["one "]);
  await until(at, (db) => db.outbox.current.length === 1);
  await call(at, (db) => db.outbox.withdraw(db.outbox.current[0].rseq));
  await types(at, ["two "]);
  const list = await entries(at);
  assert.deepEqual(
    list.map(({ rows }) => rows),
    [1],
  );
});

test("a browser that is killed while somebody types has all that was written down", async (t) => {
  const { scope, server, site, browser, at } = await desk(t);
  const list = words(100_000);
  let count = 0;
  let isEnough = () => {};
  const enough = new Promise((resolve) => {
    isEnough = resolve;
  });
  await at.exposeFunction("told", (n) => {
    count = n;
    if (n === 120) isEnough();
  });
  const typing = at.evaluate((some) => globalThis.typed(some, globalThis.told), list).catch(() => undefined);
  await enough;
  await browser.kill();
  await typing;

  const next = await Browser.start(scope, { profile: browser.profile });
  const back = await next.page(site);
  await again(back, { online: false });
  const text = await content(back);
  const there = text.split(" ").length - 1;
  assert.equal(text, list.slice(0, there).join(""));
  assert.ok(there >= count, `${there} of ${count}`);
  assert.ok((await entries(back)).length <= 2);
  const other = person(scope, server.port, "ann");
  await call(back, (db) => db.setOnline(true));
  await reads(other, (now) => now === text);
});
