// Merge functions of the app's own in a page: what is pending is shown as the server will merge it, by whichever tab holds the
// database, and no fault of a function reaches further than that. docs/schema.md, "Functions of your own".

import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";
import { Browser, call, folder, open, reload, Scope, Server, Site, tryOpen } from "./harness.mjs";

const SHELF = `
[app]
name = "shelf"

[tables.books.columns]
id     = "integer"
rating = { type = "integer", merge = "custom", function = "mean", max = 10 }
round  = "integer"

[shapes.books]
table = "books"
`;
const MEAN =
  "export const mean = ({ ours, theirs }) => { if ((ours + theirs) % 2) throw Error('odd'); return (ours + theirs) / 2; };";
const NAMED = { name: "shelf" };
const BEN = { ...NAMED, token: "dev:ben", mergeFunctions: "/merge.js" };

/** A shelf with one book that Ann and Ben both have; `module.source` is what the pages find at `/merge.js`. */
async function shelf(t) {
  const scope = new Scope(t);
  const schema = path.join(await folder(scope), "landfall.toml");
  await writeFile(schema, SHELF);
  const site = await Site.start(scope, await Server.startWithFunctions(scope, schema));
  const module = { source: MEAN };
  site.instead.set("/merge.js", (_, response) => {
    if (module.source === null) response.writeHead(404).end();
    else response.writeHead(200, { "content-type": "text/javascript", "cache-control": "no-store" }).end(module.source);
  });
  const browsers = [await Browser.start(scope), await Browser.start(scope)];
  const [ann, ben] = await Promise.all(browsers.map((browser) => browser.page(site)));
  await open(ann, { ...NAMED, token: "dev:ann" });
  await open(ben, BEN);
  for (const page of [ann, ben]) await call(page, (db) => db.shape("books").ready);
  await call(ann, (db) => db.insert("books", { id: 1, rating: 6, round: 0 }));
  await sees(ben, { rating: 6, round: 0 });
  return { site, module, ann, ben, bens: browsers[1] };
}

/** Waits until the book is as this says. */
const sees = (page, wanted) =>
  call(
    page,
    (db, wanted) =>
      new Promise((resolve) => {
        const live = db.live("SELECT rating, round FROM books");
        const stop = live.subscribe(({ rows: [row] }) => {
          if (!row || Object.entries(wanted).some(([name, value]) => row[name] !== value)) return;
          queueMicrotask(() => stop());
          resolve();
        });
      }),
    wanted,
  );
const rating = (page) => call(page, (db) => db.query("SELECT rating FROM books").then(([row]) => row.rating));
const rates = (page, row) => call(page, (db, row) => db.update("books", 1, row), row);
const pause = (page) => call(page, (db) => db.outbox.pause());
const resume = (page) => call(page, (db) => db.outbox.resume());

test("what waits is shown as the server will merge it, also by the tab that takes over, and stays so", async (t) => {
  const { site, module, ann, ben, bens } = await shelf(t);
  const second = await bens.page(site);
  assert.equal((await open(second, BEN)).role, "follower");
  // The module was loaded by each tab that may hold the database one day, which may be without a network.
  module.source = null;
  await pause(ben);
  await rates(ben, { rating: 10 });
  await rates(ann, { rating: 4, round: 1 });
  for (const page of [ben, second]) await sees(page, { rating: 7, round: 1 });
  await ben.close();
  await rates(ann, { rating: 2, round: 2 });
  await sees(second, { rating: 6, round: 2 });
  assert.equal(await rating(ann), 2);
  await resume(second);
  for (const page of [second, ann]) await sees(page, { rating: 6 });
});

test("a function that decides nothing leaves what waits as it was written, and says so once", async (t) => {
  const { module, ann, ben } = await shelf(t);
  const said = [];
  ben.on("console", (message) => said.push(message.text()));
  await pause(ben);
  await rates(ben, { rating: 10 });
  const bad = {
    "not today": "export const mean = () => { throw new Error('not today'); };",
    "two answers": "let n = 0; export const mean = () => ++n % 10;",
    "takes a whole number": "export const mean = () => 'seven';",
    "takes a whole": "export const mean = () => Promise.resolve(7);",
    "has none of this name": "export const median = () => 7;",
  };
  let round = 0;
  for (const [why, source] of Object.entries(bad)) {
    module.source = source;
    said.length = 0;
    await reload(ben, BEN);
    for (let n = 0; n < 3; n++) {
      await rates(ann, { rating: (round % 4) + 1, round: ++round });
      await sees(ben, { round });
      assert.equal(await rating(ben), 10, why);
    }
    const told = said.filter((text) => text.includes("merge function"));
    assert.equal(told.length, 1, `${why}: ${said}`);
    assert.ok(told[0].includes("'mean'") && told[0].includes(why), told[0]);
  }
  // A value that the column refuses is the server's to tell of.
  module.source = "export const mean = () => 1000;";
  await reload(ben, BEN);
  await rates(ann, { rating: 4, round: ++round });
  await sees(ben, { round });
  assert.equal(await rating(ben), 10);
  await resume(ben);
  for (const page of [ben, ann]) await sees(page, { rating: 7 });
});

test("a module that is not there keeps the database from opening, and the error says which", async (t) => {
  const { module, ben } = await shelf(t);
  module.source = null;
  await ben.reload();
  await ben.waitForFunction(() => globalThis.ready === true, null, { polling: 50 });
  for (const mergeFunctions of ["/merge.js", "http://"]) {
    const refused = await tryOpen(ben, { ...BEN, mergeFunctions });
    assert.equal(refused.code, "LF-5923");
    assert.ok(refused.message.includes(mergeFunctions), refused.message);
  }
  module.source = MEAN;
  await open(ben, BEN);
  assert.equal(await rating(ben), 6);
});
