// What every browser benchmark stands on: a browser of its own, pages of the served app, figures on the way out.

import { Browser, Scope } from "../tests/browser/harness.mjs";

/** What `landfall-bench` asks for: `url` of the server with the page, `app` the built files, `scale`, `rows`. */
export const asked = JSON.parse(process.argv[2] ?? "{}");

/** So many, or fewer where a quick look is enough. */
export function times(full) {
  return Math.max(2, Math.round(full / (asked.scale ?? 1)));
}

/** Runs `measure` with a scope that is ended after it, and prints the figures that it gives as the last line. */
export async function figures(measure) {
  const found = await scoped(measure);
  process.stdout.write(`${JSON.stringify(found)}\n`);
}

/** Everything that was started in it ends with it. */
export async function scoped(work) {
  const ends = [];
  const scope = new Scope({ after: (end) => ends.push(end) });
  try {
    return await work(scope);
  } finally {
    for (const end of ends) await end();
  }
}

/** A browser with an empty profile. */
export function browser(scope) {
  return Browser.start(scope);
}

/** A page of the app; `bench` is on its window. */
export function page(browser_) {
  return browser_.page({ url: asked.url });
}

export function quantile(values, q) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))];
}

export const median = (values) => quantile(values, 0.5);

/** One figure. `more` may hold `floor` and `aim`. */
export function figure(name, value, unit, more = {}) {
  return { name, value, unit, floor: null, aim: null, ...more };
}

/** p50 and p99 of milliseconds beside those of the floor. */
export function latencies(name, values, floor, aim = null) {
  return [0.5, 0.99].map((q) => {
    const beside = floor ? { floor: quantile(floor, q) } : {};
    return figure(`${name}, p${q * 100}`, quantile(values, q), "ms", { ...beside, aim: q === 0.5 ? aim : null });
  });
}
