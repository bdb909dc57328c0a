// What could not be merged, of whichever column and table: what the row has now, what others wrote in its place, and a
// person's choice between them.

import type { LiveQuery } from "@landfall/client";
import { type NotesConflicts, schema, type Tables } from "../landfall.gen";
import { forgetDraft } from "./drafts";
import type { Db } from "./journal.svelte";
import { remember } from "./titles";

/** The tables whose rows may have conflicts. */
export type Disputed = {
  [T in keyof Tables & string]: `${T}_conflicts` extends keyof Tables ? T : never;
}[keyof Tables & string];

/** A row of `<table>_conflicts`, as far as it is the same for all tables; beside it are the row's own columns. */
export type Conflict = Pick<
  NotesConflicts,
  | "conflict_id"
  | "conflict_column"
  | "conflict_base"
  | "conflict_by"
  | "conflict_device"
  | "conflict_written"
  | "conflict_seq"
> &
  Readonly<Record<string, unknown>>;

/** A value that gave way, and may take the place of the one that is there. */
export interface Sibling {
  readonly id: string;
  readonly value: unknown;
  /** What it was written on, where that is known. */
  readonly base: string | null;
  readonly by: string | null;
  readonly device: string | null;
  readonly written: string | null;
  /** Steps on the way to it, by the same hand: they are settled with it. */
  readonly steps: readonly string[];
}

/** What is to be chosen of one column. */
export interface Choice {
  readonly column: string;
  /** Whether it holds words, which can be compared and written together. */
  readonly isText: boolean;
  readonly siblings: readonly Sibling[];
}

export function conflictsOf(db: Db, table: Disputed, key: string): LiveQuery<Conflict> {
  const [column] = schema.tables[table].key;
  return db.live(`SELECT * FROM ${table}_conflicts WHERE ${column} = ?1 ORDER BY conflict_seq, conflict_id`, [key]);
}

/** The notes that wait for a choice, and are there: the newest first. */
export function disputedNotes(db: Db, subject: string): LiveQuery<{ id: string }> {
  return db.live(
    `SELECT n.id FROM notes n WHERE n.owner = ?1 AND EXISTS (SELECT 1 FROM notes_conflicts c WHERE c.id = n.id)
     ORDER BY n.created DESC, n.id`,
    [subject],
  );
}

function given(conflict: Conflict): unknown {
  return conflict[conflict.conflict_column];
}

/** Whether `next` was written by the same hand right on top of `last`. */
function goesOn(last: Conflict, next: Conflict): boolean {
  const isSameHand = last.conflict_device !== null && last.conflict_device === next.conflict_device;
  return isSameHand && next.conflict_base !== null && next.conflict_base === given(last);
}

/**
 * The choices of a row, in the order of its columns; of conflicts that come oldest first. Who writes without a network pauses,
 * and each pause may have given way: what was written right on top of another one is its next step, and the last is shown.
 */
export function choicesOf(table: Disputed, conflicts: readonly Conflict[]): Choice[] {
  const columns: Readonly<Record<string, { readonly type: string }>> = schema.tables[table].columns;
  return Object.entries(columns).flatMap(([column, { type }]) => {
    const hands: Conflict[][] = [];
    for (const conflict of conflicts.filter(({ conflict_column }) => conflict_column === column)) {
      const hand = hands.find((steps) => goesOn(steps.at(-1) as Conflict, conflict));
      if (hand === undefined) hands.push([conflict]);
      else hand.push(conflict);
    }
    const siblings = hands.map((steps) => {
      const [first, last] = [steps[0], steps.at(-1)] as [Conflict, Conflict];
      return {
        id: last.conflict_id,
        value: given(last),
        base: typeof first.conflict_base === "string" ? first.conflict_base : null,
        by: last.conflict_by,
        device: last.conflict_device,
        written: last.conflict_written,
        steps: steps.slice(0, -1).map(({ conflict_id }) => conflict_id),
      };
    });
    return siblings.length === 0 ? [] : [{ column, isText: type === "text", siblings }];
  });
}

/** `There are 2 versions of the title and 3 of the text.`, with the words that `labels` has for columns. */
export function versionsInWords(choices: readonly Choice[], label: (column: string) => string): string {
  const [first, ...rest] = choices.map(({ column, siblings }) => [siblings.length + 1, label(column)] as const);
  if (first === undefined) return "";
  const more = rest.map(([count, what]) => ` and ${count} of the ${what}`).join("");
  return `There are ${first[0]} versions of the ${first[1]}${more}.`;
}

/** What becomes of a sibling: the row stays as it is, the sibling takes its place, or something else does. */
export type How = "keep" | "take" | { readonly value: string };

/** Settles siblings of a column in one go, on this device and everywhere. `title` is for words about it. */
export async function settle(
  db: Db,
  table: Disputed,
  { column }: Pick<Choice, "column">,
  siblings: readonly Pick<Sibling, "id" | "steps">[],
  how: How,
  title: string,
): Promise<void> {
  const patch = typeof how === "object" ? { [column]: how.value } : how;
  const ids = siblings.flatMap(({ id, steps }) => [...steps, id]);
  for (const id of ids) remember(id, title);
  await db.transaction((tx) => {
    for (const id of ids) forgetDraft(tx, id);
    // One of them at most writes the row: the others end with it.
    for (const [at, id] of ids.entries()) tx.resolve(table, id, at === ids.length - 1 ? patch : "keep");
  });
}
