// Pages that several write at once: the queries, and what a person does to them. Their texts are documents: together.svelte.ts.

import type { LiveQuery, Shape } from "@landfall/client";
import type { Pages } from "../landfall.gen";
import { forgetDraft } from "./drafts";
import type { Db } from "./journal.svelte";
import { bringBack } from "./outbox";
import { remember } from "./titles";

/** A page as the list shows it; `?1` is whoever looks at it. */
export type Listed = Pages & { readonly name: string | null };

const LISTED = "SELECT p.*, w.name FROM pages p LEFT JOIN people w ON w.subject = p.owner";
const ORDER = "ORDER BY p.created DESC, p.id LIMIT ?2";

export function myPages(db: Db, subject: string, limit: number): LiveQuery<Listed> {
  return db.live(`${LISTED} WHERE p.owner = ?1 ${ORDER}`, [subject, limit]);
}

export function othersPages(db: Db, subject: string, limit: number): LiveQuery<Listed> {
  return db.live(`${LISTED} WHERE p.owner <> ?1 ${ORDER}`, [subject, limit]);
}

export function onePage(db: Db, id: string): LiveQuery<Listed> {
  return db.live(`${LISTED} WHERE p.id = ?1`, [id]);
}

/** What holds the text of a page on this device: of one's own it is all of them, of others' from when one is opened. */
export function holdText(db: Db, subject: string, { id, owner }: Pick<Pages, "id" | "owner">): Shape {
  return owner === subject ? db.shape("my_page_texts") : db.shape("page_text", { page: id });
}

export async function beginPage(db: Db, subject: string, title = ""): Promise<string> {
  const id = crypto.randomUUID();
  await db.insert("pages", { id, owner: subject, title });
  return id;
}

/** A page that is gone stays gone. `edits` as in `saveNote`. */
export async function renamePage(
  db: Db,
  id: string,
  title: string,
  edits: number | null = null,
): Promise<number | null> {
  const { rseq } = await db.transaction(async (tx) => {
    if (edits !== null) tx.edit(edits);
    const [page] = await tx.query<Pick<Pages, "title">>("SELECT title FROM pages WHERE id = ?1", [id]);
    if (page !== undefined && page.title !== title) tx.update("pages", id, { title });
    forgetDraft(tx, id);
  });
  return rseq;
}

export function setOpen(db: Db, id: string, open: boolean) {
  return db.update("pages", id, { open });
}

/**
 * Deletes the page and gives what brings it back, with its text: `text` is all of it, since the updates of a document go with
 * their row, and an undo does not write them. Where they are there again, nothing is written twice.
 */
export async function deletePage(db: Db, id: string, text: Uint8Array): Promise<(() => Promise<void>) | null> {
  const { rseq, result: page } = await db.transaction(async (tx) => {
    const [page] = await tx.query<Pages>("SELECT * FROM pages WHERE id = ?1", [id]);
    if (page !== undefined) tx.delete("pages", id);
    forgetDraft(tx, id);
    return page;
  });
  if (page === undefined) return null;
  remember(id, page.title);
  return async () => {
    await bringBack(db, rseq, "pages", id, (tx) => tx.insert("pages", page));
    await db.transaction(async (tx) => {
      tx.leaveOutOfUndo();
      const [there] = await tx.query("SELECT 1 AS there FROM pages_docs WHERE id = ?1", [id]);
      if (there === undefined)
        tx.insert("pages_docs", { doc_id: crypto.randomUUID(), id, doc_column: "body", doc_update: text });
    });
  };
}
