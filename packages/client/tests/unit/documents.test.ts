// The programs in README.md, in docs (browser, caches, history, versions) and in the recipes type-check against the SDK's own source and
// the types that are generated from their schemas.

import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { expect, test } from "vitest";

const ROOT = fileURLToPath(new URL("../../../../", import.meta.url));
/** Beside the generated types of the example. */
const JOURNAL = "apps/journal/src";
/** Beside those of each recipe, which a test of the command line keeps. */
const RECIPES = "crates/cli/tests/generate/recipes";

function findings(program: string, folder = JOURNAL): string[] {
  const place = path.join(ROOT, folder, "document.ts");
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
      "@landfall/client/docs": [path.join(ROOT, "packages/client/src/docs.ts")],
      "@landfall/client/history": [path.join(ROOT, "packages/client/src/history.ts")],
      "@landfall/client/restore": [path.join(ROOT, "packages/client/src/restore.ts")],
      "@landfall/client/versions": [path.join(ROOT, "packages/client/src/versions.ts")],
    },
  };
  const host = ts.createCompilerHost(options);
  const { getSourceFile, fileExists } = host;
  host.fileExists = (name) => name === place || fileExists(name);
  host.getSourceFile = (name, version, ...rest) =>
    name === place ? ts.createSourceFile(name, program, version) : getSourceFile(name, version, ...rest);
  const made = ts.createProgram([place], options, host);
  const source = made.getSourceFile(place);
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

test("the program of the schema's page type-checks", { timeout: 60_000 }, () => {
  const blocks = blocksOf("docs/schema.md");
  expect(blocks).toHaveLength(1);
  const program = blocks.join("\n").replace("./landfall.gen", "./everything.gen");
  expect(findings(program, "crates/cli/tests/generate")).toEqual([]);
});

test("the programs of the recipes type-check", { timeout: 120_000 }, () => {
  const recipes = readdirSync(path.join(ROOT, "docs/recipes")).filter((name) => name !== "README.md");
  const withPrograms = recipes.filter((name) => blocksOf(`docs/recipes/${name}`).length > 0);
  expect(withPrograms.length).toBeGreaterThan(2);
  for (const name of withPrograms) {
    const program = blocksOf(`docs/recipes/${name}`).join("\n");
    expect(findings(program, path.join(RECIPES, name.replace(".md", ""))), name).toEqual([]);
  }
});

test("the lists' ranks lie between their neighbours", async () => {
  const code = ts.transpile(blocksOf("docs/recipes/todo.md").join("\n"), { target: ts.ScriptTarget.ES2022 });
  const { between } = (await import(/* @vite-ignore */ `data:text/javascript,${encodeURIComponent(code)}`)) as {
    between: (before: string | null, after: string | null, salt: string) => string;
  };
  const ranks: string[] = [];
  for (let n = 0; n < 2_000; n++) {
    const at = [0, ranks.length, ranks.length >> 1, (n * 7919) % (ranks.length + 1)][n >> 9] ?? 0;
    const salt = ((n * 40_503) & 0xffff).toString(16).padStart(4, "0");
    ranks.splice(at, 0, between(ranks[at - 1] ?? null, ranks[at] ?? null, salt));
  }
  for (const [at, rank] of ranks.entries()) expect(at === 0 || (ranks[at - 1] ?? "") < rank).toBe(true);
  expect(Math.max(...ranks.map((rank) => rank.length))).toBeLessThanOrEqual(500);
});

test("the program of the page on history type-checks, and a table without one would be found", {
  timeout: 60_000,
}, () => {
  const given = `import type { Database } from "@landfall/client";
    import { schema, type Shapes, type Tables } from "./landfall.gen";
    declare const db: Database<Tables, Shapes>;
    declare const id: string;
    declare function show(rows: readonly { change_kind: "before" | "insert" | "update" | "delete" | "lost" }[]): void;`;
  const blocks = blocksOf("docs/history.md");
  expect(blocks).toHaveLength(1);
  expect(findings([given, ...blocks].join("\n"))).toEqual([]);
  expect(findings([given, ...blocks, 'changesOf(db, schema, "posts", id);'].join("\n"))).toHaveLength(1);
});

test("the program of the page on versions type-checks, and a table without them would be found", {
  timeout: 60_000,
}, () => {
  const given = `import type { Database } from "@landfall/client";
    import type { VersionEntry } from "@landfall/client/versions";
    import { schema, type Shapes, type Tables } from "./landfall.gen";
    declare const db: Database<Tables, Shapes>;
    declare const id: string;
    declare function show(rows: readonly VersionEntry[]): void;`;
  const blocks = blocksOf("docs/versions.md");
  expect(blocks).toHaveLength(1);
  expect(findings([given, ...blocks].join("\n"))).toEqual([]);
  expect(findings([given, ...blocks, 'versionsOf(db, schema, "posts", id);'].join("\n"))).toHaveLength(1);
});

test("the guide's program type-checks, and a mistake in it would be found", { timeout: 60_000 }, () => {
  const blocks = blocksOf("docs/browser.md");
  expect(blocks.length).toBeGreaterThan(5);
  expect(findings(blocks.join("\n"))).toEqual([]);
  const wrong = `${blocks.join("\n")}\nawait db.insert("notes", { owner: 7, title: "a" }); await db.update("note", id, {});`;
  expect(findings(wrong)).toHaveLength(2);
});
