// One row a transaction, as the page sees it, beside the bare commit of the same row.

import { browser, figures, latencies, page, times } from "./support.mjs";

const PER_TURN = 100;

await figures(async (scope) => {
  const here = await page(await browser(scope));
  // In turns, so that what else the machine does meets both alike.
  const found = await here.evaluate(
    async ([turns, perTurn]) => {
      const { Bare, Measured, row } = globalThis.bench;
      const [bare, measured] = [new Bare(), new Measured()];
      await bare.call("open", "bare");
      const db = await measured.open({ server: null });
      const found = { page: [], engine: [], asked: [], commit: [] };
      for (let turn = -1; turn < turns; turn++) {
        const counts = turn >= 0;
        for (let n = 0; n < perTurn; n++) {
          const { id, position } = row(n);
          const start = performance.now();
          const { ms } = await bare.call("write", id, position);
          if (counts) found.asked.push(performance.now() - start);
          if (counts) found.commit.push(ms);
        }
        for (let n = 0; n < perTurn; n++) {
          const one = row(n);
          const start = performance.now();
          await db.insert("items", one);
          if (counts) found.page.push(performance.now() - start);
        }
        const { writes } = await measured.ask();
        if (counts) found.engine.push(...writes);
      }
      return found;
    },
    [times(20), PER_TURN],
  );
  const aim = "≤ 1 ms over the floor";
  return [
    ...latencies("write transaction as the page sees it", found.page, found.commit, aim),
    ...latencies("the engine's part of it", found.engine, found.commit),
    ...latencies("the bare commit asked for by the page", found.asked, found.commit),
  ];
});
