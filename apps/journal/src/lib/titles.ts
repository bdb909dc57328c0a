// The titles of notes, posts and pages, for words about them: of those that are here, and of those that were.

import type { RowName, SeenRow } from "@landfall/client";
import type { Db } from "./journal.svelte";
import { itemOf } from "./marks";

/** Titles that were seen in this session: what was deleted keeps its name in words about it. */
const seen = new Map<string, string>();
/** Beyond this the oldest are forgotten. */
const KEPT = 2000;

export function remember(id: string, title: string): void {
  seen.delete(id);
  seen.set(id, title);
  if (seen.size > KEPT) for (const [oldest] of seen) return void seen.delete(oldest);
}

/** The titles of what failed, as the person saw them then: it may be gone since, and not be known to this session. */
export function rememberSeen(rows: readonly SeenRow[] = []): void {
  for (const { table, key, values } of rows)
    if (["notes", "posts", "pages"].includes(table) && typeof values.title === "string") {
      const id = String(key);
      if (!seen.has(id)) remember(id, values.title);
    }
}

/** The titles of what these changes are about. */
export async function titlesFor(db: Db, rows: readonly RowName[]): Promise<ReadonlyMap<string, string>> {
  const ids = [...new Set(rows.map((row) => itemOf(row).split("/")[1] ?? ""))];
  const sql = `SELECT id, title FROM notes WHERE id IN (SELECT value FROM json_each(?1))
    UNION ALL SELECT id, title FROM posts WHERE id IN (SELECT value FROM json_each(?1))
    UNION ALL SELECT id, title FROM pages WHERE id IN (SELECT value FROM json_each(?1))`;
  for (const { id, title } of await db.query<{ id: string; title: string }>(sql, [JSON.stringify(ids)]))
    remember(id, title);
  return new Map(ids.flatMap((id) => (seen.has(id) ? [[id, seen.get(id) ?? ""]] : [])));
}
