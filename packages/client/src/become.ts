// A row made again what it was, in a history or in a version: by a write like any other, of what differs.

import type { Column, Param, Transaction } from "./types.js";
import { print } from "./values.js";

const quote = (name: string) => `"${name.replaceAll('"', '""')}"`;

/** A table, and which of its columns are meant. */
export interface Meant {
  table: string;
  /** The columns of the key. */
  key: readonly string[];
  /** Those that are written; of a row that is made anew all of `columns` are. */
  only?: readonly string[];
  columns: Readonly<Record<string, Column>>;
}

/** Makes a row what it was, as far as that is known; one that is gone is made anew. */
export async function become<Tables, Actions>(
  tx: Transaction<Tables, Actions>,
  { table, key, only, columns }: Meant,
  was: Record<string, unknown>,
): Promise<void> {
  const pick = (names: readonly string[]) => Object.fromEntries(names.map((name) => [name, was[name]]));
  const where = key.map((column) => `${quote(column)} = ?`).join(" AND ");
  const [now] = await tx.query<Record<string, unknown>>(
    `SELECT * FROM ${quote(table)} WHERE ${where}`,
    key.map((column) => was[column] as Param),
  );
  // What the server fills is the server's to fill; and what is required now may not have been there then.
  const isMine = ([name, { assigned, nullable }]: [string, Column]) =>
    !key.includes(name) && !assigned && (nullable || (was[name] ?? null) !== null);
  const mine = Object.entries(columns)
    .filter(isMine)
    .map(([name]) => name);
  if (!now) return tx.insert(table as never, pick([...key, ...mine]) as never);
  const differs = mine.filter((name) => (only?.includes(name) ?? true) && !isSame(now[name], was[name]));
  const id = key.length === 1 ? was[key[0] as string] : pick(key);
  if (differs.length > 0) tx.update(table as never, id as never, pick(differs) as never);
}

/** Two values of a column. */
function isSame(one: unknown, other: unknown): boolean {
  if (one instanceof Uint8Array && other instanceof Uint8Array) {
    return one.length === other.length && one.every((byte, at) => byte === other[at]);
  }
  return one === other || print(one) === print(other);
}
