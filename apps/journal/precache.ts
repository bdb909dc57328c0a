// What the service worker keeps: every file of the build, each with its digest, written into sw.js. Also packs the
// files that are worth it, for a server that sends them as they lie.

import { createHash } from "node:crypto";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join, relative, sep } from "node:path";
import { promisify } from "node:util";
import { brotliCompress, constants, gzip } from "node:zlib";
import type { Plugin } from "vite";

/** Stands in sw.ts where the list goes. */
const PLACE = /(["'`])@@PRECACHE@@\1/;
/** Letters of other alphabets are fetched when a page shows them, and not by everybody. */
const LEFT_OUT = /\.(br|gz|map)$|^sw\.js$|(cyrillic|greek|vietnamese|-ext)[^/]*\.woff2$/;
const PACKED = /\.(html|js|css|svg|wasm|webmanifest|json)$/;
/** A smaller file is as quick unpacked. */
const PACKED_FROM_BYTES = 1024;

async function files(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const found = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  return found.map((path) => relative(folder, path).split(sep).join("/")).sort();
}

async function pack(path: string): Promise<void> {
  const bytes = await readFile(path);
  if (bytes.length < PACKED_FROM_BYTES) return;
  const params = { [constants.BROTLI_PARAM_QUALITY]: 9, [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length };
  await writeFile(`${path}.br`, await promisify(brotliCompress)(bytes, { params }));
  await writeFile(`${path}.gz`, await promisify(gzip)(bytes, { level: 9 }));
}

export function precache(): Plugin {
  let folder = "";
  return {
    name: "journal-precache",
    apply: "build",
    configResolved(config) {
      folder = join(config.root, config.build.outDir);
    },
    async closeBundle() {
      const kept: [path: string, integrity: string][] = [];
      const names = await files(folder);
      for (const name of names.filter((name) => !LEFT_OUT.test(name))) {
        const digest = createHash("sha256").update(await readFile(join(folder, name)));
        kept.push([`/${name}`, `sha256-${digest.digest("base64")}`]);
      }
      const script = join(folder, "sw.js");
      const source = await readFile(script, "utf8");
      if (!PLACE.test(source)) throw new Error("sw.js has no place for the list of files to keep");
      await writeFile(
        script,
        source.replace(PLACE, () => JSON.stringify(kept)),
      );
      await Promise.all(names.filter((name) => PACKED.test(name)).map((name) => pack(join(folder, name))));
    },
  };
}
