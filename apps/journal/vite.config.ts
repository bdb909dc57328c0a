import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vitest/config";
import { precache } from "./precache.ts";

// While developing, the page comes from Vite and everything else from a server started with `cargo xtask serve`.
const SERVER = process.env.LANDFALL_SERVER ?? "http://127.0.0.1:4600";

export default defineConfig({
  plugins: [svelte(), precache()],
  worker: { format: "es" },
  build: {
    target: "es2022",
    // The service worker keeps one name: browsers look for a new version under it.
    rollupOptions: {
      input: { index: "index.html", sw: "src/sw.ts" },
      output: { entryFileNames: (chunk) => (chunk.name === "sw" ? "sw.js" : "assets/[name]-[hash].js") },
    },
    // One SVG or font more or less inside a script: a request saved is a byte that cannot be cached.
    assetsInlineLimit: 0,
  },
  // The tests in a browser are node's own: `npm run test:browser`.
  test: { include: ["src/**/*.test.ts"] },
  optimizeDeps: { exclude: ["@landfall/client"] },
  server: {
    headers: { "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp" },
    proxy: { "/v1": { target: SERVER, ws: true }, "/health": SERVER },
  },
});
