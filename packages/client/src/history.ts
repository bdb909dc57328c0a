// The history of a table: what became of its rows, as far as the open shapes of `<table>_history` hold it here. It is a
// table like any other; here are the questions that are asked of it.

import { become } from "./become.js";
import type { Database, KeyOf, LiveQuery, Param, RowOf, Schema, Transaction } from "./types.js";

/** The tables that keep their history. */
export type Recorded<Tables> = {
  [T in keyof Tables & string]: `${T}_history` extends keyof Tables ? T : never;
}[keyof Tables & string];

/** A change of a row of a table: the row after it (before it, for a delete), and who made it, when, from which device. */
export type ChangeOf<Tables, T extends string> = `${T}_history` extends keyof Tables
  ? RowOf<Tables, `${T}_history`>
  : never;

const quote = (name: string) => `"${name.replaceAll('"', '""')}"`;

function keyOf(schema: Schema, table: string, key: unknown): [string, Param][] {
  const columns = schema.tables[table]?.key ?? [];
  if (columns.length === 1) return [[columns[0] as string, key as Param]];
  return columns.map((column) => [column, (key as Record<string, Param>)[column] as Param]);
}

/**
 * The changes of a row, newest first, kept true while somebody is subscribed: the newest 500, unless `limit` says how many.
 * What this device writes is in it once the server has accepted it.
 * @example
 * ```ts
 * const stop = changesOf(db, schema, "pages", id).subscribe(({ rows }) => show(rows.map((one) => one.change_by)));
 * stop();
 * ```
 */
export function changesOf<Tables, Shapes, Actions, T extends Recorded<Tables>>(
  db: Database<Tables, Shapes, Actions>,
  schema: Schema<Tables, Shapes, Actions>,
  table: T,
  key: KeyOf<Tables, T>,
  limit = 500,
): LiveQuery<ChangeOf<Tables, T>> {
  const parts = keyOf(schema as unknown as Schema, table, key);
  const where = parts.map(([column]) => `${quote(column)} = ?`).join(" AND ");
  return db.live(
    `SELECT * FROM ${quote(`${table}_history`)} WHERE ${where} 
     ORDER BY change_seq DESC, change_kind = 'before', change_kind <> 'lost' LIMIT ?`,
    [...parts.map(([, value]) => value), limit],
  );
}

/**
 * The rows of a table as they were at a moment (by the server's clock), told from the history that this device holds. A row
 * of which no change is held is taken as it is, also one that is not sent yet; one that the person may no longer see is
 * taken as it was last seen. Longer ago than the history is kept, rows may be missing.
 * @example
 * ```ts
 * const pages = await asOf(db, schema, "pages", new Date("2026-04-01"));
 * show(pages.map(({ title }) => title));
 * ```
 */
export function asOf<Tables, Shapes, Actions, T extends Recorded<Tables>>(
  db: Database<Tables, Shapes, Actions>,
  schema: Schema<Tables, Shapes, Actions>,
  table: T,
  moment: Date,
): Promise<RowOf<Tables, T>[]> {
  const { key, columns } = (schema as unknown as Schema).tables[table] as Schema["tables"][string];
  const list = Object.keys(columns).map(quote).join(", ");
  const past = quote(`${table}_history`);
  const same = key.map((column) => `past.${quote(column)} = now.${quote(column)}`).join(" AND ");
  // A bare column beside max() is that of the row with the maximum (SQLite, "Bare columns in an aggregate query").
  return db.query(
    `SELECT ${list} FROM ${past} WHERE change_id IN (SELECT id FROM
       (SELECT change_id AS id, change_kind AS kind, max(change_seq) FROM ${past}
        WHERE (change_at <= ? OR change_at IS NULL) AND change_kind <> 'lost' GROUP BY change_row)
        WHERE kind <> 'delete')
     UNION ALL SELECT ${list} FROM ${quote(table)} AS now
       WHERE NOT EXISTS (SELECT 1 FROM ${past} AS past WHERE ${same} AND past.change_kind <> 'lost')`,
    [moment],
  );
}

/**
 * Makes a row again what it was after a change, or before it, if that was its delete; of what was lost to others those columns. It
 * is a write like any other: queued, merged, checked, in the history, and undone.
 * @example
 * ```ts
 * const [newest] = changesOf(db, schema, "pages", id).snapshot.rows;
 * if (newest) await db.transaction((tx) => restore(tx, schema, "pages", newest));
 * ```
 */
export async function restore<Tables, Shapes, Actions, T extends Recorded<Tables>>(
  tx: Transaction<Tables, Actions>,
  schema: Schema<Tables, Shapes, Actions>,
  table: T,
  change: ChangeOf<Tables, T>,
): Promise<void> {
  const { key, columns } = (schema as unknown as Schema).tables[table] as Schema["tables"][string];
  const image = change as unknown as Record<string, unknown>;
  // Of a row that is there still, what was not lost is as others have it, and was so then.
  const only = image.change_kind === "lost" ? { only: (image.change_columns ?? []) as string[] } : {};
  await become(tx, { table, key, columns, ...only }, image);
}

/**
 * This device as `change_device` names it. It changes when the database is copied, or made anew.
 * @example
 * ```ts
 * const device = await thisDevice(db);
 * const mine = await db.query("SELECT * FROM pages_history WHERE change_device = ?", [device]);
 * ```
 */
export async function thisDevice<Tables, Shapes, Actions>(db: Database<Tables, Shapes, Actions>): Promise<string> {
  const sql = "SELECT lower(hex(value)) AS id FROM _landfall_meta WHERE name = 'replica'";
  const [found] = await db.query<{ id: string }>(sql);
  return (found?.id ?? "").replace(/(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}
