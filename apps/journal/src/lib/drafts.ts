// Drafts: what a person typed and that its item does not have yet. A local table, so that what was seen is never lost.

import type { Transaction } from "@landfall/client";
import type { Tables } from "../landfall.gen";
import type { Db } from "./journal.svelte";
import type { Text } from "./writing.svelte";

type Kind = "note" | "post" | "page";

export async function keepDraft(db: Db, kind: Kind, id: string, { title, body }: Text): Promise<void> {
  await db.transaction((tx) => {
    const text = JSON.stringify({ kind, title, body });
    tx.sql("INSERT INTO drafts (id, text) VALUES (?1, ?2) ON CONFLICT (id) DO UPDATE SET text = excluded.text", [
      id,
      text,
    ]);
  });
}

/** A text that somebody writes out of two, under the name of the conflict that it is to settle. */
export async function keepMerge(db: Db, conflict: string, merged: string): Promise<void> {
  await db.transaction((tx) => {
    tx.sql("INSERT INTO drafts (id, text) VALUES (?1, ?2) ON CONFLICT (id) DO UPDATE SET text = excluded.text", [
      conflict,
      JSON.stringify({ kind: "merge", merged }),
    ]);
  });
}

/** What was written to settle a conflict, and not saved; `null` when nothing was. */
export async function readMerge(db: Db, conflict: string): Promise<string | null> {
  const [draft] = await db.query<{ text: string | null }>("SELECT text FROM drafts WHERE id = ?1", [conflict]);
  return mergeOf(draft?.text ?? null);
}

export function mergeOf(text: string | null): string | null {
  try {
    const { kind, merged } = JSON.parse(text ?? "") as { kind?: unknown; merged?: unknown };
    return kind === "merge" && typeof merged === "string" ? merged : null;
  } catch {
    return null;
  }
}

/** To be called where the item takes the draft over, or goes. */
export function forgetDraft(tx: Transaction<Tables>, id: string): void {
  tx.sql("DELETE FROM drafts WHERE id = ?1", [id]);
}

export function readDraft(text: string | null): (Text & { kind: Kind }) | null {
  try {
    const { kind, title, body } = JSON.parse(text ?? "") as { kind?: unknown; title?: unknown; body?: unknown };
    if (typeof title !== "string" || typeof body !== "string") return null;
    return { kind: kind === "post" || kind === "page" ? kind : "note", title, body };
  } catch {
    return null;
  }
}
