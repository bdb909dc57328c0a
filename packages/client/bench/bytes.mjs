// What a browser downloads: the module beside the bare one, and the JavaScript of the SDK.

import { readdir, readFile } from "node:fs/promises";
import path from "node:path";
import { brotliCompressSync, constants } from "node:zlib";
import { asked, figure, figures } from "./support.mjs";

const MOST = { params: { [constants.BROTLI_PARAM_QUALITY]: constants.BROTLI_MAX_QUALITY } };

async function sizes(folder, wanted) {
  const names = (await readdir(folder)).filter((name) => wanted.test(name));
  const files = await Promise.all(names.map((name) => readFile(path.join(folder, name))));
  const sum = (size) => files.reduce((total, file) => total + size(file), 0) / 1e3;
  return { count: files.length, raw: sum((f) => f.length), brotli: sum((f) => brotliCompressSync(f, MOST).length) };
}

await figures(async () => {
  const [sdk, page] = ["sdk", "page"].map((folder) => path.join(asked.app, folder, "assets"));
  const module = await sizes(sdk, /\.wasm$/);
  const bare = await sizes(page, /bench_web.*\.wasm$/);
  const script = await sizes(sdk, /\.js$/);
  if (module.count !== 1 || bare.count !== 1 || script.count < 2) throw new Error("the built files are not complete");
  return [
    figure("WebAssembly, as it is", module.raw, "kB", { floor: bare.raw }),
    figure("WebAssembly, brotli", module.brotli, "kB", { floor: bare.brotli }),
    figure("WebAssembly, brotli, over SQLite's own", module.brotli - bare.brotli, "kB", { aim: "≤ 100 kB" }),
    figure("JavaScript of the SDK, minified", script.raw, "kB"),
    figure("JavaScript of the SDK, brotli", script.brotli, "kB", { aim: "≤ 15 kB" }),
  ];
});
