// What was being typed when a page was killed.

import { mergeOf, readDraft } from "./drafts";
import type { Db } from "./journal.svelte";
import { saveNote } from "./notes";
import { renamePage } from "./pages";
import { savePost } from "./posts";

/** Drafts that a killed page left behind become their items. */
export async function recoverDrafts(db: Db, subject: string): Promise<void> {
  for (const { id, text } of await db.query<{ id: string; text: string | null }>("SELECT id, text FROM drafts")) {
    // It waits until somebody settles its conflict.
    if (mergeOf(text) !== null) continue;
    const draft = readDraft(text);
    if (draft === null || draft.title + draft.body === "") await db.delete("drafts", id);
    else if (draft.kind === "note") await saveNote(db, subject, id, draft);
    else if (draft.kind === "page") await renamePage(db, id, draft.title);
    else await savePost(db, id, draft);
  }
}
