// Who is at a row, without a document: `presence` of the SDK, and whoever speaks the protocol of `y-websocket`.

import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { build } from "vite";
import WebSocketPolyfill from "ws";
import { WebsocketProvider } from "y-websocket";
import * as Y from "yjs";
import { Browser, call, folder, open, ROOT, Scope, Server, Site } from "./harness.mjs";

const TASKS = `
[app]
name = "tasks"

[tables.tasks.columns]
id     = { type = "uuid", default = "uuid" }
owner  = { type = "text", required = true }
public = { type = "boolean", required = true, default = false }
[tables.tasks.access]
read  = "owner = claim('sub') OR public"
write = "owner = claim('sub')"

[shapes.tasks]
table = "tasks"
`;
const ID = "018f7c1e-0000-7000-8000-000000000001";
const task = (isPublic) => `INSERT INTO tasks (id, owner, public) VALUES ('${ID}', 'ann', ${isPublic})`;

async function tasks(t) {
  const scope = new Scope(t);
  const schema = path.join(await folder(scope), "landfall.toml");
  await writeFile(schema, TASKS);
  return { scope, server: await Server.start(scope, [], schema) };
}

async function pages(scope, server) {
  const site = await Site.start(scope, server);
  const entry = fileURLToPath(new URL("./presence-page.js", import.meta.url));
  const lib = { entry, formats: ["es"], fileName: "presence-page" };
  const root = path.join(ROOT, "packages/client");
  const made = await build({ root, configFile: false, logLevel: "error", build: { write: false, lib } });
  const { code } = [made].flat()[0].output[0];
  site.instead.set("/presence-page.js", (_, response) =>
    response.writeHead(200, { "content-type": "text/javascript" }).end(code),
  );
  return site;
}

async function member(scope, site, name) {
  const at = await (await Browser.start(scope)).page(site);
  await at.addScriptTag({ type: "module", url: "/presence-page.js" });
  await at.waitForFunction(() => globalThis.go !== undefined, null, { polling: 50 });
  await open(at, { name: "tasks", token: `dev:${name}` });
  await call(at, (db, [id, who]) => globalThis.go(db, id, who), [ID, name]);
  return at;
}

const others = (at) => at.evaluate(() => globalThis.here.current.others.map(({ says }) => says));
const sees = (at, wanted) =>
  at.waitForFunction(
    (json) => {
      const said = globalThis.here.current.others.map(({ says }) => says);
      return JSON.stringify(said.sort((a, b) => (a.name < b.name ? -1 : 1))) === json;
    },
    JSON.stringify(wanted),
    { polling: 50 },
  );

test("who is at a row is seen, says what they do, and is gone when they go", async (t) => {
  const { scope, server } = await tasks(t);
  await server.sql(task(1));
  const site = await pages(scope, server);
  const [ann, ben] = [await member(scope, site, "ann"), await member(scope, site, "ben")];
  await sees(ann, [{ name: "ben", typing: false }]);
  await sees(ben, [{ name: "ann", typing: false }]);
  await ben.evaluate(() => globalThis.here.say({ typing: true }));
  await sees(ann, [{ name: "ben", typing: true }]);

  // Somebody with nothing of ours is there, too.
  const doc = new Y.Doc();
  const provider = new WebsocketProvider(`ws://127.0.0.1:${server.port}/v1/rooms`, `tasks/${ID}`, doc, {
    params: { token: "dev:cat" },
    WebSocketPolyfill,
    disableBc: true,
  });
  scope.add(() => {
    provider.destroy();
    doc.destroy();
  });
  provider.awareness.setLocalState({ name: "cat" });
  await sees(ann, [{ name: "ben", typing: true }, { name: "cat" }]);

  // A page that ends, one that goes, and a server that ends and is back.
  await ben.close();
  await sees(ann, [{ name: "cat" }]);
  await server.kill();
  await sees(ann, []);
  assert.equal(await ann.evaluate(() => globalThis.here.current.present), false);
  await server.start();
  await sees(ann, [{ name: "cat" }]);
  await ann.evaluate(() => globalThis.here.leave());
  assert.deepEqual(await others(ann), []);
  const gone = () => [...provider.awareness.getStates().values()].every(({ name }) => name !== "ann");
  await new Promise((resolve) => {
    const look = () => gone() && resolve();
    provider.awareness.on("change", look);
    look();
  });
});

test("who may not read a row does not learn who is there, and nothing is written in a room", async (t) => {
  const { scope, server } = await tasks(t);
  await server.sql(task(0));
  const answer = async (where, token = "dev:ann") => {
    const response = await fetch(`http://127.0.0.1:${server.port}/v1/rooms/${where}?token=${token}`);
    return [response.status, /LF-\d+/.exec(await response.text())?.[0]];
  };
  assert.deepEqual(await answer(`tasks/${ID}`, ""), [401, "LF-4004"]);
  assert.deepEqual(await answer("nothing/1"), [404, "LF-2007"]);
  assert.deepEqual(await answer("tasks/nonsense"), [404, "LF-2007"]);
  const hears = (token, said) => {
    const socket = new WebSocketPolyfill(`ws://127.0.0.1:${server.port}/v1/rooms/tasks/${ID}?token=${token}`);
    scope.add(() => socket.terminate());
    if (said) socket.on("open", () => socket.send(said));
    return new Promise((resolve, reject) => {
      socket.on("error", reject);
      socket.on("message", (data) => {
        const reason = /LF-\d+/.exec(data.toString())?.[0];
        if (reason) resolve(reason);
      });
    });
  };
  assert.equal(await hears("dev:ben"), "LF-3003");
  // A message of kind sync (0), an update (2) of six bytes.
  const doc = new Y.Doc();
  let update;
  doc.on("update", (made) => {
    update = made;
  });
  doc.getText("body").insert(0, "x");
  const message = Uint8Array.of(0, 2, update.length, ...update);
  assert.equal(await hears("dev:ann", message), "LF-3001");
});
