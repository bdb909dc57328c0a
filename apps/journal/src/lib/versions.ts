// The versions of a note: its history in steps that a person remembers as one. Whoever writes pauses, and every pause is a
// change; what one device changed within some minutes is one version.

import type { NotesHistory } from "../landfall.gen";
import { labels, listed } from "./words";

/** What one device changed within so many milliseconds is one version. */
const LONGEST_MS = 5 * 60_000;

/** One version. */
export interface Version {
  /** Names it, however it grows. */
  readonly id: string;
  /** The change that ended it: the note as it was then. */
  readonly last: NotesHistory;
  /** The note before it, where that is known. */
  readonly before: NotesHistory | null;
  readonly changes: number;
  /** What became of the note, in words. */
  readonly deed: string;
}

/** Whether a change goes into the version of these, oldest first. */
function goesOn(group: readonly NotesHistory[], change: NotesHistory): boolean {
  const first = group[0] as NotesHistory;
  if (change.change_kind !== "update" || !["insert", "update"].includes(first.change_kind)) return false;
  if (change.change_device !== first.change_device || change.change_device === null) return false;
  const [from, to] = [first, change].map(({ change_written }) => Date.parse(change_written ?? ""));
  return (to as number) - (from as number) <= LONGEST_MS;
}

const print = ({ title, body, pinned, mood, tags }: NotesHistory) => JSON.stringify([title, body, pinned, mood, tags]);

/** Whether the note never was this: others had written the same, and theirs is there. */
export const isLost = ({ change_kind }: NotesHistory) => change_kind === "lost";

/** The changes that made the note again what it had been before: each stands by itself, and so does what it replaced. */
function returns(all: readonly NotesHistory[]): Set<NotesHistory> {
  const changes = all.filter((change) => !isLost(change));
  const oldest = new Map(changes.map((change, at) => [print(change), at]));
  return new Set(changes.filter((change, at) => (oldest.get(print(change)) ?? at) > at + 1));
}

const written = (of: readonly NotesHistory[]) =>
  listed(
    labels(
      "notes",
      of.flatMap(({ change_columns }) => (change_columns as string[] | null) ?? []),
    ),
  ) || "something";

function deed(of: readonly NotesHistory[]): string {
  const kinds = new Set(of.map(({ change_kind }) => change_kind));
  if (kinds.has("insert")) return "Written";
  if (kinds.has("delete")) return "Deleted";
  if (kinds.has("lost")) return `Wrote ${written(of)}, where another change won`;
  if (kinds.has("before")) return "As it was before its history began";
  const columns = new Set(of.flatMap(({ change_columns }) => (change_columns as string[] | null) ?? []));
  const last = of[0] as NotesHistory;
  if ([...columns].every((column) => ["pinned", "position"].includes(column)) && columns.size > 0)
    return columns.has("pinned") ? (last.pinned ? "Pinned" : "Unpinned") : "Moved among the pinned";
  const said = labels("notes", [...columns]);
  return said.length === 0 ? "Changed" : `Changed ${listed(said)}`;
}

/** The versions, newest first, of changes that come newest first. */
export function versionsOf(changes: readonly NotesHistory[]): Version[] {
  // Each begins with its oldest change, so that a version stays what it is while the newest one grows.
  const groups: NotesHistory[][] = [];
  const back = returns(changes);
  for (const change of changes.toReversed()) {
    const group = groups.at(-1);
    const alone = back.has(change) || (group?.some((one) => back.has(one)) ?? false);
    if (group !== undefined && !alone && goesOn(group, change)) group.push(change);
    else groups.push([change]);
  }
  const newestFirst = groups.reverse().map((group) => group.toReversed());
  return newestFirst.map((group, at) => ({
    id: (group.at(-1) as NotesHistory).change_id,
    last: group[0] as NotesHistory,
    before: newestFirst.slice(at + 1).find(([last]) => !isLost(last as NotesHistory))?.[0] ?? null,
    changes: group.length,
    deed: deed(group),
  }));
}
