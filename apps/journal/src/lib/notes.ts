// Notes: the queries, and what a person does to them. Each act is one transaction.

import type { LiveQuery } from "@landfall/client";
import type { Notes, NotesUpdate, Tags } from "../landfall.gen";
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
  /** Tags, one a line. */
  readonly tags: string | null;
}

const LISTED = `n.id, n.pinned, n.created,
  (SELECT group_concat(t.tag, char(10)) FROM tags t WHERE t.note_id = n.id) AS tags`;
const TAGGED = "(?2 IS NULL OR EXISTS (SELECT 1 FROM tags x WHERE x.note_id = n.id AND x.tag = ?2))";

export function countNotes(db: Db, subject: string, tag: string | null): LiveQuery<{ count: number }> {
  return db.live(`SELECT count(*) AS count FROM notes n WHERE n.owner = ?1 AND ${TAGGED}`, [subject, tag]);
}

/** A window of the list: pinned ones first, then the newest. */
export function listNotes(
  db: Db,
  subject: string,
  tag: string | null,
  offset: number,
  limit: number,
): LiveQuery<Listed> {
  return db.live(
    `SELECT n.title, substr(n.body, 1, 200) AS excerpt, ${LISTED} FROM notes n
     WHERE n.owner = ?1 AND ${TAGGED} ORDER BY n.pinned DESC, n.created DESC, n.id LIMIT ?3 OFFSET ?4`,
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

export function tagsOf(db: Db, id: string): LiveQuery<{ tag: string }> {
  return db.live("SELECT tag FROM tags WHERE note_id = ?1 ORDER BY added, tag", [id]);
}

export function allTags(db: Db, subject: string): LiveQuery<{ tag: string; count: number }> {
  return db.live("SELECT tag, count(*) AS count FROM tags WHERE owner = ?1 GROUP BY tag ORDER BY tag COLLATE NOCASE", [
    subject,
  ]);
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

export function setPinned(db: Db, id: string, pinned: boolean) {
  return db.update("notes", id, { pinned });
}

export function setMood(db: Db, id: string, mood: Mood | null) {
  return db.update("notes", id, { mood });
}

/** As the schema has it: no white space, no `#`, at most 40 characters. */
export function asTag(typed: string): string {
  return typed.trim().replaceAll(/#/g, "").replaceAll(/\s+/g, "-").slice(0, 40);
}

export function addTag(db: Db, subject: string, note_id: string, tag: string) {
  return db.transaction(async (tx) => {
    const [there] = await tx.query("SELECT 1 AS there FROM tags WHERE note_id = ?1 AND tag = ?2", [note_id, tag]);
    if (there === undefined) tx.insert("tags", { note_id, tag, owner: subject });
  });
}

export function removeTag(db: Db, note_id: string, tag: string) {
  return db.delete("tags", { note_id, tag });
}

/** Deletes the note and gives what brings it back, tags included. */
export async function deleteNote(db: Db, id: string): Promise<(() => Promise<void>) | null> {
  const { rseq, result } = await db.transaction(async (tx) => {
    const [note] = await tx.query<Notes>("SELECT * FROM notes WHERE id = ?1", [id]);
    const tags = await tx.query<Tags>("SELECT * FROM tags WHERE note_id = ?1", [id]);
    if (note !== undefined) tx.delete("notes", id);
    forgetDraft(tx, id);
    return { note, tags };
  });
  const { note, tags } = result;
  if (note === undefined) return null;
  remember(id, note.title);
  return () =>
    bringBack(db, rseq, "notes", id, (tx) => {
      tx.insert("notes", note);
      for (const tag of tags) tx.insert("tags", tag);
    });
}
