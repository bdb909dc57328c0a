// From a write to the rows of a live query in the page, and to the screen; from another browser too.

import { browser, figures, latencies, page, times } from "./support.mjs";

const SQL = "SELECT id, title, position FROM items ORDER BY position DESC LIMIT 50";

/** Opens the list in a page and draws it, as an app does. */
function draw(here) {
  return here.evaluate(async (sql) => {
    const { LIST, online, open } = globalThis.bench;
    const db = await open();
    globalThis.db = db;
    const shape = db.shape("list", { list: LIST });
    await shape.ready;
    await online(db);
    const list = document.getElementById("list");
    const items = (rows) =>
      rows.map(({ title }) => {
        const item = document.createElement("li");
        item.textContent = title;
        return item;
      });
    // `seen` hears when the row of this title has come.
    globalThis.seen = new Map();
    const live = db.live(sql);
    live.subscribe(({ rows }) => {
      const at = performance.now();
      list.replaceChildren(...items(rows));
      for (const { title } of rows) {
        globalThis.seen.get(title)?.(at);
        globalThis.seen.delete(title);
      }
    });
    await db.query("SELECT 1");
  }, SQL);
}

async function own(here, count) {
  return here.evaluate(async (count) => {
    const { painted, row } = globalThis.bench;
    const found = { rows: [], screen: [], frame: [] };
    for (let n = 0; n < count; n++) {
      const one = row(1_000_000 + n);
      const came = new Promise((resolve) => globalThis.seen.set(one.title, resolve));
      await painted();
      const start = performance.now();
      void globalThis.db.insert("items", one);
      found.rows.push((await came) - start);
      found.screen.push((await painted()) - start);
      const before = performance.now();
      document.getElementById("list").firstChild.textContent += ".";
      found.frame.push((await painted()) - before);
    }
    return found;
  }, count);
}

async function remote(writer, reader, count) {
  const found = [];
  for (let n = 0; n < count; n++) {
    const at = 2_000_000 + n;
    await reader.evaluate((at) => {
      const { title } = globalThis.bench.row(at);
      globalThis.came = new Promise((resolve) => {
        globalThis.seen.set(title, (ms) => resolve(performance.timeOrigin + ms));
      });
    }, at);
    const start = await writer.evaluate(async (at) => {
      const one = globalThis.bench.row(at);
      const start = performance.timeOrigin + performance.now();
      await globalThis.db.insert("items", one);
      return start;
    }, at);
    found.push((await reader.evaluate(() => globalThis.came)) - start);
  }
  return found;
}

await figures(async (scope) => {
  const here = await page(await browser(scope));
  await draw(here);
  const mine = await own(here, times(200));
  const there = await page(await browser(scope));
  await draw(there);
  const theirs = await remote(there, here, times(200));
  return [
    ...latencies("write to the rows of a live query", mine.rows),
    ...latencies("write to the screen, with the frame", mine.screen, mine.frame),
    ...latencies("write in another browser to the rows here", theirs),
  ];
});
