// What can be said of a document from its updates, without Yjs: by a module of ours, loaded when it is first asked.

import { errorOf } from "./error.js";
import type { Database, KeyOf, RowOf } from "./types.js";

/** The tables that have documents. */
export type Documented<Tables> = {
  [T in keyof Tables & string]: `${T}_docs` extends keyof Tables ? T : never;
}[keyof Tables & string];

/** The documents of a row of such a table: its columns of type `doc`. */
export type DocColumn<Tables, T extends string> = `${T}_docs` extends keyof Tables
  ? DocColumnIn<RowOf<Tables, `${T}_docs`>>
  : string;

/** The names that `doc_column` takes in such a row of a table's updates. */
export type DocColumnIn<Row> = "doc_column" extends keyof Row ? Row["doc_column"] : string;

const quote = (name: string) => `"${name.replaceAll('"', '""')}"`;

/** The database, with what is the package's own. */
type Db = Database & { keyOf(table: string): string };

/**
 * The text of a document as this device holds it, without a `Y.Doc`: that of `getText(name)`, or the lines of
 * `getXmlFragment(name)`, as editors of rich text have it. The first call loads a module of some 100 kB.
 * @example
 * ```ts
 * const text = await docText(db, "pages", id, "body", "body");
 * ```
 */
export async function docText<Tables, Shapes, Actions, T extends Documented<Tables>>(
  db: Database<Tables, Shapes, Actions>,
  table: T,
  key: KeyOf<Tables, T>,
  column: DocColumn<Tables, T> & string,
  name: string,
): Promise<string> {
  const [{ text }, list] = await Promise.all([module(), listOf(db as unknown as Db, table, key as string, column)]);
  return text(list, name);
}

/**
 * All of a document that this device holds, as one update without the contents of what was deleted.
 * @example
 * ```ts
 * const copy = new Y.Doc();
 * Y.applyUpdate(copy, await docUpdate(db, "pages", id, "body"));
 * ```
 */
export async function docUpdate<Tables, Shapes, Actions, T extends Documented<Tables>>(
  db: Database<Tables, Shapes, Actions>,
  table: T,
  key: KeyOf<Tables, T>,
  column: DocColumn<Tables, T> & string,
): Promise<Uint8Array> {
  const [{ compact }, list] = await Promise.all([module(), listOf(db as unknown as Db, table, key as string, column)]);
  return compact(list);
}

/**
 * The text of an update that holds a whole document, such as a version's ({@link docText} says what `name` is).
 * @example
 * ```ts
 * const version = await readVersion(db, "pages", versionId);
 * if (version?.body) show(await updateText(version.body, "body"));
 * ```
 */
export async function updateText(update: Uint8Array, name: string): Promise<string> {
  const { text } = await module();
  return text(listed([update]), name);
}

let loading: Promise<typeof import("../wasm/doc/landfall_doc_web.js")> | undefined;

/** The module of documents, loaded once. */
function module(): Promise<typeof import("../wasm/doc/landfall_doc_web.js")> {
  loading ??= load().catch((thrown) => {
    loading = undefined;
    throw errorOf(thrown);
  });
  return loading;
}

async function load() {
  const made = await import("../wasm/doc/landfall_doc_web.js");
  const response = await fetch(new URL("../wasm/doc/landfall_doc_web_bg.wasm", import.meta.url));
  made.initSync(await WebAssembly.compile(await response.arrayBuffer()));
  return made;
}

/** The updates of a document, each behind its length. */
async function listOf(db: Db, table: string, key: string | number, column: string): Promise<Uint8Array> {
  const sql = `SELECT doc_update FROM ${quote(`${table}_docs`)} WHERE ${quote(db.keyOf(table))} = ? AND doc_column = ?`;
  const rows = await db.query<{ doc_update: Uint8Array }>(sql, [key, column]);
  return listed(rows.map((row) => row.doc_update));
}

function listed(updates: readonly Uint8Array[]): Uint8Array {
  const list = new Uint8Array(updates.reduce((sum, { length }) => sum + 4 + length, 0));
  let at = 0;
  for (const update of updates) {
    new DataView(list.buffer).setUint32(at, update.length, true);
    list.set(update, at + 4);
    at += 4 + update.length;
  }
  return list;
}
