// What the tests of the app share: the built app on a real server, people in front of it, and what they do.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { cp, mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import path from "node:path";
import { test } from "node:test";
import { Browser, folder, ROOT, Scope, Server } from "../../../packages/client/tests/browser/harness.mjs";

export { Browser, folder, Scope };

export const DIST = path.join(ROOT, "apps/journal/dist");
export const LANDFALL = process.env.LANDFALL_BIN ?? path.join(ROOT, "target/sim/landfall");
export const SCHEMA = path.join(ROOT, "examples/journal/landfall.toml");
const SCREENSHOTS = path.join(ROOT, "target/screenshots");

/** The server with the app on its address. */
export async function serve(scope, { app = DIST, args = [], schema } = {}) {
  const server = await Server.start(scope, ["--app", app, ...args], schema);
  return Object.assign(server, {
    url: `http://127.0.0.1:${server.port}/`,
    // It keeps its connections and answers nothing.
    pause: () => process.kill(server.pid, "SIGSTOP"),
    resume: () => process.kill(server.pid, "SIGCONT"),
  });
}

/** The app as it would be built from a schema with this `[outbox]`: a copy of it, whose service worker knows it too. */
export async function builtWith(scope, outbox) {
  const copy = path.join(await folder(scope), "app");
  await cp(DIST, copy, { recursive: true, filter: (from) => !/\.(br|gz)$/.test(from) });
  const digest = (text) => createHash("sha256").update(text).digest("base64");
  let worker = await readFile(path.join(copy, "sw.js"), "utf8");
  let changed = 0;
  for (const name of await readdir(copy, { recursive: true })) {
    if (!name.endsWith(".js") || name === "sw.js") continue;
    const before = await readFile(path.join(copy, name), "utf8");
    // The compiled schema is JSON within a string of the script, in whichever quotes.
    const after = before.replace(/\{(\\?")name\1:\1journal\1,/, (found, quote) => {
      changed += 1;
      return `${found}${JSON.stringify({ outbox }).slice(1, -1).replaceAll('"', quote)},`;
    });
    worker = worker.replace(digest(before), digest(after));
    await writeFile(path.join(copy, name), after);
  }
  assert.equal(changed, 1, "the schema is in one file");
  await writeFile(path.join(copy, "sw.js"), worker);
  return copy;
}

/** What another device of `person` writes: SQL, one transaction a line, synced before this resolves. */
export async function elsewhere(scope, server, person, statements) {
  const database = path.join(await folder(scope), "device.db");
  const args = ["shell", database, "--schema", SCHEMA, "--server", server.url, "--token", `dev:${person}`];
  const lines = [...statements, ".sync"].join("\n");
  const child = spawn(LANDFALL, args, { stdio: ["pipe", "pipe", "inherit"] });
  child.stdin.end(`${lines}\n`);
  let printed = "";
  child.stdout.on("data", (part) => {
    printed += part;
  });
  const code = await new Promise((resolve) => child.on("exit", resolve));
  assert.equal(code, 0, printed);
  assert.match(printed, /synced/, printed);
}

/** Text as SQL has it. */
export function quoted(text) {
  return `'${text.replaceAll("'", "''")}'`;
}

/** One page of the app in a browser with a profile of its own. */
export async function open(scope, server, { profile, ...how } = {}) {
  const browser = await Browser.start(scope, profile === undefined ? {} : { profile });
  const page = await look(browser, server, how);
  return { browser, page, profile: browser.profile };
}

/** The pages of the story that is being told: when it fails, they are kept as pictures. */
const opened = new Set();
/** What went wrong in them that nobody caught. */
const problems = [];

/** Another tab. */
export async function look(browser, server, { at = "", width = 1280, height = 800, scheme = "light" } = {}) {
  const page = await browser.context.newPage();
  await page.setViewportSize({ width, height });
  await page.emulateMedia({ colorScheme: scheme, reducedMotion: "reduce" });
  opened.add(page);
  page.on("close", () => opened.delete(page));
  page.on("pageerror", (error) => problems.push(error.message));
  await page.goto(server.url + at);
  return page;
}

export async function signIn(page, name) {
  await page.getByLabel("Your name").fill(name);
  await page.getByRole("button", { name: "Open the journal" }).click();
  await page.getByRole("navigation", { name: "Journal" }).waitFor();
}

/** How most stories begin: a server, and somebody who has signed in. */
export async function begun(scope, name, how) {
  const server = await serve(scope);
  const opened = await open(scope, server, how);
  await signIn(opened.page, name);
  return { server, ...opened };
}

/** Until the service worker has everything, so that a start without a network works. */
export function installed(page) {
  return page.evaluate(() => navigator.serviceWorker.ready.then(() => undefined));
}

/** Waits for how far the open item has come: "typed", "pending", "sending", "saved", "failed". */
export function standing(page, ...states) {
  return page
    .locator(states.map((state) => `[data-state="${state}"]`).join(", "))
    .first()
    .waitFor();
}

/** The fields of the open item. */
export function fields(page) {
  return { title: page.getByRole("textbox", { name: "Title" }), text: page.getByRole("textbox", { name: "Text" }) };
}

/** A new note; resolves once it is durable on this device. */
export async function write(page, title, body) {
  await page.getByRole("button", { name: "New note" }).click();
  const { title: first, text } = fields(page);
  await first.fill(title);
  await text.fill(body);
  await text.blur();
  await standing(page, "pending", "sending", "saved");
}

export function banner(page, text) {
  return page.locator(".banner", { hasText: text });
}

/** The titles that the list shows, in order. */
export function titles(page) {
  return page.getByRole("option").locator(".words").allTextContents();
}

/** Waits until the list shows exactly these titles, in any order. */
export async function shows(page, expected) {
  await page.waitForFunction((wanted) => {
    const seen = [...document.querySelectorAll("[role=option] .words")].map((node) => node.textContent.trim()).sort();
    return JSON.stringify(seen) === JSON.stringify([...wanted].sort());
  }, expected);
}

const AXE = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** What axe finds: it is to be nothing, by any of its rules for WCAG 2.2 AA and good practice. */
export async function findings(page, name) {
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
  return violations.map(
    ({ id, help, nodes }) => `${name}: ${id}: ${help}\n  ${nodes.map((node) => node.html).join("\n  ")}`,
  );
}

/** Chooses to stay offline, and back. */
export async function stayOffline(page, wanted) {
  await page.getByRole("button", { name: "Settings" }).click();
  await page.getByLabel("Stay offline").setChecked(wanted);
  await banner(page, "Offline.").waitFor({ state: wanted ? "visible" : "detached" });
  await page.getByRole("button", { name: "Close" }).click();
}

/** Keeps a picture of the page, for people to look at. */
export async function picture(page, name) {
  await mkdir(SCREENSHOTS, { recursive: true });
  await page.evaluate(async () => {
    await document.fonts.ready;
    await Promise.allSettled(document.getAnimations().map((one) => one.finished));
  });
  await page.screenshot({ path: path.join(SCREENSHOTS, `${name}.png`) });
}

/** Moves on until the focus is on what has this name, or one like it, and visible. */
export async function tabTo(page, name) {
  for (let steps = 0; steps < 60; steps++) {
    await page.keyboard.press("Tab");
    const at = await page.evaluate(() => {
      const { activeElement: element } = document;
      const name = element?.getAttribute("aria-label") ?? element?.textContent?.trim() ?? "";
      return { name, visible: element?.matches(":focus-visible") ?? false };
    });
    if (name instanceof RegExp ? !name.test(at.name) : at.name !== name) continue;
    assert.ok(at.visible, `${name} shows its focus`);
    return;
  }
  assert.fail(`${name} is not reached by Tab`);
}

/** By keyboard: on to what has this name, and pressed. */
export async function press(page, name) {
  await tabTo(page, name);
  await page.keyboard.press("Enter");
}

/** A test with a scope; what it started has ended when it ends. */
export function story(name, tell) {
  test(name, async (context) => {
    opened.clear();
    problems.length = 0;
    try {
      await tell(new Scope(context));
      assert.deepEqual(problems, []);
    } catch (problem) {
      const pages = [...opened].entries();
      for (const [index, page] of pages) await picture(page, `failed-${index + 1}`).catch(() => undefined);
      throw problem;
    }
  });
}
