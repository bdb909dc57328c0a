// The service worker: one whole version at a time, a new one when the person takes it, and nothing of the server's in it.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { cp, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import {
  banner,
  DIST,
  fields,
  folder,
  installed,
  look,
  open,
  serve,
  signIn,
  standing,
  story,
  write,
} from "./support.mjs";

function digest(bytes) {
  return `sha256-${createHash("sha256").update(bytes).digest("base64")}`;
}

/** Puts another version there: the page says which. `list: false` leaves out what names the page's digest. */
async function deploy(app, version, { list = true } = {}) {
  const [page, script] = [path.join(app, "index.html"), path.join(app, "sw.js")];
  const before = await readFile(page);
  const after = before.toString().replace(/<html[^>]*>/, `<html lang="en" data-version="${version}">`);
  await writeFile(page, after);
  if (list) await writeFile(script, (await readFile(script, "utf8")).replace(digest(before), digest(after)));
}

/** The app in a folder of its own, to be changed. */
async function copy(scope) {
  const app = path.join(await folder(scope), "app");
  // Packed files would be of the version before.
  const packed = /(index\.html|sw\.js)\.(br|gz)$/;
  await cp(DIST, app, { recursive: true, filter: (source) => !packed.test(source) });
  return app;
}

function version(page) {
  return page.evaluate(() => document.documentElement.dataset.version ?? "first");
}

/** Asks for a new version, as the browser does by itself now and then; resolves when that is settled. */
function ask(page) {
  return page.evaluate(async () => {
    const registration = await navigator.serviceWorker.ready;
    const settled = new Promise((resolve) => {
      registration.addEventListener("updatefound", () => {
        const { installing } = registration;
        installing.addEventListener("statechange", () => {
          if (installing.state === "installed" || installing.state === "redundant") resolve(installing.state);
        });
      });
    });
    await registration.update();
    return settled;
  });
}

story("a new version waits until it is taken, and then all tabs take it, with what was being typed", async (scope) => {
  const app = await copy(scope);
  const server = await serve(scope, { app });
  const { browser, page } = await open(scope, server);
  await signIn(page, "ada");
  await installed(page);
  await write(page, "Kept", "Before the new version.");
  const tab = await look(browser, server);
  await tab.getByRole("option", { name: "Kept" }).waitFor();

  await deploy(app, "second");
  assert.equal(await ask(page), "installed");
  await page.getByText("A new version of Journal is here.").waitFor();
  await tab.getByText("A new version of Journal is here.").waitFor();
  // Until then the first one goes on, whole, reloads included.
  await page.reload();
  await page.getByRole("option", { name: "Kept" }).waitFor();
  assert.equal(await version(page), "first");

  await page.getByRole("option", { name: "Kept" }).click();
  await fields(page).text.fill("Typed in the moment before.");
  const reloads = [page, tab].map((one) => one.waitForEvent("load"));
  await tab.getByRole("button", { name: "Change to it" }).click();
  await Promise.all(reloads);
  await page.getByRole("option", { name: "Kept" }).waitFor();
  assert.deepEqual([await version(page), await version(tab)], ["second", "second"]);
  await page.waitForFunction(() => document.querySelector("textarea.body")?.value === "Typed in the moment before.");
});

story("half a version is not installed, and what is there goes on without a network", async (scope) => {
  const app = await copy(scope);
  const server = await serve(scope, { app });
  const { page } = await open(scope, server);
  await signIn(page, "ada");
  await installed(page);
  await write(page, "Kept", "Before.");
  await deploy(app, "second");
  await deploy(app, "third", { list: false });
  assert.equal(await ask(page), "redundant");
  assert.equal(await page.getByText("A new version of Journal is here.").count(), 0);
  await server.kill();
  await page.reload();
  await banner(page, "Offline.").waitFor();
  await page.getByRole("option", { name: "Kept" }).waitFor();
  assert.equal(await version(page), "first");
});

story(
  "nothing of the server's is in the service worker's cache, and its paths are not answered from it",
  async (scope) => {
    const server = await serve(scope);
    const { page } = await open(scope, server);
    await signIn(page, "ada");
    await installed(page);
    await write(page, "One", "Two.");
    await standing(page, "saved");
    const cached = await page.evaluate(async () => {
      const names = await caches.keys();
      const lists = await Promise.all(names.map(async (name) => (await caches.open(name)).keys()));
      return lists.flat().map(({ url }) => new URL(url).pathname);
    });
    assert.ok(cached.includes("/index.html") && cached.some((one) => one.endsWith(".wasm")), cached.join());
    assert.deepEqual(
      cached.filter((one) => /^\/(v1|health|metrics)/.test(one)),
      [],
    );
    await server.kill();
    const answered = await page.evaluate(() =>
      fetch("/health").then(
        () => true,
        () => false,
      ),
    );
    assert.equal(answered, false);
  },
);
