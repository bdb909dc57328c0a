// From the closing of the tab that holds the database to the first answer of the next one.

import { browser, figure, figures, page, quantile, scoped, times } from "./support.mjs";

/** Opens a tab, and gives what waits until it holds the database and has answered. */
const WAYS = {
  bare: async (here) => {
    await here.evaluate(() => {
      globalThis.bare = new globalThis.bench.Bare();
      globalThis.holds = globalThis.bare.call("open", "bare").then(() => globalThis.bare.call("count"));
    });
    return () => here.evaluate(() => globalThis.holds.then(() => undefined));
  },
  landfall: async (here) => {
    await here.evaluate(async () => {
      const { open, status } = globalThis.bench;
      globalThis.db = await open({ server: null });
      globalThis.holds = status(globalThis.db, ({ role }) => role === "owner").then(() =>
        globalThis.db.query("SELECT count(*) AS n FROM items"),
      );
    });
    return () => here.evaluate(() => globalThis.holds.then(() => undefined));
  },
};

async function handOvers(what, count) {
  return scoped(async (scope) => {
    const browser_ = await browser(scope);
    const found = [];
    let owner = await page(browser_);
    await (await WAYS[what](owner))();
    for (let n = 0; n < count; n++) {
      const next = await page(browser_);
      const holds = await WAYS[what](next);
      // The next one stands in line: from here on nothing but the lock is between it and the database.
      await next.waitForFunction(async () => (await navigator.locks.query()).pending.length > 0, null, { polling: 20 });
      const held = holds();
      const start = performance.now();
      await owner.close();
      await held;
      found.push(performance.now() - start);
      owner = next;
    }
    return found;
  });
}

await figures(async () => {
  const count = times(15);
  const bare = await handOvers("bare", count);
  const ours = await handOvers("landfall", count);
  const beside = (name, q) =>
    figure(`closing of a tab to the next one's first answer, ${name}`, quantile(ours, q), "ms", {
      floor: quantile(bare, q),
    });
  return [beside("p50", 0.5), beside("worst", 1)];
});
