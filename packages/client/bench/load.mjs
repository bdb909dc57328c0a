// A first load into the page beside the bare insert of as many rows, and what memory it leaves in use.

import { readFile } from "node:fs/promises";
import { asked, browser, figure, figures, median, page, scoped, times } from "./support.mjs";

/** Memory of the process that the page and its worker run in, not shared with others. */
async function privateBytes(here) {
  const session = await here.context().browser().newBrowserCDPSession();
  const { processInfo } = await session.send("SystemInfo.getProcessInfo");
  await session.detach();
  const pids = processInfo.filter(({ type }) => type === "renderer").map(({ id }) => id);
  const each = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/smaps_rollup`, "utf8").catch(() => "")));
  const kib = each.map((text) => [...text.matchAll(/^Private_\w+:\s+(\d+)/gm)].reduce((sum, [, n]) => sum + +n, 0));
  return Math.max(...kib) * 1024;
}

/** The bare insert: of rows that are there already for its time, of rows made on the way for its memory. */
async function floor(rows) {
  return scoped(async (scope) => {
    const here = await page(await browser(scope));
    return here.evaluate(async (rows) => {
      const { Bare } = globalThis.bench;
      const bare = new Bare();
      await bare.call("open", "timed");
      await bare.call("prepare", rows);
      const { ms } = await bare.call("load");
      bare.end();
      const other = new Bare();
      await other.call("open", "weighed");
      await other.call("fill", rows);
      return { ms, bytes: (await other.call("memory")).value };
    }, rows);
  });
}

async function load(rows) {
  return scoped(async (scope) => {
    const here = await page(await browser(scope));
    await here.evaluate(async () => {
      const { Measured, online } = globalThis.bench;
      globalThis.measured = new Measured();
      globalThis.db = await globalThis.measured.open();
      await online(globalThis.db);
      // What came before does not count.
      await globalThis.measured.ask();
    });
    const before = await privateBytes(here);
    const found = await here.evaluate(async () => {
      const { db, measured, bench } = globalThis;
      const start = performance.now();
      const shape = db.shape("list", { list: bench.LIST });
      await shape.ready;
      const ms = performance.now() - start;
      const [{ n }] = await db.query("SELECT count(*) AS n FROM items");
      const { bytes, longest } = await measured.ask();
      return { ms, n, bytes, longest };
    });
    if (found.n !== rows) throw new Error(`${found.n} of ${rows} rows arrived`);
    return { ...found, process: (await privateBytes(here)) - before };
  });
}

/** How long a page waits for reads and writes while as many rows come in. */
async function meanwhile() {
  return scoped(async (scope) => {
    const here = await page(await browser(scope));
    return here.evaluate(async () => {
      const { bench } = globalThis;
      const db = await bench.open();
      await bench.online(db);
      const [reads, writes] = [[], []];
      const timed = async (into, work) => {
        const start = performance.now();
        await work();
        into.push(performance.now() - start);
      };
      let loading = true;
      const ready = db.shape("list", { list: bench.LIST }).ready.then(() => {
        loading = false;
      });
      while (loading) {
        await timed(reads, () => db.query("SELECT title FROM items LIMIT 20"));
        await timed(writes, () => db.insert("items", bench.row(reads.length)));
      }
      await ready;
      return { reads, writes };
    });
  });
}

await figures(async () => {
  const { rows } = asked;
  const [bare, ours] = [[], []];
  for (let n = 0; n < times(3); n++) {
    bare.push(await floor(rows));
    ours.push(await load(rows));
  }
  const of = (list, name) => median(list.map((one) => one[name]));
  const { reads, writes } = await meanwhile();
  const memory = { floor: of(bare, "bytes") / 1e6 };
  return [
    figure(`${rows} rows into the page`, of(ours, "ms"), "ms", { floor: of(bare, "ms"), aim: "≤ 1.6×" }),
    figure("longest turn of the worker meanwhile", Math.max(...ours.map((one) => one.longest)), "ms", {
      aim: "≤ 50 ms",
    }),
    figure("a read of the page meanwhile, longest", Math.max(...reads), "ms"),
    figure("a write of the page meanwhile, longest", Math.max(...writes), "ms"),
    figure("rows per second", (rows / of(ours, "ms")) * 1e3, "/s", { floor: (rows / of(bare, "ms")) * 1e3 }),
    figure(`memory of the module after ${rows} rows`, of(ours, "bytes") / 1e6, "MB", memory),
    figure("memory of the page's process, grown by", of(ours, "process") / 1e6, "MB"),
  ];
});
