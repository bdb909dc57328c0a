// What the browser tests stand on: a real server process, a site in front of it that can fail in the ways of networks
// and proxies, and a real Chromium with a profile of its own.

import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import http from "node:http";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";
import ts from "typescript";

export const ROOT = fileURLToPath(new URL("../../../../", import.meta.url));
const LANDFALL = process.env.LANDFALL_BIN ?? path.join(ROOT, "target/sim/landfall");
const FUNCTIONS = path.join(path.dirname(LANDFALL), "examples/functions");
const CHROMIUM = process.env.LANDFALL_CHROMIUM ?? "/usr/bin/chromium";
const SCHEMA = path.join(ROOT, "examples/journal/landfall.toml");
const TYPES = {
  ".js": "text/javascript",
  ".wasm": "application/wasm",
  ".html": "text/html",
  ".map": "application/json",
};

/** Everything that a test started, ended in reverse. */
export class Scope {
  #ends = [];

  constructor(t) {
    t.after(async () => {
      for (const end of this.#ends.reverse()) await end();
    });
  }

  add(end) {
    this.#ends.push(end);
  }
}

export async function folder(scope) {
  const made = await mkdtemp(path.join(os.tmpdir(), "landfall-browser-"));
  scope.add(() => rm(made, { recursive: true, force: true, maxRetries: 5 }));
  return made;
}

/** A landfall server. `kill` is SIGKILL; `start` starts it again on the same data and port. */
export class Server {
  #child = null;
  embeds = false;
  port = 0;

  constructor(scope, data, args = [], schema = SCHEMA) {
    this.data = data;
    this.args = args;
    this.schema = schema;
    scope.add(() => this.kill());
  }

  /** `args` go to `landfall serve` as they are; `schema` is a `landfall.toml`, else it is the example's. */
  static async start(scope, args, schema) {
    const server = new Server(scope, await folder(scope), args, schema);
    await server.start();
    return server;
  }

  /** A server that embeds Landfall with the merge function `mean` (crates/server/examples). */
  static async startWithFunctions(scope, schema) {
    const server = new Server(scope, await folder(scope), [], schema);
    server.embeds = true;
    await server.start();
    return server;
  }

  async start() {
    const args = [
      "serve",
      "--dev",
      "--schema",
      this.schema,
      "--data",
      this.data,
      "--listen",
      `127.0.0.1:${this.port}`,
      ...this.args,
    ];
    const [program, given] = this.embeds
      ? [FUNCTIONS, [this.schema, this.data, `127.0.0.1:${this.port}`]]
      : [LANDFALL, args];
    const child = spawn(program, given, {
      stdio: ["ignore", "pipe", "inherit"],
      env: { ...process.env, RUST_LOG: "warn" },
    });
    this.#child = child;
    const lines = createInterface({ input: child.stdout });
    for await (const line of lines) {
      const found = /on http:\/\/[^:]+:(\d+)/.exec(line);
      if (found) {
        this.port = Number(found[1]);
        lines.close();
        child.stdout.resume();
        return;
      }
    }
    throw new Error("the server ended before it was ready");
  }

  get pid() {
    return this.#child.pid;
  }

  /** Another program writes into the server's database, past the server. */
  sql(statements) {
    const child = spawn("sqlite3", ["-cmd", ".timeout 10000", path.join(this.data, "landfall.db"), statements], {
      stdio: ["ignore", "ignore", "inherit"],
    });
    return new Promise((resolve, reject) => {
      child.on("error", reject);
      child.on("exit", (code) => (code === 0 ? resolve() : reject(new Error(`sqlite3 ended with ${code}`))));
    });
  }

  kill() {
    const child = this.#child;
    this.#child = null;
    if (!child || child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
    return new Promise((resolve) => {
      child.once("exit", resolve);
      child.kill("SIGKILL");
    });
  }
}

/** `landfall generate`'s file for a schema, as JavaScript. */
const generated = new Map();
function schemaModule(schema) {
  if (!generated.has(schema)) generated.set(schema, generate(schema));
  return generated.get(schema);
}

function generate(schema) {
  return new Promise((resolve, reject) => {
    const child = spawn(LANDFALL, ["generate", schema], { stdio: ["ignore", "pipe", "inherit"] });
    const parts = [];
    child.stdout.on("data", (part) => parts.push(part));
    child.on("error", reject);
    child.on("exit", (code) => {
      if (code !== 0) reject(new Error("landfall generate failed"));
      const target = { compilerOptions: { module: ts.ModuleKind.ES2022, target: ts.ScriptTarget.ES2022 } };
      resolve(ts.transpileModule(Buffer.concat(parts).toString(), target).outputText);
    });
  });
}

/**
 * The address that pages see: files of the package, and everything under `/v1` passed on to the server. `mode` is
 * "up"; "down": nothing is answered; "page": a proxy's error page stands where the server should; "busy": there is no room
 * for another connection, and it says to come again after `pauseSeconds`, whether a socket is asked for or a plain answer.
 */
export class Site {
  mode = "up";
  pauseSeconds = 1;
  /** When connections were asked for: milliseconds, by one clock. */
  asked = [];
  /** Paths that are answered by these functions instead. */
  instead = new Map();
  #sockets = new Set();
  #passed = new Map();

  constructor(server) {
    this.server = server;
    this.http = http.createServer((request, response) => void this.#answer(request, response));
    this.http.on("upgrade", (request, socket) => this.#upgrade(request, socket));
    this.http.on("connection", (socket) => {
      this.#sockets.add(socket);
      socket.on("close", () => this.#sockets.delete(socket));
    });
  }

  static async start(scope, server) {
    const site = new Site(server);
    await new Promise((resolve) => site.http.listen(0, "127.0.0.1", resolve));
    scope.add(() => {
      site.cut();
      site.http.close();
    });
    return site;
  }

  get url() {
    return `http://localhost:${this.http.address().port}`;
  }

  /** Cuts every connection there is. */
  cut() {
    for (const socket of this.#sockets) socket.destroy();
  }

  /** What pages send goes on to the server; of its answers nothing comes back, until the connections are cut. */
  withholdAnswers() {
    for (const [socket, onward] of this.#passed) onward.unpipe(socket);
  }

  async #answer(request, response) {
    const { pathname } = new URL(request.url, "http://localhost");
    if (pathname.startsWith("/v1/") || pathname === "/health") {
      if (this.mode === "down") request.socket.destroy();
      else if (this.mode === "page") {
        response.writeHead(200, { "content-type": "text/html" }).end("<h1>Welcome to the hotel</h1>");
      } else if (this.mode === "busy" && pathname === "/v1/sync") {
        response.writeHead(503, { "retry-after": this.pauseSeconds }).end();
      } else this.#pass(request, response);
      return;
    }
    const instead = this.instead.get(pathname);
    if (instead) {
      instead(request, response);
      return;
    }
    try {
      const [body, type] = await this.#file(pathname);
      response.writeHead(200, { "content-type": type }).end(body);
    } catch {
      response.writeHead(404).end();
    }
  }

  async #file(pathname) {
    if (pathname === "/schema.js") return [await schemaModule(this.server.schema), TYPES[".js"]];
    if (pathname === "/") return [await readFile(new URL("page.html", import.meta.url)), TYPES[".html"]];
    const tests = pathname.startsWith("/tests/") && new URL(`./${pathname.slice(7)}`, import.meta.url);
    const file = tests || path.join(ROOT, "packages/client", path.normalize(pathname));
    return [await readFile(file), TYPES[path.extname(pathname)] ?? "text/plain"];
  }

  #pass(request, response) {
    const { method, headers, url } = request;
    const onward = http.request({ host: "127.0.0.1", port: this.server.port, method, headers, path: url }, (answer) => {
      response.writeHead(answer.statusCode, answer.headers);
      answer.pipe(response);
    });
    onward.on("error", () => response.destroy());
    request.pipe(onward);
  }

  #upgrade(request, socket) {
    this.asked.push(performance.now());
    socket.on("error", () => socket.destroy());
    if (this.mode !== "up") {
      const again = `retry-after: ${this.pauseSeconds}\r\ncontent-length: 0`;
      if (this.mode === "page") socket.end("HTTP/1.1 403 Forbidden\r\ncontent-type: text/html\r\n\r\n<h1>No</h1>");
      else if (this.mode === "busy") socket.end(`HTTP/1.1 503 Service Unavailable\r\n${again}\r\n\r\n`);
      else socket.destroy();
      return;
    }
    const onward = net.connect(this.server.port, "127.0.0.1", () => {
      const lines = [`${request.method} ${request.url} HTTP/1.1`];
      for (let at = 0; at < request.rawHeaders.length; at += 2) {
        lines.push(`${request.rawHeaders[at]}: ${request.rawHeaders[at + 1]}`);
      }
      onward.write(`${lines.join("\r\n")}\r\n\r\n`);
      socket.pipe(onward).pipe(socket);
      this.#passed.set(socket, onward);
    });
    onward.on("error", () => socket.destroy());
    socket.on("close", () => {
      this.#passed.delete(socket);
      onward.destroy();
    });
    onward.on("close", () => socket.destroy());
  }
}

const FLAGS = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** A browser with a profile; `kill` is SIGKILL of the whole of it, and the profile stays. */
export class Browser {
  constructor(context, profile) {
    this.context = context;
    this.profile = profile;
  }

  /** `setsAside`: pages that are left are kept for coming back, as people's browsers do. */
  static async start(scope, { profile, args = [], setsAside = false } = {}) {
    const directory = profile ?? (await folder(scope));
    const left = setsAside ? ["--disable-back-forward-cache"] : [];
    const options = {
      executablePath: CHROMIUM,
      headless: true,
      args: [...FLAGS, ...args],
      ignoreDefaultArgs: ["--disable-features", ...left],
    };
    const context = await chromium.launchPersistentContext(directory, options);
    const browser = new Browser(context, directory);
    scope.add(() => context.close().catch(() => undefined));
    return browser;
  }

  /** The browser's main process, found by its profile. */
  async kill() {
    const closed = new Promise((resolve) => this.context.once("close", resolve));
    const session = await this.context.browser()?.newBrowserCDPSession?.();
    const info = session ? await session.send("SystemInfo.getProcessInfo") : null;
    const main = info?.processInfo.find(({ type }) => type === "browser");
    if (!main) throw new Error("the browser's process is not known");
    process.kill(main.id, "SIGKILL");
    await closed;
  }

  /** A page of the site with the SDK loaded; `landfall` on its window. */
  async page(site, { before } = {}) {
    const page = await this.context.newPage();
    page.on("pageerror", (error) => console.error(`page: ${error.message}`));
    page.on("console", (message) => {
      if (["error", "warning"].includes(message.type()) && process.env.LANDFALL_LOUD)
        console.error(`page: ${message.text()}`);
    });
    if (before) await page.addInitScript(before);
    await page.goto(site.url);
    await page.waitForFunction(() => globalThis.ready === true, null, { polling: 50 });
    return page;
  }
}

/** A window whose data end with it. */
export class PrivateWindow extends Browser {
  static async start(scope) {
    const program = await chromium.launch({ executablePath: CHROMIUM, headless: true, args: FLAGS });
    scope.add(() => program.close().catch(() => undefined));
    return new PrivateWindow(await program.newContext(), null);
  }
}

/** Opens the database in a page as `db`; gives the error's code and words when it cannot be opened. */
export function tryOpen(page, options = {}) {
  return page.evaluate((given) => globalThis.open_(given), options);
}

/** Opens the database in a page as `db`. */
export async function open(page, options = {}) {
  const opened = await tryOpen(page, options);
  if (opened.code) throw new Error(`${opened.code}: ${opened.message}`);
  return opened;
}

/** Loads the page anew and opens the database again. */
export async function reload(page, options = {}) {
  await page.reload();
  await page.waitForFunction(() => globalThis.ready === true, null, { polling: 50 });
  return open(page, options);
}

/** Waits until something is true of the open database: the function gets `db`. */
export async function until(page, f, argument) {
  await page.evaluate(([text, value]) => globalThis.until(text, value), [f.toString(), argument]);
}

/** Runs a function with `db` and an argument; an error comes back as `{ code, message }`. */
export function call(page, f, argument) {
  return page.evaluate(([text, value]) => globalThis.call(text, value), [f.toString(), argument]);
}

/** A row of `notes`. */
export function note(n) {
  return { id: `018f7c1e-0000-7000-8000-${String(n).padStart(12, "0")}`, owner: "ann", title: `note ${n}` };
}

/** Ends a page's renderer the hard way. */
export async function crash(page) {
  const session = await page.context().newCDPSession(page);
  const crashed = new Promise((resolve) => page.once("crash", resolve));
  // The answer to this never comes.
  session.send("Page.crash").catch(() => undefined);
  await crashed;
}
