// Undo and redo of what this person did on this device, said to eyes and ears.

import type { Journal } from "./journal.svelte";
import { notices } from "./notices.svelte";
import { titlesFor } from "./titles";
import { deed, told } from "./words";

export async function turn(journal: Journal, way: "undo" | "redo"): Promise<void> {
  const { db } = journal;
  // What is being typed is a change like any other, and the last one.
  await journal.flush();
  // What is about to go is still here, with its title; what comes back is there afterwards.
  await titlesFor(db, journal.recorded.newest());
  const done = way === "undo" ? await db.undo() : await db.redo();
  if (done === null) {
    notices.show({
      kind: "done",
      text: way === "undo" ? "There is nothing to undo." : "There is nothing to do again.",
    });
    return;
  }
  const { of, rseq } = done;
  const rows = journal.recorded.of(of);
  const known = journal.said.get(of);
  const words = known ?? (rows === undefined ? null : deed({ rows }, await titlesFor(db, rows)));
  // Whoever takes this back again is told of the same deed.
  if (rseq !== null) journal.said.set(rseq, words);
  const action =
    way === "undo"
      ? { label: "Redo", run: () => turn(journal, "redo") }
      : { label: "Undo", run: () => turn(journal, "undo") };
  notices.show({ kind: "done", text: told(way, done, words), ...(rseq === null ? {} : { action }) });
}

/** Which of the two a key asks for. A text field keeps its own. */
export function askedFor(event: KeyboardEvent): "undo" | "redo" | null {
  if (!(event.ctrlKey || event.metaKey) || event.altKey || event.isComposing) return null;
  const at = event.target;
  if (
    at instanceof HTMLElement &&
    at.closest("textarea, select, [contenteditable], input:not([type=checkbox], [type=radio], [type=file])")
  )
    return null;
  const key = event.key.toLowerCase();
  if (key === "z") return event.shiftKey ? "redo" : "undo";
  return key === "y" && event.ctrlKey && !event.shiftKey ? "redo" : null;
}
