// What a person does to entries of the outbox. Each act says what became of it, and offers the way back.

import { type Imported, LandfallError, type OutboxEntry, type Transaction } from "@landfall/client";
import type { Tables } from "../landfall.gen";
import { dated, download } from "./files";
import { count, plural } from "./format";
import type { Db } from "./journal.svelte";
import { notices } from "./notices.svelte";
import { leftAlone, type Typed } from "./words";

/** What an import did, in words. */
export function importedWords({ added, known, refused }: Imported): string {
  const parts = [
    added.length > 0
      ? `${plural(added.length, "change was", "changes were")} brought in, and ${added.length === 1 ? "waits" : "wait"} for your decision`
      : "",
    known > 0 ? `${plural(known, "was", "were")} here already` : "",
    refused.length > 0
      ? `${plural(refused.length, "was", "were")} left out (${refused.slice(0, 3).join("; ")}${refused.length > 3 ? "; …" : ""})`
      : "",
  ].filter((part) => part !== "");
  return parts.length === 0 ? "There was nothing in the file." : `${parts.join("; ")}.`;
}

export async function bringIn(db: Db, file: string): Promise<void> {
  const imported = await db.outbox.import(file);
  const kind = imported.refused.length > 0 ? "problem" : "done";
  notices.show({ kind, text: importedWords(imported) });
}

export async function save(db: Db, rseq?: number): Promise<void> {
  download(dated(rseq === undefined ? "outbox" : `change-${rseq}`), await db.outbox.export(rseq));
}

/** Throws a refused change away; the notice brings it back. */
export async function discard(db: Db, entry: OutboxEntry): Promise<void> {
  // Of this entry alone: the copies that the outbox keeps hold all that waited then.
  const copy = await db.outbox.export(entry.rseq);
  await db.outbox.discard(entry.rseq);
  const back = () => bringIn(db, copy);
  notices.show({ kind: "done", text: "The change is thrown away.", action: { label: "Undo", run: back } });
}

/** The entry as a file that brings it back; `null` where there is none, or none is needed. */
async function copyOf(db: Db, { rseq, open }: OutboxEntry): Promise<string | null> {
  // What was handed to the network is taken back by a transaction of its own.
  if (!open) return null;
  // The page is told of a long outbox late: meanwhile it may have been accepted, or taken up by an edit.
  return db.outbox.export(rseq).catch((problem: unknown) => {
    if (isGone(problem)) return null;
    throw problem;
  });
}

/** Takes an entry back, and says which of the two that was: before it was sent, or after. */
export async function withdraw(db: Db, entry: OutboxEntry): Promise<void> {
  const copy = await copyOf(db, entry);
  const { withdrawn, withIt = [], undone } = await db.outbox.withdraw(entry.rseq);
  if (!withdrawn) {
    const left = leftAlone(undone?.left ?? []);
    const text = undone?.rseq === null ? "It had been sent." : "It had been sent: a change that takes it back follows.";
    notices.show({ kind: "done", text: left === "" ? text : `${text} ${left}` });
    return;
  }
  const more =
    withIt.length === 0 ? "" : ` ${plural(withIt.length, "change", "changes")} that cannot be without it: see below.`;
  const text = `It was never sent, and is taken back.${more}`;
  if (copy === null) {
    // It went under the number of the edit that had taken it up. The device keeps a copy of all before anything goes.
    notices.show({ kind: "done", text: `${text} It is among the copies that this device kept.` });
    return;
  }
  const back = async () => {
    // It comes back as any other from a file, and is then written anew.
    for (const rseq of (await db.outbox.import(copy)).added) await db.outbox.retry(rseq);
  };
  notices.show({ kind: "done", text, action: { label: "Undo", run: back } });
}

/** What was tried now, in words. */
export function triedWords(entries: number): string {
  if (entries === 0) return "All of it is being tried already.";
  return entries === 1 ? "It is tried again now." : `${count(entries)} changes are tried again now.`;
}

/** Has all that waits for its next attempt tried now. */
export async function tryNow(db: Db): Promise<void> {
  notices.show({ kind: "done", text: triedWords(await db.outbox.tryNow()) });
}

export async function retry(db: Db, entry: OutboxEntry): Promise<void> {
  await db.outbox.retry(entry.rseq);
}

/** Writes a refused change again as it was corrected: one transaction, so that neither goes without the other. */
export async function sendFixed(
  db: Db,
  entry: OutboxEntry,
  fixed: readonly (Typed & { now: string })[],
): Promise<void> {
  await db.transaction((tx) => {
    tx.retry(entry.rseq);
    const rows = Map.groupBy(
      fixed.filter(({ text, now }) => text !== now),
      ({ table, key }) => JSON.stringify([table, key]),
    );
    for (const cells of rows.values()) {
      const [cell] = cells;
      if (cell === undefined) continue;
      const { table, key } = cell;
      const patch = Object.fromEntries(cells.map(({ column, now }) => [column, now]));
      if (table === "notes") tx.update("notes", String(key), patch);
      else if (table === "posts") tx.update("posts", String(key), patch);
      else if (table === "people")
        tx.update("people", String(key), patch.handle === "" ? { ...patch, handle: null } : patch);
    }
  });
}

/** Whether the entry that a call named is there no more, or cannot be taken back any more. */
export function isGone(problem: unknown): boolean {
  return problem instanceof LandfallError && ["LF-5025", "LF-5037"].includes(problem.code);
}

/**
 * Takes the deletion of a row back. Where the outbox cannot (it was refused, or it is long ago), `anew` writes the row as
 * it was: what a person deleted by mistake comes back in any case.
 */
export async function bringBack(
  db: Db,
  rseq: number | null,
  table: "notes" | "posts" | "pages",
  id: string,
  anew: (tx: Transaction<Tables>) => void,
): Promise<void> {
  if (rseq !== null) {
    await db.undo(rseq).catch((problem: unknown) => {
      if (!isGone(problem)) throw problem;
    });
  }
  await db.transaction(async (tx) => {
    const [there] = await tx.query(`SELECT 1 AS there FROM ${table} WHERE id = ?1`, [id]);
    if (there === undefined) anew(tx);
  });
}
