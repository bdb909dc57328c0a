// The programs in README.md, docs/browser.md and docs/caches.md type-check against the SDK's own source and the example's generated types.

import { readFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { expect, test } from "vitest";

const ROOT = fileURLToPath(new URL("../../../../", import.meta.url));
const PROGRAM = path.join(ROOT, "apps/journal/src/document.ts");

function findings(program: string): string[] {
  const options: ts.CompilerOptions = {
    target: ts.ScriptTarget.ES2022,
    module: ts.ModuleKind.ES2022,
    moduleResolution: ts.ModuleResolutionKind.Bundler,
    lib: [
      "lib.es2024.d.ts",
      "lib.esnext.disposable.d.ts",
      "lib.dom.d.ts",
      "lib.dom.iterable.d.ts",
      "lib.dom.asynciterable.d.ts",
    ],
    strict: true,
    exactOptionalPropertyTypes: true,
    noEmit: true,
    skipLibCheck: true,
    types: [],
    paths: {
      "@landfall/client": [path.join(ROOT, "packages/client/src/index.ts")],
      "@landfall/client/cache": [path.join(ROOT, "packages/client/src/cache.ts")],
    },
  };
  const host = ts.createCompilerHost(options);
  const { getSourceFile, fileExists } = host;
  host.fileExists = (name) => name === PROGRAM || fileExists(name);
  host.getSourceFile = (name, version, ...rest) =>
    name === PROGRAM ? ts.createSourceFile(name, program, version) : getSourceFile(name, version, ...rest);
  const made = ts.createProgram([PROGRAM], options, host);
  const source = made.getSourceFile(PROGRAM);
  const found = [...made.getSyntacticDiagnostics(source), ...made.getSemanticDiagnostics(source)];
  return found.map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, "\n"));
}

function blocksOf(document: string): string[] {
  const text = readFileSync(path.join(ROOT, document), "utf8");
  return [...text.matchAll(/^```ts\n(.*?)^```/gms)].map(([, block]) => block ?? "");
}

test("the README's program type-checks, and has ten lines", { timeout: 60_000 }, () => {
  const blocks = blocksOf("README.md");
  expect(blocks).toHaveLength(1);
  expect(findings(blocks.join("\n"))).toEqual([]);
  expect(blocks[0]?.trimEnd().split("\n").length).toBeLessThanOrEqual(10);
});

test("the program of the caches' page type-checks", { timeout: 60_000 }, () => {
  const blocks = blocksOf("docs/caches.md");
  expect(blocks.length).toBeGreaterThan(1);
  expect(findings(blocks.join("\n"))).toEqual([]);
});

test("the guide's program type-checks, and a mistake in it would be found", { timeout: 60_000 }, () => {
  const blocks = blocksOf("docs/browser.md");
  expect(blocks.length).toBeGreaterThan(5);
  expect(findings(blocks.join("\n"))).toEqual([]);
  const wrong = `${blocks.join("\n")}\nawait db.insert("notes", { owner: 7, title: "a" }); await db.update("note", id, {});`;
  expect(findings(wrong)).toHaveLength(2);
});
