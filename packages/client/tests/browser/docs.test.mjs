// Documents that several write at once: the public packages `yjs` and `y-websocket` on one side, the engine on the other, and
// an editor made for Yjs in a page. docs/documents.md.

import assert from "node:assert/strict";
import { test } from "node:test";
import WebSocketPolyfill from "ws";
import { bundled } from "./bundled.mjs";
import { call, open, Site, until } from "./harness.mjs";
import { content, ID, isSynced, page, person, ROOM, reads, sees, shows, wiki, writer } from "./wiki.mjs";

test("people with the public provider write one document, apart and together, whatever becomes of the server", async (t) => {
  const { scope, server } = await wiki(t);
  await server.sql(page());
  const [ann, phone] = [person(scope, server.port, "ann"), person(scope, server.port, "ann")];
  await Promise.all([ann, phone].map(isSynced));
  ann.text.insert(0, "one 🌊 ");
  await reads(phone, (text) => text === "one 🌊 ");
  phone.text.insert(phone.text.length, "two");
  await reads(ann, (text) => text === "one 🌊 two");

  // Apart: both go on writing.
  for (const { provider } of [ann, phone]) provider.disconnect();
  ann.text.insert(0, "A");
  ann.text.delete(1, 3);
  phone.text.insert(phone.text.length, "Z");
  for (const { provider } of [ann, phone]) provider.connect();
  for (const one of [ann, phone]) await reads(one, (text) => text === "A 🌊 twoZ");

  // What one has seen of the other is on the disk: the server's end takes nothing of it along.
  await server.kill();
  ann.text.insert(0, "while it was gone ");
  await server.start();
  const third = person(scope, server.port, "ann");
  await reads(third, (text) => text === "while it was gone A 🌊 twoZ");
  await reads(phone, (text) => text === "while it was gone A 🌊 twoZ");
});

test("a document is whole after thousands of edits, and few rows", async (t) => {
  const { scope, server } = await wiki(t);
  await server.sql(page());
  const [ann, phone] = [person(scope, server.port, "ann"), person(scope, server.port, "ann")];
  await Promise.all([ann, phone].map(isSynced));
  let written = "";
  for (let step = 0; step < 3_000; step++) {
    const [by, at] = [step % 2 ? ann : phone, step % 7 ? by_(step, ann, phone).text.length : 0];
    by.text.insert(Math.min(at, by.text.length), `${step} `);
    written += `${step} `;
    // The event loop has its turn: each is a message of its own.
    if (step % 10 === 0) await new Promise(setImmediate);
  }
  await reads(ann, (text) => text.length === written.length);
  await reads(phone, (text) => text === ann.text.toString());
  const late = person(scope, server.port, "ann");
  await reads(late, (text) => text === ann.text.toString());
});

const by_ = (step, ann, phone) => (step % 2 ? ann : phone);

test("who is there is seen, and is gone when they are", async (t) => {
  const { scope, server } = await wiki(t);
  await server.sql(page("ann", 1));
  const [ann, ben] = [person(scope, server.port, "ann"), person(scope, server.port, "ben")];
  await sees(ann, (names) => names.includes("ben"));
  await sees(ben, (names) => names.includes("ann"));
  const late = person(scope, server.port, "cat");
  await sees(late, (names) => names.includes("ann") && names.includes("ben"));
  // Not a word is said: the connection breaks.
  ben.provider.shouldConnect = false;
  ben.provider.ws.terminate();
  await sees(ann, (names) => !names.includes("ben"));
});

test("who may not see a document is told so, and who may only read it writes nothing", async (t) => {
  const { scope, server } = await wiki(t);
  await server.sql(page("ann", 0));
  const answers = async (path_, token) => {
    const response = await fetch(`http://127.0.0.1:${server.port}/v1/docs/${path_}`, {
      headers: token ? { authorization: `Bearer ${token}` } : {},
    });
    return [response.status, /LF-\d+/.exec(await response.text())?.[0]];
  };
  assert.deepEqual(await answers(ROOM), [401, "LF-4004"]);
  assert.deepEqual(await answers(`pages/${ID}/title`, "dev:ann"), [404, "LF-2007"]);
  assert.deepEqual(await answers("pages/nonsense/body", "dev:ann"), [404, "LF-2007"]);

  const denied = (name) => {
    const socket = new WebSocketPolyfill(`ws://127.0.0.1:${server.port}/v1/docs/${ROOM}?token=dev:${name}`);
    scope.add(() => socket.terminate());
    return new Promise((resolve, reject) => {
      socket.on("message", (bytes) => resolve(bytes.toString("latin1")));
      socket.on("error", reject);
    });
  };
  assert.match(await denied("ben"), /no such document that you may read/);

  await server.sql("UPDATE pages SET public = 1");
  const [ann, ben] = [person(scope, server.port, "ann"), person(scope, server.port, "ben")];
  await Promise.all([ann, ben].map(isSynced));
  ben.text.insert(0, "not mine ");
  ann.text.insert(0, "hers ");
  await reads(ben, (text) => text.includes("hers "));
  const late = person(scope, server.port, "ann");
  await isSynced(late);
  assert.equal(late.text.toString(), "hers ");
});

test("one who sends garbage ends their own connection, and nobody else's", async (t) => {
  const { scope, server } = await wiki(t);
  await server.sql(page());
  const ann = person(scope, server.port, "ann");
  await isSynced(ann);
  for (const garbage of [[0], [0, 0, 200], [0, 2, 4, 255, 255, 255, 255], [1, 3, 9, 9, 9], [0, 2, 5, 1, 1, 1, 0, 4]]) {
    const socket = new WebSocketPolyfill(`ws://127.0.0.1:${server.port}/v1/docs/${ROOM}?token=dev:ann`);
    scope.add(() => socket.terminate());
    await new Promise((resolve) => {
      socket.on("open", () => socket.send(Uint8Array.from(garbage)));
      socket.on("close", resolve);
    });
  }
  ann.text.insert(0, "still here");
  const late = person(scope, server.port, "ann");
  await reads(late, (text) => text === "still here");
});

test("an editor made for Yjs on the local database and the public provider are the same document", async (t) => {
  const { scope, server } = await wiki(t);
  const site = await Site.start(scope, server);
  await bundled(site, "docs-page");
  const [desk, phone] = [await writer(scope, site, "ann"), await writer(scope, site, "ann")];
  await call(desk, (db, id) => db.insert("pages", { id, owner: "ann", public: true }), ID);
  await until(phone, (db) => db.query("SELECT 1 FROM pages").then((rows) => rows.length === 1));
  for (const at of [desk, phone]) await call(at, (db, id) => globalThis.write(db, id, "Ann"), ID);
  await desk.locator(".cm-content").click();
  await desk.keyboard.type("hello from the desk");
  await shows(phone, "hello from the desk");
  await desk.waitForFunction(() => globalThis.here.bound.current.saved, null, { polling: 50 });

  // Somebody with nothing of ours.
  const other = person(scope, server.port, "ann");
  await reads(other, (text) => text === "hello from the desk");
  await sees(other, (names) => names.includes("Ann"));
  other.text.insert(5, ", world,");
  for (const at of [desk, phone]) await shows(at, "hello, world, from the desk");
  await phone.locator(".cm-ySelectionCaret").first().waitFor({ state: "attached" });

  // Without a network all go on, and the phone's browser ends before it is back.
  for (const at of [desk, phone]) await call(at, (db) => db.setOnline(false));
  site.mode = "down";
  site.cut();
  await phone.locator(".cm-content").click();
  await phone.keyboard.press("Control+End");
  await phone.keyboard.type(" (from the phone)");
  await phone.waitForFunction(() => globalThis.here.bound.current.saved, null, { polling: 50 });
  await desk.locator(".cm-content").click();
  await desk.keyboard.press("Control+Home");
  await desk.keyboard.type("> ");
  other.text.delete(5, 8);
  await phone.reload();
  await phone.waitForFunction(() => globalThis.ready === true, null, { polling: 50 });
  await phone.addScriptTag({ type: "module", url: "/docs-page.js" });
  await phone.waitForFunction(() => globalThis.write !== undefined, null, { polling: 50 });
  await open(phone, { name: "wiki", token: "dev:ann", online: false });
  await call(phone, (db, id) => globalThis.write(db, id, "Ann"), ID);
  assert.equal(await content(phone), "hello, world, from the desk (from the phone)");

  site.mode = "up";
  for (const at of [desk, phone]) await call(at, (db) => db.setOnline(true));
  for (const at of [desk, phone]) await shows(at, "> hello from the desk (from the phone)");
  await reads(other, (text) => text === "> hello from the desk (from the phone)");

  // Without an editor the module of documents reads it.
  const isWhole = (db, id) =>
    globalThis.read(db, id).then((texts) => texts.every((text) => text === "> hello from the desk (from the phone)"));
  await until(desk, isWhole, ID);
});

test("the database’s undo passes over what is typed, and who is offline by choice is not there for others", async (t) => {
  const { scope, server } = await wiki(t);
  await server.sql(page());
  const site = await Site.start(scope, server);
  await bundled(site, "docs-page");
  const desk = await writer(scope, site, "ann");
  await call(desk, (db, id) => globalThis.write(db, id, "Ann"), ID);
  const other = person(scope, server.port, "ann");
  await sees(other, (names) => names.includes("Ann"));
  await desk.locator(".cm-content").click();
  await desk.keyboard.type("typed");
  await reads(other, (text) => text === "typed");
  await desk.waitForFunction(() => globalThis.here.bound.current.saved, null, { polling: 50 });
  assert.equal(await call(desk, (db) => db.undo()), null);
  assert.equal(await content(desk), "typed");

  // The network is there all the time.
  await call(desk, (db) => db.setOnline(false));
  await sees(other, (names) => !names.includes("Ann"));
  other.text.insert(0, "un");
  await desk.keyboard.type(", offline");
  await desk.waitForFunction(() => globalThis.here.bound.current.saved, null, { polling: 50 });
  assert.equal(await content(desk), "typed, offline");
  await call(desk, (db) => db.setOnline(true));
  await sees(other, (names) => names.includes("Ann"));
  await shows(desk, "untyped, offline");

  // What is too large for a row is told and kept, and nobody is made to believe that it is saved.
  await desk.evaluate(() => globalThis.here.text.insert(0, "x".repeat(5 << 20)));
  await desk.waitForFunction(() => globalThis.here.bound.current.error?.code === "LF-2003");
  const left = await desk.evaluate(() => globalThis.here.bound.close().catch((error) => error.code));
  assert.equal(left, "LF-2003");
  assert.equal(await desk.evaluate(() => globalThis.here.bound.current.saved), false);
});
