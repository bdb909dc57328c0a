// Builds the page of the benchmarks as an app is built, and the SDK alone, of which the bytes are counted.
//
// node build.mjs OUT SCHEMA: the folder to write, the file that `landfall generate` made.

import path from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "vite";

const [out, schema] = process.argv.slice(2).map((given) => path.resolve(given));
const here = (relative) => fileURLToPath(new URL(relative, import.meta.url));

const common = {
  configFile: false,
  logLevel: "warn",
  worker: { format: "es" },
  resolve: { alias: { "landfall-schema": schema, "bare-module": here("bare/landfall_bench_web.js") } },
};
const options = { target: "es2022", emptyOutDir: true, assetsInlineLimit: 0, modulePreload: { polyfill: false } };

await build({ ...common, root: here("page"), build: { ...options, outDir: path.join(out, "page") } });
await build({
  ...common,
  root: here(".."),
  build: {
    ...options,
    outDir: path.join(out, "sdk"),
    rollupOptions: { input: here("../dist/index.js"), preserveEntrySignatures: "strict" },
  },
});
