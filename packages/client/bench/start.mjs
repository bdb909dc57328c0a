// From the navigation to the answer of a first query: with nothing in the browser yet, and with everything.

import { asked, browser, figures, latencies, scoped, times } from "./support.mjs";

async function started(page, what) {
  await page.goto(`${asked.url}/?start=${what}`);
  const answered = await page.waitForFunction(() => globalThis.answered, null, { polling: 20 });
  return answered.jsonValue();
}

async function cold(what) {
  return scoped(async (scope) => started(await (await browser(scope)).context.newPage(), what));
}

/** Each in a new tab of the same browser, so that scripts, module and database are there. */
async function cached(what, count) {
  return scoped(async (scope) => {
    const { context } = await browser(scope);
    const found = [];
    for (let n = -2; n < count; n++) {
      const page = await context.newPage();
      const ms = await started(page, what);
      if (n >= 0) found.push(ms);
      await page.close();
    }
    return found;
  });
}

await figures(async () => {
  const first = { landfall: [], bare: [] };
  for (let n = 0; n < times(7); n++) {
    for (const what of ["bare", "landfall"]) first[what].push(await cold(what));
  }
  const again = { bare: await cached("bare", times(20)), landfall: await cached("landfall", times(20)) };
  const [p50] = latencies("first start, navigation to first query", first.landfall, first.bare);
  return [p50, ...latencies("cached start, navigation to first query", again.landfall, again.bare)];
});
