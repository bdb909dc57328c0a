// Posts: what everybody reads, and a person's own drafts.

import type { LiveQuery } from "@landfall/client";
import type { People, Posts, PostsUpdate } from "../landfall.gen";
import { forgetDraft } from "./drafts";
import type { Db } from "./journal.svelte";
import { bringBack } from "./outbox";
import { remember } from "./titles";
import type { Text } from "./writing.svelte";

/** A post as the feed shows it. */
export type Shown = Pick<Posts, "id" | "title" | "body" | "topic" | "status" | "published" | "author"> & {
  readonly name: string | null;
  readonly handle: string | null;
  /** How often everybody liked it, and this person. */
  readonly liked: number;
  readonly own: number;
};

/** `?1` is whoever looks at it. */
const SHOWN = `SELECT p.id, p.title, p.body, p.topic, p.status, p.published, p.author, w.name, w.handle,
  (SELECT coalesce(sum(times), 0) FROM likes WHERE post = p.id) AS liked,
  (SELECT coalesce(sum(times), 0) FROM likes WHERE post = p.id AND person = ?1) AS own
  FROM posts p LEFT JOIN people w ON w.subject = p.author`;

export function feed(db: Db, subject: string, limit: number): LiveQuery<Shown> {
  return db.live(`${SHOWN} WHERE p.status = 'live' ORDER BY p.published DESC, p.id LIMIT ?2`, [subject, limit]);
}

export function mine(db: Db, subject: string, limit: number): LiveQuery<Shown> {
  return db.live(`${SHOWN} WHERE p.author = ?1 ORDER BY p.status = 'live', p.published DESC, p.id LIMIT ?2`, [
    subject,
    limit,
  ]);
}

export function onePost(db: Db, subject: string, id: string): LiveQuery<Shown> {
  return db.live(`${SHOWN} WHERE p.id = ?2`, [subject, id]);
}

/**
 * Likes a post, once more for each time. Undo takes off what it added, whatever was added meanwhile: the row to count in is
 * therefore made by itself, since a row in which another device has counted meanwhile is not taken back.
 */
export async function like(db: Db, person: string, post: string) {
  await db.transaction(async (tx) => {
    tx.leaveOutOfUndo();
    const [own] = await tx.query("SELECT 1 AS there FROM likes WHERE post = ?1 AND person = ?2", [post, person]);
    if (own === undefined) tx.insert("likes", { post, person });
  });
  return db.add("likes", { post, person }, { times: 1 });
}

export function person(db: Db, subject: string): LiveQuery<People> {
  return db.live("SELECT * FROM people WHERE subject = ?1", [subject]);
}

/** A new draft. Posts name their author, so the first one brings the author's own row along. */
export async function beginPost(db: Db, subject: string): Promise<string> {
  const id = crypto.randomUUID();
  await db.transaction(async (tx) => {
    const [known] = await tx.query("SELECT 1 AS known FROM people WHERE subject = ?1", [subject]);
    if (known === undefined) tx.insert("people", { subject, name: subject });
    tx.insert("posts", { id, author: subject, title: "" });
  });
  return id;
}

/** Writes what was typed, changed columns only. A post that is gone stays gone. `edits` as in `saveNote`. */
export async function savePost(db: Db, id: string, text: Text, edits: number | null = null): Promise<number | null> {
  const { rseq } = await db.transaction(async (tx) => {
    if (edits !== null) tx.edit(edits);
    const [post] = await tx.query<Pick<Posts, "title" | "body">>("SELECT title, body FROM posts WHERE id = ?1", [id]);
    const patch: PostsUpdate = {};
    if (post !== undefined && post.title !== text.title) patch.title = text.title;
    if (post !== undefined && post.body !== text.body) patch.body = text.body;
    if (Object.keys(patch).length > 0) tx.update("posts", id, patch);
    forgetDraft(tx, id);
  });
  return rseq;
}

export function setTopic(db: Db, id: string, topic: string) {
  return db.update("posts", id, { topic: topic.trim() === "" ? null : topic.trim() });
}

export function publish(db: Db, id: string) {
  return db.update("posts", id, { status: "live", published: new Date() });
}

export function withdraw(db: Db, id: string) {
  return db.update("posts", id, { status: "draft" });
}

/** Deletes the post and gives what brings it back. */
export async function deletePost(db: Db, id: string): Promise<(() => Promise<void>) | null> {
  const { rseq, result: post } = await db.transaction(async (tx) => {
    const [post] = await tx.query<Posts>("SELECT * FROM posts WHERE id = ?1", [id]);
    if (post !== undefined) tx.delete("posts", id);
    forgetDraft(tx, id);
    return post;
  });
  if (post === undefined) return null;
  remember(id, post.title);
  return () => bringBack(db, rseq, "posts", id, (tx) => tx.insert("posts", post));
}

/** Name and handle, as others see them. */
export function saveProfile(db: Db, subject: string, profile: { name: string; handle: string | null }) {
  return db.transaction(async (tx) => {
    const [known] = await tx.query("SELECT 1 AS known FROM people WHERE subject = ?1", [subject]);
    if (known === undefined) tx.insert("people", { subject, ...profile });
    else tx.update("people", subject, profile);
  });
}
