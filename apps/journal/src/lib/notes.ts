// Notes: the queries, and what a person does to them. Each act is one transaction.

import type { LiveQuery, Transaction } from "@landfall/client";
import type { Notes, NotesUpdate, Tables } from "../landfall.gen";
import { forgetDraft } from "./drafts";
import type { Db } from "./journal.svelte";
import { bringBack } from "./outbox";
import { FOUND_FROM, FOUND_TO, matchExpression } from "./search";
import { remember } from "./titles";
import type { Text } from "./writing.svelte";

export type Mood = NonNullable<Notes["mood"]>;
export const MOODS: readonly Mood[] = ["calm", "glad", "low", "tired"];

/** A note as the list shows it. */
export interface Listed {
  readonly id: string;
  readonly title: string;
  readonly excerpt: string;
  readonly pinned: boolean;
  readonly created: string;
  readonly tags: Notes["tags"];
  /** How many of its texts wait for a person to choose. */
  readonly conflicts: number;
}

const LISTED = `n.id, n.pinned, n.created, n.tags,
  (SELECT count(*) FROM notes_conflicts c WHERE c.id = n.id) AS conflicts`;
const TAGGED = "(?2 IS NULL OR EXISTS (SELECT 1 FROM json_each(n.tags) t WHERE t.value = ?2))";
/** Pinned ones first, as the person put them: what was never put anywhere is before the rest of them. Then the newest. */
const ORDER = `n.pinned DESC, CASE WHEN n.pinned THEN n.position END,
  CASE WHEN n.pinned AND n.position IS NOT NULL THEN n.id END, n.created DESC, n.id`;

export function countNotes(db: Db, subject: string, tag: string | null): LiveQuery<{ count: number }> {
  return db.live(`SELECT count(*) AS count FROM notes n WHERE n.owner = ?1 AND ${TAGGED}`, [subject, tag]);
}

/** A window of the list. */
export function listNotes(
  db: Db,
  subject: string,
  tag: string | null,
  offset: number,
  limit: number,
): LiveQuery<Listed> {
  return db.live(
    `SELECT n.title, substr(n.body, 1, 200) AS excerpt, ${LISTED} FROM notes n
     WHERE n.owner = ?1 AND ${TAGGED} ORDER BY ${ORDER} LIMIT ?3 OFFSET ?4`,
    [subject, tag, limit, offset],
  );
}

/** How many notes a search shows: whoever wants more writes another word. */
export const FOUND_MAX = 200;

/** The best matches first, what was found between marks; `null` when nothing was asked. */
export function searchNotes(db: Db, subject: string, typed: string): LiveQuery<Listed> | null {
  const match = matchExpression(typed);
  if (match === "") return null;
  return db.live(
    `SELECT snippet(notes_search, 0, ?3, ?4, '…', 12) AS title, snippet(notes_search, 1, ?3, ?4, '…', 24) AS excerpt,
       ${LISTED} FROM notes_search s JOIN notes n ON n.rowid = s.rowid
     WHERE notes_search MATCH ?1 AND n.owner = ?2 ORDER BY bm25(notes_search, 4.0, 1.0) LIMIT ${FOUND_MAX}`,
    [match, subject, FOUND_FROM, FOUND_TO],
  );
}

export function oneNote(db: Db, id: string): LiveQuery<Notes> {
  return db.live("SELECT * FROM notes WHERE id = ?1", [id]);
}

/** The pinned notes, as they stand. */
export function pinnedNotes(db: Db, subject: string): LiveQuery<{ id: string; title: string }> {
  return db.live(`SELECT n.id, n.title FROM notes n WHERE n.owner = ?1 AND n.pinned ORDER BY ${ORDER}`, [subject]);
}

export function allTags(db: Db, subject: string): LiveQuery<{ tag: string; count: number }> {
  return db.live(
    `SELECT t.value AS tag, count(*) AS count FROM notes n, json_each(n.tags) t WHERE n.owner = ?1
     GROUP BY t.value ORDER BY t.value COLLATE NOCASE`,
    [subject],
  );
}

/**
 * Writes what was typed: changed columns only, so that they merge with what others change meanwhile. `edits` is the entry
 * of the outbox that takes it up. Gives its number in the outbox.
 */
export async function saveNote(
  db: Db,
  subject: string,
  id: string,
  text: Text,
  edits: number | null = null,
): Promise<number | null> {
  const { rseq } = await db.transaction(async (tx) => {
    if (edits !== null) tx.edit(edits);
    const [note] = await tx.query<Pick<Notes, "title" | "body">>("SELECT title, body FROM notes WHERE id = ?1", [id]);
    if (note === undefined) {
      tx.insert("notes", { id, owner: subject, title: text.title, body: text.body });
    } else {
      const patch: NotesUpdate = {};
      if (note.title !== text.title) patch.title = text.title;
      if (note.body !== text.body) patch.body = text.body;
      if (Object.keys(patch).length > 0) tx.update("notes", id, patch);
    }
    forgetDraft(tx, id);
  });
  return rseq;
}

/** The columns that tell one person's pinned notes apart from all others: the list in which a note has its place. */
const PINNED = ["owner", "pinned"] as const;

/** What is pinned comes before what was pinned earlier. */
export function setPinned(db: Db, subject: string, id: string, pinned: boolean) {
  return db.transaction(async (tx) => {
    if (pinned) await placeAll(tx, subject);
    tx.update("notes", id, { pinned });
    if (pinned) tx.list("notes", id, "position", PINNED).move("first");
  });
}

/** Where a pinned note is put. */
export type Spot = { readonly before: string } | { readonly after: string };

export function movePinned(db: Db, subject: string, id: string, to: Spot) {
  return db.transaction(async (tx) => {
    await placeAll(tx, subject);
    tx.list("notes", id, "position", PINNED).move(to);
  });
}

/** What was pinned without a place (by another program, or before there were places) gets the one where it is shown. */
async function placeAll(tx: Transaction<Tables>, subject: string): Promise<void> {
  const sql = `SELECT n.id FROM notes n WHERE n.owner = ?1 AND n.pinned AND n.position IS NULL ORDER BY ${ORDER}`;
  const rows = await tx.query<{ id: string }>(sql, [subject]);
  for (const { id } of rows.toReversed()) tx.list("notes", id, "position", PINNED).move("first");
}

export function setMood(db: Db, id: string, mood: Mood | null) {
  return db.update("notes", id, { mood });
}

/** As the schema has it: no white space, no `#`, at most 40 characters. */
export function asTag(typed: string): string {
  return typed.trim().replaceAll(/#/g, "").replaceAll(/\s+/g, "-").slice(0, 40);
}

export function addTag(db: Db, id: string, tag: string) {
  return db.transaction((tx) => tx.set("notes", id, "tags").add(tag));
}

export function removeTag(db: Db, id: string, tag: string) {
  return db.transaction((tx) => tx.set("notes", id, "tags").remove(tag));
}

/** Deletes the note and gives what brings it back. */
export async function deleteNote(db: Db, id: string): Promise<(() => Promise<void>) | null> {
  const { rseq, result: note } = await db.transaction(async (tx) => {
    const [note] = await tx.query<Notes>("SELECT * FROM notes WHERE id = ?1", [id]);
    if (note !== undefined) tx.delete("notes", id);
    forgetDraft(tx, id);
    return note;
  });
  if (note === undefined) return null;
  remember(id, note.title);
  return () => bringBack(db, rseq, "notes", id, (tx) => tx.insert("notes", note));
}
