// A schema with documents, and who writes in them: people with the public provider and nothing of ours, and pages with an editor.

import { writeFile } from "node:fs/promises";
import path from "node:path";
import WebSocketPolyfill from "ws";
import { WebsocketProvider } from "y-websocket";
import * as Y from "yjs";
import { Browser, call, folder, open, Scope, Server } from "./harness.mjs";

const WIKI = `
[app]
name = "wiki"

[tables.pages.columns]
id     = { type = "uuid", default = "uuid" }
owner  = { type = "text", required = true }
public = { type = "boolean", required = true, default = false }
title  = "text"
body   = { type = "doc" }
[tables.pages.access]
read  = "owner = claim('sub') OR public"
write = "owner = claim('sub')"

[shapes.pages]
table = "pages"
[shapes.bodies]
table = "pages_docs"
`;
export const ID = "018f7c1e-0000-7000-8000-000000000001";
export const ROOM = `pages/${ID}/body`;

export async function wiki(t) {
  const scope = new Scope(t);
  const schema = path.join(await folder(scope), "landfall.toml");
  await writeFile(schema, WIKI);
  return { scope, server: await Server.start(scope, [], schema) };
}

/** Somebody with the public provider and nothing of ours. */
export function person(scope, port, name, { room = ROOM, doc = new Y.Doc() } = {}) {
  const provider = new WebsocketProvider(`ws://127.0.0.1:${port}/v1/docs`, room, doc, {
    params: { token: `dev:${name}` },
    WebSocketPolyfill,
    disableBc: true,
    maxBackoffTime: 200,
  });
  provider.awareness.setLocalStateField("user", { name });
  scope.add(() => {
    provider.destroy();
    doc.destroy();
  });
  return { doc, provider, text: doc.getText("body") };
}

/** Waits for an event of something until this holds. */
function until_(of, event, holds) {
  return new Promise((resolve) => {
    const look = () => {
      if (!holds()) return;
      of.off(event, look);
      resolve();
    };
    of.on(event, look);
    look();
  });
}
export const reads = ({ doc, text }, holds) => until_(doc, "update", () => holds(text.toString()));
export const sees = ({ provider }, holds) =>
  until_(provider.awareness, "change", () =>
    holds([...provider.awareness.getStates().values()].map((s) => s.user?.name)),
  );
export const isSynced = ({ provider }) => until_(provider, "sync", () => provider.synced);

export const page = (owner = "ann", isPublic = 0) =>
  `INSERT INTO pages (id, owner, public, title) VALUES ('${ID}', '${owner}', ${isPublic}, 'A page')`;

/** A page with the package, and an editor in store (docs-page.js). */
export async function writer(scope, site, name, { isOn = true, browser } = {}) {
  const at = await (browser ?? (await Browser.start(scope))).page(site);
  await at.addScriptTag({ type: "module", url: "/docs-page.js" });
  await at.waitForFunction(() => globalThis.write !== undefined, null, { polling: 50 });
  await open(at, { name: "wiki", token: `dev:${name}`, online: isOn });
  await call(at, (db) => Promise.all(["pages", "bodies"].map((shape) => db.shape(shape).ready)));
  return at;
}

export const content = (at) => at.evaluate(() => globalThis.here.view.state.doc.toString());
export const shows = (at, text) =>
  at.waitForFunction((wanted) => globalThis.here.view.state.doc.toString() === wanted, text);
