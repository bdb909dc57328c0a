// The examples of the reference are programs: each compiles with the types as they are.

import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { expect, test } from "vitest";

const SOURCES = fileURLToPath(new URL("../../src/", import.meta.url));

/** What examples have around them: a database with pages, which have a document, versions and a history. */
const AROUND = `
import { Awareness } from "y-protocols/awareness";
import * as Y from "yjs";
import { bindDoc, docText, docUpdate, updateText, type BoundDoc } from "./docs.js";
import { asOf, changesOf, restore, thisDevice } from "./history.js";
import type { AnyActions, AnyShapes, Database, Schema } from "./index.js";
import { presence } from "./presence.js";
import { restoreDoc } from "./restore.js";
import { keepVersion, keepVersions, readVersion, restoreVersion, versionsOf } from "./versions.js";
interface Page { id: string; title: string | null }
interface Table<R> { row: R; insert: Partial<R>; update: Partial<R>; key: string }
interface Update { doc_id: string; id: string; doc_column: "body"; doc_update: Uint8Array }
interface Version extends Page { version_id: string; version_name: string | null; body: Uint8Array | null }
interface Change extends Page { change_id: string; change_by: string | null; change_kind: string }
interface Tables {
  pages: Table<Page>;
  pages_docs: Table<Update>;
  pages_versions: Table<Version>;
  pages_history: Table<Change>;
}
declare const db: Database<Tables, AnyShapes, AnyActions>;
declare const schema: Schema<Tables, AnyShapes, AnyActions>;
declare const id: string;
declare const versionId: string;
declare const doc: Y.Doc;
declare const bound: BoundDoc;
declare function show(what: unknown): void;
`;

/** The examples of a file, and the name of what each is of. */
function examples(file: string): [name: string, code: string][] {
  const text = readFileSync(path.join(SOURCES, file), "utf8");
  const found = text.matchAll(/@example\n \* ```ts\n((?: \*.*\n)+?) \* ```\n \*\/\nexport (?:async )?function (\w+)/g);
  return [...found].map(([, code = "", name = ""]) => [name, code.replaceAll(/^ \* ?/gm, "")]);
}

const FILES = ["docs.ts", "history.ts", "presence.ts", "restore.ts", "updates.ts", "versions.ts"];

test("each function of a part of the package has an example, and each example compiles", { timeout: 120_000 }, () => {
  const all = FILES.flatMap(examples);
  const functions = FILES.flatMap((file) => {
    const text = readFileSync(path.join(SOURCES, file), "utf8");
    return [...text.matchAll(/^export (?:async )?function (\w+)/gm)].map(([, name]) => name);
  });
  expect(readdirSync(SOURCES)).toEqual(expect.arrayContaining(FILES));
  expect(all.map(([name]) => name)).toEqual(functions);

  const files = new Map(
    all.map(([name, code]) => [path.join(SOURCES, `example-${name}.ts`), `${AROUND}{\n${code}}\nexport {};\n`]),
  );
  const config = ts.readConfigFile(path.join(SOURCES, "../tsconfig.json"), ts.sys.readFile);
  const { options } = ts.parseJsonConfigFileContent(config.config, ts.sys, path.join(SOURCES, ".."));
  Object.assign(options, { noEmit: true, noUnusedLocals: false, noUnusedParameters: false });
  const host = ts.createCompilerHost(options);
  const [read, exists] = [host.readFile, host.fileExists];
  host.readFile = (file) => files.get(file) ?? read(file);
  host.fileExists = (file) => files.has(file) || exists(file);
  const source = host.getSourceFile;
  host.getSourceFile = (file, target, ...rest) => {
    const text = files.get(file);
    return text === undefined ? source(file, target, ...rest) : ts.createSourceFile(file, text, target);
  };
  const program = ts.createProgram([...files.keys()], options, host);
  const wrong = [...files.keys()].flatMap((file) => program.getSemanticDiagnostics(program.getSourceFile(file)));
  const told = wrong.map(
    ({ file, messageText }) => `${file?.fileName}: ${ts.flattenDiagnosticMessageText(messageText, "\n")}`,
  );
  expect(told).toEqual([]);
});
