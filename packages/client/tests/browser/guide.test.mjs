// docs/app.md to the letter: its commands are typed, its files are written, and what it promises is looked at. It takes the
// package as npm packs it.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdir, readFile, symlink, writeFile } from "node:fs/promises";
import net from "node:net";
import path from "node:path";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { stripVTControlCharacters } from "node:util";
import { Browser, folder, ROOT, Scope } from "./harness.mjs";

const BLOCK = /^```(\w+) ?(\S*)\n(.*?)^```$/gms;

/** This port, or another one where it is taken: somebody may be trying Landfall out. */
function port(wanted) {
  return new Promise((resolve, reject) => {
    const probe = net.createServer();
    probe.on("error", (error) => (error.code === "EADDRINUSE" ? resolve(port(0)) : reject(error)));
    probe.listen(Number(wanted), () => {
      const free = String(probe.address().port);
      probe.close(() => resolve(free));
    });
  });
}

/** The document's sections: a heading's number, and its blocks. */
async function sections() {
  let text = await readFile(path.join(ROOT, "docs/app.md"), "utf8");
  for (const wanted of ["4600", "4601"]) text = text.replaceAll(wanted, await port(wanted));
  const parts = text.split(/^## /m).slice(1);
  return parts.map((part) => ({
    title: part.slice(0, part.indexOf("\n")),
    blocks: [...part.matchAll(BLOCK)].map(([, language, file, body]) => ({ language, file, body })),
  }));
}

/** A reader's terminal: one shell, from the folder that holds `landfall` on. */
class Terminal {
  #shell;
  #lines;
  #printed = "";

  constructor(scope, directory) {
    const env = {
      ...process.env,
      npm_config_prefer_offline: "true",
      npm_config_audit: "false",
      npm_config_fund: "false",
    };
    this.#shell = spawn("bash", ["-e"], { cwd: directory, env: { ...env, PWD: directory }, stdio: "pipe" });
    this.#shell.stderr.on("data", (part) => {
      this.#printed += part;
    });
    this.#lines = createInterface({ input: this.#shell.stdout })[Symbol.asyncIterator]();
    scope.add(() => this.#shell.kill());
  }

  /** Types a block; gives what the last line of `ask` prints. */
  async type(block, ask = "echo") {
    this.#shell.stdin.write(`${block}\necho "::done $(${ask})"\n`);
    for (;;) {
      const { value, done } = await this.#lines.next();
      assert.ok(!done, `it failed:\n${block}\n${this.#printed}`);
      if (value.startsWith("::done")) return value.slice(7);
      this.#printed += `${value}\n`;
    }
  }

  /** Where the reader is, and what the shell finds programs by. */
  async place() {
    return {
      cwd: await this.type("", "pwd -P"),
      env: { ...process.env, PATH: await this.type("", 'printf %s "$PATH"') },
    };
  }
}

/** A command in a second terminal that goes on; resolves once it says what address it serves. */
async function background(scope, { cwd, env }, body) {
  const command = body.split("\n")[0].replace(/^\$ /, "");
  const address = /https?:\/\/\S+:\d+/.exec(body.split("\n")[1])[0];
  const child = spawn("bash", ["-c", `exec ${command}`], {
    cwd,
    // As on a reader's terminal, and as under a CI: whatever colours its output.
    env: { ...env, FORCE_COLOR: "1" },
    stdio: ["ignore", "pipe", "inherit"],
    // A group of its own: npx starts others.
    detached: true,
  });
  const ended = new Promise((resolve) => child.once("exit", resolve));
  const stop = (signal) => {
    if (child.exitCode === null && child.signalCode === null) process.kill(-child.pid, signal);
    return ended;
  };
  scope.add(() => stop("SIGKILL"));
  let printed = "";
  const lines = createInterface({ input: child.stdout });
  const ready = new Promise((resolve) => {
    lines.on("line", (line) => {
      const plain = stripVTControlCharacters(line);
      printed += `${plain}\n`;
      if (plain.includes(address)) resolve("ready");
    });
  });
  const late = AbortSignal.timeout(60_000);
  const expired = new Promise((resolve) => late.addEventListener("abort", () => resolve("silent")));
  const first = await Promise.race([ready, expired, ended.then(() => "ended")]);
  assert.equal(first, "ready", `${command} did not say that it serves ${address}; it said:\n${printed}`);
  return { address, stop, again: () => background(scope, { cwd, env }, body) };
}

async function look(scope, address) {
  const { context } = await Browser.start(scope);
  const page = await context.newPage();
  await page.goto(address);
  await says(page, "online, 0 waiting");
  return page;
}

const says = (page, words) => page.getByText(words).waitFor();
const shows = (page, item) => page.getByRole("listitem").filter({ hasText: item }).waitFor();

async function add(page, item) {
  await page.getByLabel("New item").fill(item);
  await page.getByRole("button", { name: "Add" }).click();
  await shows(page, item);
}

test("from an empty folder to a syncing app, as the guide says", { timeout: 600_000 }, async (t) => {
  const scope = new Scope(t);
  const home = await folder(scope);
  await symlink(ROOT.replace(/\/$/, ""), path.join(home, "landfall"));
  const terminal = new Terminal(scope, home);
  const running = [];
  const checks = {
    "5. Build it and run it": async () => {
      const [first, second] = [await look(scope, running[0].address), await look(scope, running[0].address)];
      await add(first, "Bread");
      await shows(second, "Bread");
      await running[0].stop("SIGINT");
      await says(second, "offline, 0 waiting");
      await add(second, "Milk");
      await second.getByLabel("Bread").check();
      await says(second, "offline, 2 waiting");
      running[0] = await running[0].again();
      await shows(first, "Milk");
      await first.getByLabel("Bread").and(first.locator(":checked")).waitFor();
    },
    "6. While you develop": async () => {
      const page = await look(scope, running[1].address.replace("127.0.0.1", "localhost"));
      await shows(page, "Milk");
      await add(page, "Salt");
      await shows(await look(scope, running[0].address), "Salt");
    },
  };
  for (const { title, blocks } of await sections()) {
    const began = performance.now();
    for (const { language, file, body } of blocks) {
      if (language === "sh") await terminal.type(body);
      else if (language === "console") running.push(await background(scope, await terminal.place(), body));
      else {
        assert.ok(file, `a block in "${title}" is neither a command nor a file`);
        const target = path.join((await terminal.place()).cwd, file);
        await mkdir(path.dirname(target), { recursive: true });
        await writeFile(target, body);
      }
    }
    await checks[title]?.();
    delete checks[title];
    // What the packages come over may be slow: whoever waits sees for what.
    console.log(`guide: ${title}: ${((performance.now() - began) / 1000).toFixed(1)} s`);
  }
  assert.deepEqual(Object.keys(checks), [], "sections that the guide does not have any more");
  // What the package says of its types is true for an app that is strict.
  await terminal.type(
    "npx tsc --noEmit --strict --target es2022 --module es2022 --moduleResolution bundler src/main.ts 1>&2",
  );
});
