// Versions of rows that people keep: rows of `<table>_versions`, which hold what a row was, and each of its documents as one
// update. What happened to a row unasked is its history (`history.ts`).

import { become } from "./become.js";
import { codes, fail } from "./error.js";
import { State } from "./observable.js";
import type { Column, Database, KeyOf, LiveQuery, Observable, Param, RowOf, Schema } from "./types.js";
import { docUpdate } from "./updates.js";

/** The tables of whose rows versions are kept. */
export type Versioned<Tables> = {
  [T in keyof Tables & string]: `${T}_versions` extends keyof Tables ? T : never;
}[keyof Tables & string];

/** A version of a row of a table. */
export type VersionOf<Tables, T extends string> = `${T}_versions` extends keyof Tables
  ? RowOf<Tables, `${T}_versions`>
  : never;

/** What a list of versions says of each. */
export interface VersionEntry {
  /** By which it is read, restored and deleted. */
  version_id: string;
  /** What somebody called it; `null` for one that was kept unasked. */
  version_name: string | null;
  /** When the server took it; `null` until then. */
  version_at: string | null;
  /** Who kept it; `null` until the server took it. */
  version_by: string | null;
}

/** How versions are kept unasked, where it differs from the usual. */
export interface KeepOptions {
  /** At most one within this time, and one when it ends. Milliseconds; ten minutes unless it is said. */
  everyMs?: number;
  /** So many without a name stay of a row; older ones are deleted. 50 unless it is said. */
  most?: number;
}

/** Versions that are kept unasked. */
export interface Keeping {
  /** What failed last; `null`: nothing. */
  readonly error: Observable<unknown>;
  /** Keeps what has changed since the last one, and ends. */
  stop(): Promise<void>;
}

/** What says that somebody has changed a document: a `Y.Doc`. */
export interface Changing {
  /** Hears of each change. */
  on(
    event: "update",
    listener: (update: Uint8Array, origin: unknown, doc: unknown, tx: { local: boolean }) => void,
  ): void;
  /** Hears of none any more. */
  off(event: "update", listener: (...args: never[]) => void): void;
}

const quote = (name: string) => `"${name.replaceAll('"', '""')}"`;
const OWN = "version_";
const EVERY_MS = 600_000;
const MOST = 50;

interface Names {
  /** The table of versions. */
  versions: string;
  /** The column that names the row, in both tables. */
  key: string;
  /** Columns of the row that a version has. */
  columns: readonly [string, Column][];
  /** Documents of the row. */
  docs: readonly string[];
}

function namesOf(schema: Schema, table: string): Names {
  const row = schema.tables[table]?.columns ?? {};
  const versions = `${table}_versions`;
  const key = schema.tables[table]?.key[0] ?? "id";
  const own = Object.keys(schema.tables[versions]?.columns ?? {}).filter(
    (name) => !name.startsWith(OWN) && name !== key,
  );
  const columns = own.filter((name) => name in row).map((name): [string, Column] => [name, row[name] as Column]);
  return { versions, key, columns, docs: own.filter((name) => !(name in row)) };
}

/**
 * The versions of a row that are held here, newest first, kept true while somebody is subscribed: the newest 200, unless
 * `limit` says how many. What they hold is read one by one ({@link readVersion}).
 * @example
 * ```ts
 * const list = versionsOf(db, schema, "pages", id);
 * const stop = list.subscribe(({ rows }) => show(rows.map((one) => one.version_name)));
 * stop();
 * ```
 */
export function versionsOf<Tables, Shapes, Actions, T extends Versioned<Tables>>(
  db: Database<Tables, Shapes, Actions>,
  schema: Schema<Tables, Shapes, Actions>,
  table: T,
  key: KeyOf<Tables, T>,
  limit = 200,
): LiveQuery<VersionEntry> {
  const names = namesOf(schema as unknown as Schema, table);
  return db.live<VersionEntry>(
    `SELECT version_id, version_name, version_at, version_by FROM ${quote(names.versions)} WHERE ${quote(names.key)} = ?
     ORDER BY version_seq IS NOT NULL, version_seq DESC, rowid DESC LIMIT ?`,
    [key as Param, limit],
  );
}

/**
 * All of a version: the row's columns and its documents, as they were; `undefined`: it is not (or no longer) here.
 * @example
 * ```ts
 * const version = await readVersion(db, "pages", versionId);
 * show(version?.title);
 * ```
 */
export async function readVersion<Tables, Shapes, Actions, T extends Versioned<Tables>>(
  db: Database<Tables, Shapes, Actions>,
  table: T,
  id: string,
): Promise<VersionOf<Tables, T> | undefined> {
  const [row] = await db.query(`SELECT * FROM ${quote(`${table}_versions`)} WHERE version_id = ?`, [id]);
  return row as VersionOf<Tables, T> | undefined;
}

/**
 * Keeps what a row is now, with its documents as the local database has them (`save` of a bound document first): a write like
 * any other, offline too. The id of the version; rejects where there is no such row here.
 * @example
 * ```ts
 * await bound.save();
 * const kept = await keepVersion(db, schema, "pages", id, "As agreed in April");
 * ```
 */
export async function keepVersion<Tables, Shapes, Actions, T extends Versioned<Tables>>(
  db: Database<Tables, Shapes, Actions>,
  schema: Schema<Tables, Shapes, Actions>,
  table: T,
  key: KeyOf<Tables, T>,
  name: string | null = null,
): Promise<string> {
  const names = namesOf(schema as unknown as Schema, table);
  const docs: Record<string, Uint8Array> = {};
  for (const column of names.docs)
    docs[column] = await docUpdate(db as never, table as never, key as never, column as never);
  const version_id = crypto.randomUUID();
  await db.transaction(async (tx) => {
    tx.leaveOutOfUndo();
    const list = [names.key, ...names.columns.map(([column]) => column)].map(quote).join(", ");
    const [row] = await tx.query(`SELECT ${list} FROM ${quote(table)} WHERE ${quote(names.key)} = ?`, [key as Param]);
    if (!row)
      throw fail(codes.notHere, `there is no row of '${table}' with this key here: open a shape that has it`, {
        table,
      });
    tx.insert(names.versions as never, { ...row, ...docs, version_id, version_name: name } as never);
  });
  return version_id;
}

/**
 * Makes the columns of a row again what they were in a version, where they differ; what is deleted meanwhile is made anew. A
 * write like any other: queued, merged, in the history, and undone; its number in the outbox, `null` where nothing differs.
 * Documents are restored by `restoreDoc`.
 * @example
 * ```ts
 * const rseq = await restoreVersion(db, schema, "pages", versionId);
 * if (rseq !== null) await db.undo(rseq);
 * ```
 */
export async function restoreVersion<Tables, Shapes, Actions, T extends Versioned<Tables>>(
  db: Database<Tables, Shapes, Actions>,
  schema: Schema<Tables, Shapes, Actions>,
  table: T,
  id: string,
): Promise<number | null> {
  const names = namesOf(schema as unknown as Schema, table);
  const version = (await readVersion(db, table, id)) as Record<string, unknown> | undefined;
  if (!version)
    throw fail(codes.notHere, "this version is not here: open a shape that has it", { table: names.versions });
  const meant = { table, key: [names.key], columns: Object.fromEntries(names.columns) };
  const { rseq } = await db.transaction((tx) => become(tx, meant, version));
  return rseq;
}

/**
 * Keeps versions of a row unasked while this person changes one of its documents: one within each while, and one at the end.
 * `save` is called before each, so that what is typed is in it (that of the bound document).
 * @example
 * ```ts
 * const keeping = keepVersions(db, schema, "pages", id, doc, () => bound.save(), { everyMs: 300_000 });
 * await keeping.stop();
 * ```
 */
export function keepVersions<Tables, Shapes, Actions, T extends Versioned<Tables>>(
  db: Database<Tables, Shapes, Actions>,
  schema: Schema<Tables, Shapes, Actions>,
  table: T,
  key: KeyOf<Tables, T>,
  doc: Changing,
  save: () => Promise<void>,
  { everyMs = EVERY_MS, most = MOST }: KeepOptions = {},
): Keeping {
  const names = namesOf(schema as unknown as Schema, table);
  const error = new State<unknown>(null);
  let timer: ReturnType<typeof setTimeout> | undefined;
  let changed = false;
  let keeping = Promise.resolve();
  const keep = async () => {
    if (!changed) return;
    await save();
    changed = false;
    try {
      await keepVersion(db, schema, table, key);
    } catch (thrown) {
      // What is not kept is kept with the next one, or at the end.
      changed = true;
      throw thrown;
    }
    const unnamed = `${quote(names.key)} = ? AND version_name IS NULL`;
    const old = await db.query<{ version_id: string }>(
      `SELECT version_id FROM ${quote(names.versions)} WHERE ${unnamed}
       ORDER BY version_seq IS NOT NULL, version_seq DESC, rowid DESC LIMIT -1 OFFSET ?`,
      [key as Param, most],
    );
    if (old.length === 0) return;
    await db.transaction((tx) => {
      tx.leaveOutOfUndo();
      for (const { version_id } of old) tx.delete(names.versions as never, version_id as never);
    });
  };
  const soon = () => {
    keeping = keeping.then(keep).then(
      () => error.set(null),
      (thrown) => error.set(thrown),
    );
    return keeping;
  };
  const onUpdate = (_update: Uint8Array, _origin: unknown, _doc: unknown, tx: { local: boolean }) => {
    if (!tx.local) return;
    changed = true;
    timer ??= setTimeout(() => {
      timer = undefined;
      void soon();
    }, everyMs);
  };
  doc.on("update", onUpdate);
  return {
    error,
    async stop() {
      doc.off("update", onUpdate);
      clearTimeout(timer);
      await soon();
      if (error.current !== null) throw error.current;
    },
  };
}
