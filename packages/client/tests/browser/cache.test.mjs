// Fetched answers in a real browser: strategies against a network that fails, ages, invalidation, tabs that share a fetch,
// a disk that is full, a start without a network.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Browser, call, open, reload, Scope, Server, Site } from "./harness.mjs";

/** What the app declares of its cache, put into the compiled schema. */
const CACHE = {
  max_bytes: 65_536,
  policies: [{ name: "balance", strategy: "cache_first", max_age_ms: 3_600_000, timeout_ms: null, priority: 80 }],
};

/** Makes `cached`, and `bank`, which asks the site for the balance as an app would. */
async function prepare(page) {
  await page.evaluate(async () => {
    const { cache } = await import("/dist/cache.js");
    globalThis.cached = cache(globalThis.db);
    globalThis.bank = async () => {
      const answer = await fetch("/balance");
      if (!answer.ok) throw new Error(`status ${answer.status}`);
      return answer.json();
    };
  });
}

async function opened(page, options = {}) {
  const compiled = await page.evaluate(
    (cache) => JSON.stringify({ ...JSON.parse(globalThis.schema.compiled), cache }),
    CACHE,
  );
  const all = { ...options, patch: { compiled } };
  await open(page, all);
  await prepare(page);
  return all;
}

/** A site whose bank has a balance that grows with each question; `mode` "down" answers nothing, "wait" waits. */
async function stage(t) {
  const scope = new Scope(t);
  const site = await Site.start(scope, await Server.start(scope));
  const bank = { mode: "up", asked: 0, waiting: [] };
  const answer = (response) =>
    response.writeHead(200, { "content-type": "application/json" }).end(`{"cents":${bank.asked}}`);
  site.instead.set("/balance", (_, response) => {
    bank.asked++;
    if (bank.mode === "down") response.destroy();
    else if (bank.mode === "wait") bank.waiting.push(() => answer(response));
    else answer(response);
    bank.heard?.();
  });
  bank.release = () => {
    for (const answer of bank.waiting.splice(0)) answer();
  };
  bank.question = () =>
    new Promise((resolve) => {
      bank.heard = resolve;
    });
  return { scope, site, bank, browser: await Browser.start(scope) };
}

const brief = ({ value, source, stale, error }) => ({ value, source, stale, error: error?.code ?? error?.message });

test("each strategy asks whom it says, and a failing network shows why the cache answers", async (t) => {
  const { site, bank, browser } = await stage(t);
  const page = await browser.page(site);
  await opened(page);
  const ask = (options) =>
    call(
      page,
      async (_, given) => {
        const { value, source, stale, ageMs, error } = await cached.fetch("balance:1", bank, given);
        return { value, source, stale, old: ageMs === null ? null : ageMs >= 0, error: error?.name };
      },
      options,
    );
  const network = (cents) => ({ value: { cents }, source: "network", stale: false, old: true, error: undefined });
  const kept = (cents, error) => ({ value: { cents }, source: "cache", stale: false, old: true, error });
  assert.deepEqual(await ask(), network(1), "the policy of the key is cache first, and there is nothing");
  assert.deepEqual(await ask(), kept(1));
  assert.deepEqual(await ask("network-first"), network(2));
  bank.mode = "down";
  assert.deepEqual(await ask("network-first"), kept(2, "TypeError"));
  assert.deepEqual(await ask({ maxAge: 0 }), { ...kept(2, "TypeError"), stale: true });
  assert.deepEqual(await ask("cache-only"), kept(2));
  const refused = await call(page, () => cached.fetch("balance:1", bank, "network-only").catch(({ name }) => name));
  assert.equal(refused, "TypeError", "what the function threw, as it is");
  const missing = await call(page, () => cached.fetch("page:1", bank, "cache-only"));
  assert.equal(missing.code, "LF-5040");
  const { sinceOpen, entries, maxBytes } = await call(page, () => cached.stats());
  const { hits, stale, misses, network: direct, stored } = sinceOpen;
  assert.deepEqual([hits, stale, misses, direct, stored], [3, 1, 2, 2, 2]);
  assert.deepEqual([entries, maxBytes], [1, 65_536]);
});

test("a stale answer comes at once and the fresh one after it; what is watched is told in every tab", async (t) => {
  const { site, bank, browser } = await stage(t);
  const [page, other] = [await browser.page(site), await browser.page(site)];
  await opened(page);
  await opened(other);
  await other.evaluate(() => {
    globalThis.seen = [];
    globalThis.watched = cached.watch("balance:1");
    watched.subscribe((entry) => seen.push(entry?.value.cents));
  });
  const seen = (wanted) => other.waitForFunction((text) => globalThis.seen.join() === text, wanted, { polling: 50 });
  await seen("");
  await call(page, () => cached.fetch("balance:1", bank));
  await seen(",1");
  const [first, second] = await call(page, async () => {
    let heard;
    const fresh = new Promise((resolve) => {
      heard = resolve;
    });
    const options = { strategy: "stale-while-revalidate", maxAge: 0, onUpdate: heard };
    return [await cached.fetch("balance:1", bank, options), await fresh];
  });
  assert.deepEqual([first.value.cents, first.source, first.stale], [1, "cache", true]);
  assert.deepEqual([second.value.cents, second.source, second.stale], [2, "network", false]);
  await seen(",1,2");
  bank.mode = "down";
  const failed = await call(page, () =>
    new Promise((resolve) => {
      const options = { strategy: "stale-while-revalidate", maxAge: 0, onUpdate: resolve };
      void cached.fetch("balance:1", bank, options);
    }).then(({ value, error }) => [value.cents, error.name]),
  );
  assert.deepEqual(failed, [2, "TypeError"]);
  assert.equal(await call(page, () => cached.invalidate({ prefix: "balance:" })), 1);
  await seen(",1,2,");
});

test("a network that is slow is not waited for, and its late answer is kept", async (t) => {
  const { site, bank, browser } = await stage(t);
  const page = await browser.page(site);
  await opened(page);
  await call(page, () => cached.fetch("balance:1", bank));
  await page.evaluate(() => {
    globalThis.late = new Promise((resolve) => {
      cached.watch("balance:1").subscribe((entry) => entry.value.cents === 2 && resolve(entry));
    });
  });
  bank.mode = "wait";
  const hurried = await call(page, async () => {
    const { value, source, error } = await cached.fetch("balance:1", bank, {
      strategy: "network-first",
      timeout: "100ms",
    });
    return { value, source, error: error.code };
  });
  assert.deepEqual(hurried, { value: { cents: 1 }, source: "cache", error: "LF-5043" });
  bank.release();
  assert.equal((await page.evaluate(() => late)).value.cents, 2);
  // With nothing to fall back on, the slow answer is better than none.
  const asked = bank.question();
  const patient = call(page, () => cached.fetch("balance:2", bank, { strategy: "network-first", timeout: 1 }));
  await asked;
  bank.release();
  assert.equal((await patient).source, "network");
});

test("several calls at once, in two tabs, share one fetch; invalidating keeps it from being stored", async (t) => {
  const { site, bank, browser } = await stage(t);
  const [page, other] = [await browser.page(site), await browser.page(site)];
  await opened(page);
  await opened(other);
  bank.mode = "wait";
  const asked = bank.question();
  const here = call(page, () => Promise.all([1, 2].map(() => cached.fetch("page:1", bank))));
  await asked;
  // The other tab waits for this one: it asks for the lock that this one holds.
  const there = call(other, () => cached.fetch("page:1", bank, "network-first"));
  await other.waitForFunction(
    async () => (await navigator.locks.query()).pending.some(({ name }) => name.endsWith(":cache:page:1")),
    null,
    { polling: 50 },
  );
  bank.release();
  const answers = [...(await here), await there];
  assert.deepEqual(
    answers.map(({ value, source }) => [value.cents, source]),
    answers.map(() => [1, "network"]),
  );
  assert.equal(bank.asked, 1);
  const again = bank.question();
  const before = call(page, () => cached.fetch("page:1", bank, "network-only"));
  await again;
  assert.equal(await call(other, () => cached.invalidate("page:1")), 1);
  bank.release();
  assert.equal((await before).value.cents, 2, "who asked before is answered");
  assert.equal(await call(page, () => cached.peek("page:1")), null);
});

test("bytes and JSON outlive a reload without a network; what is too large is answered and not kept", async (t) => {
  const { site, bank, browser } = await stage(t);
  const page = await browser.page(site);
  const options = await opened(page);
  bank.mode = "down";
  await call(page, () => cached.put("logo", new Uint8Array([0, 255, 7]), { maxAge: "never", priority: 90 }));
  await call(page, () => cached.put("page:1", { title: 'a "quoted" title', parts: [1.5, null] }, { maxAge: "7d" }));
  site.mode = "down";
  await reload(page, options);
  await prepare(page);
  const found = await call(page, async () => {
    const [logo, text] = [await cached.peek("logo"), await cached.fetch("page:1", bank, "cache-first")];
    return [Array.from(logo.value), logo.stale, text.value, text.source];
  });
  assert.deepEqual(found, [[0, 255, 7], false, { title: 'a "quoted" title', parts: [1.5, null] }, "cache"]);
  const large = await call(page, async () => {
    const answer = await cached.fetch("film", () => new Uint8Array(70_000), "cache-first");
    return [answer.value.length, answer.source, answer.error.code, (await cached.stats()).sinceOpen.notStored];
  });
  assert.deepEqual(large, [70_000, "network", "LF-5041", 1]);
  for (const wrong of [
    () => cached.put("", 1),
    () => cached.put("k", undefined),
    () => cached.put("k", new Response("")),
    () => cached.put("k", 1, { maxAge: "soon" }),
    () => cached.put("k", 1, { priority: 101 }),
    () => cached.fetch("k", () => 1, "whenever"),
  ]) {
    assert.equal((await call(page, wrong)).code, "LF-5042", wrong.toString());
  }
});

test("on a full disk the network's answer is given, and the cache's as it was", async (t) => {
  const { site, bank, browser } = await stage(t);
  const page = await browser.page(site);
  await opened(page, { worker: "/tests/workers/full.js" });
  await call(page, () => cached.fetch("balance:1", bank));
  const tell = (full) =>
    page.evaluate(
      (data) =>
        new Promise((resolve) => {
          const channel = new BroadcastChannel("test:full");
          channel.onmessage = () => resolve(channel.close());
          channel.postMessage(data);
        }),
      full,
    );
  await tell(true);
  const answer = await call(page, () =>
    cached.fetch("balance:1", bank, "network-first").then(({ value, error }) => [value.cents, error.code]),
  );
  assert.deepEqual(answer, [2, "LF-5005"]);
  await tell(false);
  assert.deepEqual(brief(await call(page, () => cached.fetch("balance:1", bank))).value, { cents: 1 });
  await call(page, (db) => db.insert("notes", { owner: "ann", title: "goes on" }));
});
