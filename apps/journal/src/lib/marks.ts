// How far each item has come, from the outbox: an item may be more than its row.

import type { OutboxEntry, RowChange, RowName } from "@landfall/client";

export type State = "saved" | "pending" | "sending" | "failed";

export interface Mark {
  readonly state: State;
  /** The entries that are not done, oldest first. */
  readonly entries: readonly OutboxEntry[];
}

export const SAVED: Mark = { state: "saved", entries: [] };
const RANK: Record<State, number> = { saved: 0, pending: 1, sending: 2, failed: 3 };

/** `sent` entries are the server's already: they only wait to come back. */
export function stateOf(entry: OutboxEntry): State {
  return entry.state === "sent" ? "saved" : entry.state;
}

/** Tables whose rows belong to an item of another one: what names that, and what the item is called. */
const PARTS: Record<string, readonly [column: string, item: string]> = {
  tags: ["note_id", "notes"],
  // What one likes is no change of the post.
  likes: ["post", "likes"],
};

/** The item that a row belongs to: `notes/…`, `posts/…`, `pages/…`, `people/…`. */
export function itemOf(row: RowName & { readonly values?: RowChange["values"] }): string {
  const { table, key } = row;
  // What is typed into a page is rows of their own, which name it; a version names what it is of.
  if (table === "notes_versions") return `notes/${String(row.values?.id ?? key)}`;
  if (table === "pages_docs" || table === "pages_versions") return `pages/${String(row.values?.id ?? key)}`;
  const [column, item] = PARTS[table] ?? ["", table];
  if (Array.isArray(key)) return `${item}/${column === "" ? key.join("/") : String(key[0])}`;
  if (column !== "" && typeof key === "object" && key !== null && column in key)
    return `${item}/${String((key as Record<string, unknown>)[column])}`;
  return `${table}/${String(key)}`;
}

export function marksOf(outbox: readonly OutboxEntry[]): ReadonlyMap<string, Mark> {
  const marks = new Map<string, { state: State; entries: OutboxEntry[] }>();
  for (const entry of outbox) {
    const state = stateOf(entry);
    if (state === "saved") continue;
    for (const item of new Set(entry.rows.map(itemOf))) {
      const mark = marks.get(item);
      if (mark === undefined) {
        marks.set(item, { state, entries: [entry] });
      } else {
        mark.entries.push(entry);
        if (RANK[state] > RANK[mark.state]) mark.state = state;
      }
    }
  }
  return marks;
}

export const WORDS: Record<State, string> = {
  saved: "Saved",
  pending: "Waiting to be sent",
  sending: "Sending",
  failed: "Not accepted",
};
