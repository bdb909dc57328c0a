// Versions that people keep, of notes and pages: what is asked of them, and what is said about them.

import type { LiveQuery, Shape } from "@landfall/client";
import type { VersionEntry } from "@landfall/client/versions";
import { moment } from "./format";
import type { Db } from "./journal.svelte";

/** Most characters of a name, by the schema. */
export const NAME_MAX = 200;

/** What holds the versions of an item on this device. */
export function holdVersions(db: Db, kind: "note" | "page", id: string): Shape {
  return kind === "note" ? db.shape("note_versions", { note: id }) : db.shape("page_versions", { page: id });
}

/** What those who kept versions are called. */
export function keepers(db: Db, kind: "note" | "page", id: string): LiveQuery<{ subject: string; name: string }> {
  const kept = `SELECT version_by FROM ${kind}s_versions WHERE id = ?1`;
  return db.live(`SELECT subject, name FROM people WHERE subject IN (${kept})`, [id]);
}

/** Nothing that an undo takes back: whoever deletes one is asked before. */
export async function deleteVersion(db: Db, kind: "note" | "page", version: string): Promise<void> {
  await db.transaction((tx) => {
    tx.leaveOutOfUndo();
    tx.delete(`${kind}s_versions`, version);
  });
}

export const nameOf = ({ version_name }: Pick<VersionEntry, "version_name">) => version_name ?? "Kept by itself";

export function whenOf({ version_at }: Pick<VersionEntry, "version_at">): string {
  return version_at === null ? "Not sent yet" : moment(version_at);
}

/** Who kept it: until the server has said so, it is whoever sits here. */
export function whoOf({ version_by }: VersionEntry, subject: string, names: ReadonlyMap<string, string>): string {
  return version_by === null || version_by === subject ? "by you" : `by ${names.get(version_by) ?? version_by}`;
}
