// What the server alone may say, seen from a page: a webhook that fills a column or refuses, and tables and actions that
// do not wait for the network. docs/actions.md, docs/outbox.md "What may wait for the network".

import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { writeFile } from "node:fs/promises";
import http from "node:http";
import path from "node:path";
import { test } from "node:test";
import { Browser, call, folder, open, reload, Scope, Server, Site, until } from "./harness.mjs";

const OFFICE = `
[app]
name = "office"

[tables.invoices.columns]
id       = { type = "uuid", default = "uuid" }
customer = { type = "text", required = true }
number   = { type = "integer", assigned = "server" }

[actions.issue]
attempts = 20
[actions.issue.args]
invoice = { type = "uuid", required = true, references = "invoices" }

[tables.transfers]
offline = "deny"
[tables.transfers.columns]
id     = { type = "uuid", default = "uuid" }
amount = { type = "integer", required = true }

[actions.audit]
offline = "deny"

[tables.bills]
offline = { schedule = "due", lead = "24h" }
[tables.bills.columns]
id  = { type = "uuid", default = "uuid" }
due = { type = "timestamp", required = true }

[shapes.all_invoices]
table = "invoices"
[shapes.all_transfers]
table = "transfers"
[shapes.all_bills]
table = "bills"
`;
const SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const NAMED = { name: "office" };
const INVOICE = { id: "018f7c1e-0000-7000-8000-000000000001", customer: "Ada" };

/** The app's own server: it takes what is signed, and answers what the test says, when the test says it. */
class Webhook {
  #http = http.createServer((request, response) => void this.#heard(request, response));
  #mind = new Promise((resolve) => {
    this.says = resolve;
  });
  problems = [];

  static async start(scope) {
    const hook = new Webhook();
    await new Promise((resolve) => hook.#http.listen(0, "127.0.0.1", resolve));
    scope.add(() => {
      hook.#http.closeAllConnections();
      hook.#http.close();
    });
    return hook;
  }

  get url() {
    return `http://127.0.0.1:${this.#http.address().port}/hook`;
  }

  async #heard(request, response) {
    const body = Buffer.concat(await request.toArray()).toString();
    const signed = `${request.headers["webhook-id"]}.${request.headers["webhook-timestamp"]}.${body}`;
    const key = Buffer.from(SECRET.slice("whsec_".length), "base64");
    const signature = `v1,${createHmac("sha256", key).update(signed).digest("base64")}`;
    if (request.headers["webhook-signature"] !== signature) {
      this.problems.push("a question that is not signed");
      response.writeHead(401).end();
      return;
    }
    const answer = (await this.#mind)(JSON.parse(body));
    response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(answer));
  }
}

/** Gives an invoice this number. */
const numbered = (number) => (question) => {
  const { key } = question.rows.find(({ table }) => table === "invoices");
  return { operations: [{ op: "update", table: "invoices", key, set: { number } }] };
};

async function office(t) {
  const scope = new Scope(t);
  const hook = await Webhook.start(scope);
  const files = await folder(scope);
  const [schema, secret] = [path.join(files, "landfall.toml"), path.join(files, "webhook.secret")];
  await writeFile(schema, OFFICE);
  await writeFile(secret, `${SECRET}\n`);
  const hooks = ["issue", "audit"].flatMap((action) => ["--webhook", `${action}=${hook.url}`]);
  const server = await Server.start(scope, [...hooks, "--webhook-secret-file", secret], schema);
  const site = await Site.start(scope, server);
  const browser = await Browser.start(scope);
  const page = await browser.page(site);
  await open(page, NAMED);
  await watch(page);
  return { site, browser, page, hook };
}

/** Holds everything, and writes down each state of the invoices that a person sees. */
async function watch(page) {
  await call(page, async (db) => {
    db.outbox.subscribe(() => undefined);
    const shapes = ["all_invoices", "all_transfers", "all_bills"].map((name) => db.shape(name));
    if (db.status.current.connectivity !== "offline") await Promise.all(shapes.map(({ ready }) => ready));
    globalThis.seen = [];
    db.live("SELECT customer, number FROM invoices").subscribe(({ state, rows }) => {
      const told = JSON.stringify(rows);
      if (state === "ready" && globalThis.seen.at(-1) !== told) globalThis.seen.push(told);
    });
  });
  await saw(page, 1);
}

/** Until a person saw so many states. */
const saw = (page, n) => page.waitForFunction((count) => globalThis.seen.length === count, n, { polling: 50 });
const seen = (page) => page.evaluate(() => globalThis.seen.map((told) => JSON.parse(told)));
const issue = (page) =>
  call(
    page,
    (db, row) =>
      db.transaction((tx) => {
        tx.insert("invoices", row);
        tx.action("issue", { invoice: row.id });
      }),
    INVOICE,
  );
const [PENDING, NUMBERED] = [null, 17].map((number) => [{ customer: "Ada", number }]);

test("a number that the server gives is pending, then it is there, and the row never goes in between", async (t) => {
  const { site, browser, page, hook } = await office(t);
  await call(page, (db) => db.setOnline(false));
  await until(page, (db) => db.status.current.connectivity === "offline");
  await issue(page);
  await until(page, (db) => db.outbox.current.length === 1);
  const [{ action }] = await call(page, (db) => db.outbox.current);
  assert.deepEqual(action, { name: "issue", args: { invoice: INVOICE.id } });
  await saw(page, 2);
  assert.deepEqual(await seen(page), [[], PENDING]);

  // So it is after a reload, and in another tab, still without a network.
  await reload(page, NAMED);
  await watch(page);
  const tab = await browser.page(site);
  assert.equal((await open(tab, NAMED)).role, "follower");
  await watch(tab);
  await call(page, (db) => db.setOnline(true));
  // The server has it, and the app takes its time.
  const isAsked = (db, { id }) => db.outbox.current[0]?.asked === true && db.rowState("invoices", id) === "pending";
  await until(page, isAsked, INVOICE);
  hook.says(numbered(17));
  for (const one of [page, tab]) {
    await until(one, (db) => db.outbox.current.length === 0 && db.status.current.pending === 0);
    await saw(one, 2);
    assert.deepEqual(await seen(one), [PENDING, NUMBERED]);
  }
  assert.deepEqual(hook.problems, []);
});

test("what the app refuses is a dead letter with the app's own code and words; sent again, it is asked about again", async (t) => {
  const { page, hook } = await office(t);
  let known = false;
  const refusal = { refuse: { code: "no_such_customer", message: "this customer is not known" } };
  hook.says((question) => (known ? numbered(17)(question) : refusal));
  await issue(page);
  await until(page, (db) => db.outbox.current[0]?.state === "failed");
  const [{ rseq, error, action }] = await call(page, (db) => db.outbox.current);
  assert.deepEqual([error.code, error.message], ["no_such_customer", "this customer is not known"]);
  assert.equal(action.name, "issue");
  assert.deepEqual(await call(page, (db) => db.query("SELECT * FROM invoices")), []);

  // Somebody has entered the customer since.
  known = true;
  await call(page, (db, n) => db.outbox.retry(n), rseq);
  await until(page, (db) => db.outbox.current.length === 0);
  assert.deepEqual(await call(page, (db) => db.query("SELECT customer, number FROM invoices")), NUMBERED);
});

test("each failure of the server is told when it comes, with the next attempt, and it goes through once it can", async (t) => {
  const { page, hook } = await office(t);
  let closed = true;
  hook.says((question) => (closed ? { fail: "the books are closed" } : numbered(17)(question)));
  await issue(page);
  // As much waits as before, whatever becomes of it.
  for (const times of [1, 2]) {
    await until(
      page,
      (db, n) =>
        db.outbox.current.some((entry) => entry.attempts >= n && entry.nextAttemptAt && entry.failures.length >= n),
      times,
    );
  }
  const [{ state, error, failures }] = await call(page, (db) => db.outbox.current);
  assert.notEqual(state, "failed");
  assert.equal(error.code, "LF-6014");
  assert.match(error.message, /the books are closed/);
  assert.ok(failures.every(({ code }) => code === "LF-6014"));
  closed = false;
  await until(page, (db) => db.outbox.current.length === 0);
  assert.deepEqual(await call(page, (db) => db.query("SELECT customer, number FROM invoices")), NUMBERED);
});

test("what needs the server at once is refused without a connection, by name, and taken with one", async (t) => {
  const { site, page, hook } = await office(t);
  hook.says(() => ({}));
  const transfer = () => call(page, (db) => db.insert("transfers", { amount: 100 }));
  const audit = () => call(page, (db) => db.transaction((tx) => tx.action("audit")));
  site.mode = "down";
  site.cut();
  await until(page, (db) => db.status.current.connectivity === "offline");
  for (const [write, name] of [
    [transfer, "transfers"],
    [audit, "audit"],
  ]) {
    const { code, table, message } = await write();
    assert.deepEqual([code, table], ["LF-5031", name]);
    assert.match(message, new RegExp(`'${name}'.*nothing was written`));
  }
  // Nothing of the transaction is stored, also of what could wait.
  const both = await call(
    page,
    (db, row) =>
      db.transaction((tx) => {
        tx.insert("invoices", row);
        tx.insert("transfers", { amount: 100 });
      }),
    INVOICE,
  );
  assert.equal(both.code, "LF-5031");
  assert.deepEqual(await seen(page), [[]]);
  assert.equal(await call(page, (db) => db.status.current.pending), 0);

  site.mode = "up";
  await call(page, (db) => db.setOnline(true));
  await until(page, (db) => db.status.current.connectivity === "online");
  // What a person keeps back cannot be sent at once either.
  await call(page, (db) => db.outbox.pause());
  assert.equal((await transfer()).code, "LF-5031");
  await call(page, (db) => db.outbox.resume());
  for (const write of [transfer, audit]) assert.equal((await write()).code, undefined);
  await until(page, (db) => db.status.current.pending === 0 && db.outbox.current.length === 0);
  assert.equal(await call(page, (db) => db.status.current.failed), 0);
  assert.equal((await call(page, (db) => db.query("SELECT * FROM transfers"))).length, 1);
});

test("without a connection a bill is taken when it is due far enough ahead, and no sooner", async (t) => {
  const { page } = await office(t);
  const bill = (hours) =>
    call(page, (db, ahead) => db.insert("bills", { due: new Date(Date.now() + ahead * 3_600_000) }), hours);
  await call(page, (db) => db.setOnline(false));
  await until(page, (db) => db.status.current.connectivity === "offline");
  const { code, table, column, message } = await bill(23);
  assert.deepEqual([code, table, column], ["LF-5032", "bills", "due"]);
  assert.match(message, /'bills' takes only what is due in .* or later/);
  assert.equal(await call(page, (db) => db.status.current.pending), 0);

  assert.equal((await bill(48)).code, undefined);
  await until(page, (db) => db.outbox.current.length === 1);
  // It is for that day: it does not go out after it.
  const [expires, due] = await call(page, async (db) => {
    const [{ due }] = await db.query("SELECT due FROM bills");
    return [db.outbox.current[0].expiresAt.getTime(), new Date(due).getTime()];
  });
  assert.ok(expires <= due, `${expires} is after ${due}`);

  await call(page, (db) => db.setOnline(true));
  await until(page, (db) => db.outbox.current.length === 0 && db.status.current.connectivity === "online");
  assert.equal((await bill(1)).code, undefined);
  await until(page, (db) => db.outbox.current.length === 0 && db.status.current.pending === 0);
  assert.equal(await call(page, (db) => db.status.current.failed), 0);
  assert.equal((await call(page, (db) => db.query("SELECT * FROM bills"))).length, 2);
});
