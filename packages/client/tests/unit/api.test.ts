// docs/api is what the types say now, and every public item is explained. `LANDFALL_BLESS=1 npm test -w @landfall/client`
// writes it anew.

import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { Application, LogLevel } from "typedoc";
import { expect, test } from "vitest";

const PACKAGE = fileURLToPath(new URL("../../", import.meta.url));
const WRITTEN = path.join(PACKAGE, "../../docs/api");

/** Writes the reference into a folder; gives what typedoc finds wrong. */
async function write(folder: string): Promise<string[]> {
  const found: string[] = [];
  const app = await Application.bootstrapWithPlugins({ options: path.join(PACKAGE, "typedoc.json") });
  app.logger.log = (message, level) => {
    if (level >= LogLevel.Warn) found.push(message);
  };
  const project = await app.convert();
  if (!project) return [...found, "the types cannot be read"];
  app.validate(project);
  app.options.setValue("out", folder);
  await app.generateOutputs(project);
  return found;
}

test("the reference is what the types say, and leaves nothing unexplained", { timeout: 120_000 }, async () => {
  const blesses = process.env.LANDFALL_BLESS !== undefined;
  const folder = blesses ? WRITTEN : mkdtempSync(path.join(os.tmpdir(), "landfall-api-"));
  try {
    expect(await write(folder)).toEqual([]);
    expect(readdirSync(folder)).toEqual(readdirSync(WRITTEN));
    for (const file of readdirSync(folder)) {
      const [now, written] = [folder, WRITTEN].map((where) => readFileSync(path.join(where, file), "utf8"));
      expect(now, `docs/api/${file} is stale; see the head of this test`).toBe(written);
    }
  } finally {
    if (!blesses) rmSync(folder, { recursive: true });
  }
});
