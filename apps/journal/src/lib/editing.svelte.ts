// What the editors of all items share: text that is kept while it is typed and saved when it rests, and a way back from a
// deletion.

import { onDestroy, onMount, untrack } from "svelte";
import { keepDraft } from "./drafts";
import type { Journal } from "./journal.svelte";
import { attempt, notices } from "./notices.svelte";
import { router } from "./router.svelte";
import { type Text, Writing } from "./writing.svelte";

/** The text of one item, for as long as its editor is there: called while that begins. */
export function editing(
  journal: Journal,
  kind: "note" | "post" | "page",
  id: string,
  save: (id: string, text: Text, edits: number | null) => Promise<number | null>,
): { writing: Writing; flush: () => Promise<void> } {
  const writing = untrack(
    () =>
      new Writing(id, {
        keep: (id, text) => keepDraft(journal.db, kind, id, text),
        save: (id, text) => journal.saveEdited(`${kind}s/${id}`, (edits) => save(id, text, edits)),
        failed: notices.problem,
      }),
  );
  const flush = () => writing.flush();
  onMount(() => {
    journal.flushers.add(flush);
  });
  onDestroy(() => {
    void flush();
    journal.flushers.delete(flush);
  });
  return { writing, flush };
}

/** Once the person chose an item somewhere else, to edit it (`Journal.wanted`), its field has the caret. */
export function focusWhenWanted(journal: Journal, item: string, field: () => HTMLElement | null | undefined): void {
  $effect(() => {
    const there = field();
    if (there == null || journal.wanted !== item) return;
    there.focus();
    journal.wanted = null;
  });
}

/** Deletes an item, leaves its editor, and offers to undo that. */
export async function removal(
  what: { kind: "note" | "post" | "page"; title: string; list: string; item: string },
  run: () => Promise<(() => Promise<unknown>) | null>,
): Promise<void> {
  const back = await attempt(run);
  router.go(what.list);
  if (!back) return;
  const text = what.title === "" ? `The ${what.kind} is deleted.` : `“${what.title}” is deleted.`;
  notices.show({ kind: "done", text, action: { label: "Undo", run: () => back().then(() => router.go(what.item)) } });
}
