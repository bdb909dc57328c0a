// What an entry of the outbox does, why it waits and why it was refused, in words that need no knowledge of tables.

import type { ChangedSince, Connectivity, HeldBack, OutboxEntry, Problem, RowChange, Undone } from "@landfall/client";
import { count, plural, short } from "./format";
import { itemOf } from "./marks";

/** The titles of notes and posts, by id, as far as they are known. */
export type Titles = ReadonlyMap<string, string>;

/** What a person writes, in the order in which they read it; the rest is the app's. */
const FIELDS: Record<string, readonly (readonly [column: string, label: string])[]> = {
  notes: [
    ["title", "title"],
    ["body", "text"],
    ["tags", "tags"],
    ["mood", "mood"],
    ["pinned", "pin"],
    ["position", "place"],
  ],
  posts: [
    ["title", "title"],
    ["body", "text"],
    ["topic", "topic"],
  ],
  pages: [["title", "title"]],
  people: [
    ["name", "name"],
    ["handle", "handle"],
  ],
  tags: [["tag", "tag"]],
  notes_versions: [["version_name", "name of the version"]],
  pages_versions: [["version_name", "name of the version"]],
};
/** Which table an entry is about, when it is about several: whoever writes a first post makes their profile, too. */
const FIRST = ["notes", "posts", "likes", "tags", "people", "pages", "pages_docs", "notes_versions", "pages_versions"];
const THINGS: Record<string, string> = { notes: "note", posts: "post", pages: "page", people: "profile" };
/** Of tables whose rows belong to something else: what that is. */
const PARTS: Record<string, string> = {
  tags: "note",
  likes: "post",
  notes_conflicts: "note",
  notes_versions: "note",
  pages_docs: "page",
  pages_versions: "page",
};

const idOf = (row: Pick<RowChange, "table" | "key"> & Partial<RowChange>) => itemOf(row).split("/")[1] ?? "";
const rankOf = ({ table }: RowChange) => (FIRST.indexOf(table) + 10) % 10;

function quoted(title: string | undefined): string {
  const line = (title ?? "").trim();
  return line === "" ? "" : `“${line.length > 60 ? `${line.slice(0, 59)}…` : line}”`;
}

/** `“Shopping”`, `an untitled note`, `a note`. */
function thing(row: RowChange, titles: Titles): string {
  const kind = PARTS[row.table] ?? THINGS[row.table] ?? row.table;
  const own = !(row.table in PARTS) && typeof row.values.title === "string" ? row.values.title : undefined;
  const known = titles.get(idOf(row)) ?? own;
  return quoted(known) || (known === undefined ? `a ${kind}` : `an untitled ${kind}`);
}

export function listed(words: readonly string[]): string {
  return words.length < 2 ? words.join() : `${words.slice(0, -1).join(", ")} and ${words.at(-1)}`;
}

/** Columns as a person calls them; those that they do not know are left out. */
export function labels(table: string, columns: readonly string[]): string[] {
  return (FIELDS[table] ?? []).filter(([column]) => columns.includes(column)).map(([, label]) => label);
}

/** What was done to the tags of a note: `Added the tag “sea” to “Shopping”`. */
function tagging(edit: unknown, what: string): string {
  const { add = [], remove = [] } = (edit ?? {}) as { add?: readonly unknown[]; remove?: readonly unknown[] };
  const tags = (of: readonly unknown[]) =>
    `the ${of.length === 1 ? "tag" : "tags"} ${listed(of.map((tag) => `“${tag}”`))}`;
  if (add.length > 0 && remove.length > 0) return `Changed the tags of ${what}`;
  return remove.length > 0 ? `Removed ${tags(remove)} from ${what}` : `Added ${tags(add)} to ${what}`;
}

/** `Kept the version “First draft” of “Timetable”`. */
function version({ op, values }: RowChange, what: string): string {
  const name = quoted(String(values.version_name ?? ""));
  if (op === "delete") return `Deleted a version of ${what}`;
  return name === "" ? `Kept a version of ${what}` : `Kept the version ${name} of ${what}`;
}

function change(row: RowChange, titles: Titles): string {
  const { table, op, values } = row;
  const what = thing(row, titles);
  if (table === "likes") {
    const times = Number(values.times ?? 0);
    return `${times > 0 ? "Liked" : times < 0 ? "Took back a like of" : "Began to count likes of"} ${what}`;
  }
  if (table === "notes_conflicts") return `Chose between versions of ${what}`;
  if (table === "pages_docs") return `Wrote in ${what}`;
  if (table.endsWith("_versions")) return version(row, what);
  if (table === "tags") {
    const tag = String(values.tag ?? (row.key as { tag?: unknown } | null)?.tag ?? "");
    return op === "delete" ? `Removed the tag “${tag}” from ${what}` : `Added the tag “${tag}” to ${what}`;
  }
  if (table === "people") {
    const said = op === "delete" ? [] : labels(table, Object.keys(values));
    return said.length === 0 ? "Changed your profile" : `Changed your ${listed(said)}`;
  }
  const kind = THINGS[table];
  if (kind === undefined) return `Changed ${table}`;
  if (op === "delete") return `Deleted ${what}`;
  if (op === "insert")
    return quoted(titles.get(idOf(row)) ?? String(values.title ?? "")) === ""
      ? `New untitled ${kind}`
      : `New ${kind} ${what}`;
  const columns = Object.keys(values);
  if (columns.includes("status")) return values.status === "live" ? `Published ${what}` : `Took ${what} back to draft`;
  const only = (...names: string[]) => columns.length > 0 && columns.every((column) => names.includes(column));
  if (table === "pages" && only("open"))
    return values.open === true ? `Opened ${what} to everybody` : `Closed ${what} to others`;
  if (columns.includes("pinned") && only("pinned", "position"))
    return `${values.pinned === true ? "Pinned" : "Unpinned"} ${what}`;
  if (only("position")) return `Moved ${what} among the pinned`;
  if (only("tags") && row.edited?.includes("tags")) return tagging(values.tags, what);
  const said = labels(table, columns);
  return said.length === 0 ? `Changed ${what}` : `Changed the ${listed(said)} of ${what}`;
}

/** What an entry does: `New note “Shopping”`. */
export function deed(entry: Pick<OutboxEntry, "rows">, titles: Titles): string {
  const rows = [...entry.rows].sort((a, b) => rankOf(a) - rankOf(b));
  const [first] = rows;
  if (first === undefined) return "A change";
  // What settles a conflict is no item beside the note.
  const others = new Set(rows.filter(({ table }) => table !== "notes_conflicts").map(itemOf));
  others.delete(itemOf(first));
  const rest = [...others].filter((item) => !(first.table === "posts" && item.startsWith("people/"))).length;
  return change(first, titles) + (rest === 0 ? "" : `, and ${plural(rest, "more item", "more items")}`);
}

/** Something that a person typed, and where it belongs. */
export interface Typed {
  readonly table: string;
  readonly key: unknown;
  readonly column: string;
  readonly label: string;
  readonly text: string;
  /** Whether it can be written otherwise: what names its row cannot. */
  readonly editable: boolean;
}

/** A text, also as it travels where its rule is `text`: with what it was written on. */
function textOf(value: unknown): unknown {
  return typeof value === "object" && value !== null && "is" in value ? value.is : value;
}

/** What the person typed, to be read, copied and corrected. */
export function typed(entry: Pick<OutboxEntry, "rows">): Typed[] {
  const rows = [...entry.rows].filter((row) => row.op !== "delete").sort((a, b) => rankOf(a) - rankOf(b));
  return rows.flatMap(({ table, key, op, values }) => {
    const named = { ...(table === "tags" && typeof key === "object" ? key : {}), ...values } as Record<string, unknown>;
    return (FIELDS[table] ?? []).flatMap(([column, label]) => {
      const text = textOf(named[column]);
      if (typeof text !== "string" || (text === "" && op === "insert")) return [];
      const editable = table !== "tags" && column !== "mood" && !table.endsWith("_versions");
      return [{ table, key, column, label, text, editable }];
    });
  });
}

/** What the entry is about, to be opened where it is edited. */
export function placeOf(
  entry: Pick<OutboxEntry, "rows">,
): { table: "notes" | "posts" | "pages" | "people"; id: string } | null {
  const [first] = [...entry.rows].sort((a, b) => rankOf(a) - rankOf(b));
  if (
    first === undefined ||
    first.table === "likes" ||
    first.table === "pages_docs" ||
    first.table.endsWith("_versions") ||
    (first.op === "delete" && first.table !== "tags")
  )
    return null;
  const table = first.table === "tags" ? "notes" : first.table;
  return table === "notes" || table === "posts" || table === "pages" || table === "people"
    ? { table, id: idOf(first) }
    : null;
}

/** `20 seconds`, `3 minutes`, `2 hours`: whole words, since they are read aloud, too. */
export function lasting(ms: number): string {
  const seconds = Math.max(1, Math.ceil(ms / 1000));
  if (seconds < 60) return plural(seconds, "second", "seconds");
  return seconds < 5400
    ? plural(Math.ceil(seconds / 60), "minute", "minutes")
    : plural(Math.round(seconds / 3600), "hour", "hours");
}

/** `34 days`, `5 hours`, `3 minutes`: how long somebody was away. */
export function away(ms: number): string {
  const units = [
    [86_400_000, "day", "days"],
    [3_600_000, "hour", "hours"],
    [60_000, "minute", "minutes"],
  ] as const;
  const [unit, one, many] = units.find(([unit]) => ms >= unit) ?? [1_000, "second", "seconds"];
  return plural(Math.max(1, Math.floor(ms / unit)), one, many);
}

/** What is held back, and why: `812 changes wait to be sent. 12 of them touch things that others changed since.` */
export function heldBack({ entries, conflicts, complete }: HeldBack): string {
  const waits = plural(entries, "change waits to be sent", "changes wait to be sent");
  if (conflicts === 0) return complete ? `${waits}. Others changed none of it since.` : `${waits}.`;
  const more = complete ? "" : " so far";
  const touched = `${plural(conflicts, "touches something", "touch things")} that others changed since${more}`;
  return entries === 1
    ? `1 change waits to be sent, and touches something that others changed since.`
    : `${waits}; ${touched}.`;
}

/** When a copy of the outbox was kept, by what the engine says of it. */
const KEPT: Record<string, string> = {
  "before a dead letter was discarded": "before a change was thrown away",
  "before a dead letter was written again": "before a change was sent again",
  "before an entry was withdrawn": "before a change was taken back",
  "before an entry was edited": "before a change was edited",
  "before a file was imported": "before a file was brought in",
  "before what waited through a long absence was sent": "when you came back after a long time",
  "before what is here was loaded anew": "before everything was fetched from the server again",
};

/** `before a change was thrown away`: when a copy of the outbox was kept. */
export function keptWhen(why: string): string {
  return KEPT[why] ?? "before something was changed";
}

function said(value: unknown): string {
  if (Array.isArray(value)) return value.length === 0 ? "nothing" : listed(value.map(said));
  if (typeof value === "string") return quoted(value.replaceAll(/\s+/g, " ")) || "nothing";
  if (value === null || value === undefined) return "nothing";
  return typeof value === "boolean" ? (value ? "on" : "off") : String(value);
}

/** What others did meanwhile: `The title is “Bread” now, and was “Shopping”.` */
export function changedSince({ table, column, now, was }: ChangedSince): string {
  const kind = table === "tags" ? "tag" : (THINGS[table] ?? "row");
  if (column === null) {
    const back = table === "notes" || table === "posts" || table === "pages" ? " It comes back with your change." : "";
    return `Somebody deleted the ${kind} meanwhile.${back}`;
  }
  const [label = column] = labels(table, [column]);
  const before = was === undefined || was === null ? "" : `, and was ${said(was)}`;
  return `Somebody changed the ${label}: it is ${said(now)} now${before}.`;
}

export interface Situation {
  readonly connectivity: Connectivity;
  /** The person chose to be without a network. */
  readonly staysOffline: boolean;
  /** The person has paused sending. */
  readonly paused: boolean;
  /** What waits is held back until the person has looked at it. */
  readonly held: boolean;
  readonly now: number;
  /** The entry of this number, while it is undecided. */
  find(rseq: number): OutboxEntry | undefined;
  readonly titles: Titles;
}

/** What keeps everything from being sent; `null`: nothing does. */
function hindrance(at: Situation): string | null {
  if (at.connectivity === "needs-sign-in") return "Waits until you sign in again";
  if (at.connectivity === "stopped") return "Waits: syncing has stopped";
  if (at.staysOffline) return "Waits until you go online";
  if (at.held) return "Held back until you send it";
  if (at.paused) return "Waits until you go on sending";
  if (at.connectivity === "offline") return "Waits for a connection";
  return at.connectivity === "connecting" ? "Waits while the server is looked for" : null;
}

/** Whether it is the next attempt that an entry waits for: then a person may have it made now. */
export function mayTry(entry: OutboxEntry, at: Situation): boolean {
  const { connectivity } = at;
  // A connection that is being made is no reason to wait with it.
  if (hindrance({ ...at, connectivity: connectivity === "connecting" ? "online" : connectivity }) !== null)
    return false;
  // Also in the moment in which it is tried: what a person has in reach is not to vanish and come back.
  if (entry.asked || entry.attempts > 0) return true;
  return entry.nextAttemptAt !== undefined && !entry.waitsFor.some(at.find);
}

/** What an entry that is not refused waits for. The cause that a person can do something about comes first. */
export function waiting(entry: OutboxEntry, at: Situation): string {
  const cause = hindrance(at);
  if (entry.state === "sending" && !at.held) {
    if (cause === null) return "On its way to the server";
    return `Sent once; nobody knows yet whether it arrived. ${cause}`;
  }
  if (cause !== null && at.connectivity !== "connecting") return cause;
  const left = (entry.nextAttemptAt?.getTime() ?? 0) - at.now;
  if (entry.asked) {
    const next = left > 0 ? `looks again in ${lasting(left)}` : "looks again now";
    return `The server has this, and is checking it with another service; ${next}`;
  }
  if (entry.attempts > 0) {
    const next = left > 0 ? `next try in ${lasting(left)}` : "it is tried again now";
    const often = entry.attempts > 1 ? ` ${count(entry.attempts)} times` : "";
    return `The server had a problem with this${often}; ${next}`;
  }
  const before = entry.waitsFor.map(at.find).filter((one) => one !== undefined);
  const [first] = before;
  if (first !== undefined) {
    const more = before.length > 1 ? `, and ${before.length - 1} more` : "";
    return `Waits for: ${deed(first, at.titles)}${more}`;
  }
  if (left > 0) return `Waits for what goes before it; next try in ${lasting(left)}`;
  return cause ?? "Next to be sent";
}

/** Why a change was not accepted, and what can be done about it: for somebody who knows no codes. */
export interface Reason {
  readonly why: string;
  readonly advice: string;
}

const AGAIN = "Send it again, or throw it away.";
const FIX = "Change what you wrote and send it again.";
const REASONS: Record<string, Reason> = {
  "LF-3001": {
    why: "You are not allowed to change this.",
    advice: "Copy what you wrote if you need it, then throw the change away.",
  },
  "LF-3002": {
    why: "It was deleted elsewhere before your change arrived.",
    advice: "Send it again to bring it back with what you wrote.",
  },
  "LF-3003": {
    why: "What it belongs to is no longer there.",
    advice: "Copy what you wrote to where you want it, then throw the change away.",
  },
  "LF-3004": { why: "Somebody else has taken this already.", advice: "Choose another and send it again." },
  "LF-3005": {
    why: "It needs a change that was not accepted.",
    advice: "See to that one first, then send this one again.",
  },
  "LF-3007": { why: "It is too large for the server.", advice: "Make it shorter and send it again." },
  "LF-3008": { why: "Something else still belongs to it.", advice: "Delete that first, then send it again." },
  "LF-3009": {
    why: "The server tried several times, and something there went wrong each time.",
    advice: "It is not your fault. Send it again later.",
  },
  "LF-3010": {
    why: "The server cannot tell any more whether it has this.",
    advice: "Look whether your change is there. If not, send it again.",
  },
  "LF-3011": {
    why: "The server does not know yet what to do with this.",
    advice: "It is not your fault. Send it again later.",
  },
  "LF-3012": { why: "It could not be sent in time.", advice: "Send it again if you still want it." },
  "LF-5029": {
    why: "It was found in this device’s safety copy, and may have been sent.",
    advice: "Look whether your change is there. If not, send it again.",
  },
  "LF-5034": { why: "You took back a change that this one needs.", advice: AGAIN },
  "LF-5035": { why: "It was brought back from a copy, and is not sent until you say so.", advice: AGAIN },
};
/** Of what was typed into a page: a server does not say which of the two it was. */
const CLOSED: Reason = {
  why: "The page was deleted, or is not open to you any more.",
  advice: "Keep a copy of the page while it is on your screen, then throw the change away.",
};
const VALUES: Record<string, string> = {
  "LF-2002": "Something is missing that is needed.",
  "LF-2003": "It is longer than what is allowed.",
  "LF-2004": "It is not in the form that is needed here.",
  "LF-2005": "It is outside of what is allowed.",
  "LF-2006": "It is not one of the possible choices.",
};

/** `cause`: what is said of the change whose fate it shares, where that one is still there. */
export function reason(entry: Pick<OutboxEntry, "rows" | "error">, cause?: string): Reason {
  const code = entry.error?.code ?? "";
  if (code === "LF-3005" && cause !== undefined)
    return { why: `It needs another change that was not accepted: ${cause}.`, advice: REASONS[code]?.advice ?? AGAIN };
  const handle = entry.rows.find((row) => row.table === "people")?.values.handle;
  if (code === "LF-3004" && typeof handle === "string")
    return {
      why: `Somebody else already has the handle “${handle}”.`,
      advice: "Choose another one and send it again.",
    };
  if (code === "LF-2004" && entry.error?.table === "people" && entry.error.column === "handle")
    return { why: "A handle is 2 to 30 small letters, digits and _, and begins with a letter.", advice: FIX };
  if (
    ["LF-3001", "LF-3003"].includes(code) &&
    entry.rows.length > 0 &&
    entry.rows.every((row) => row.table === "pages_docs" || row.table === "pages_versions")
  )
    return CLOSED;
  const known = REASONS[code];
  if (known !== undefined) return known;
  if (code.startsWith("LF-2")) return { why: VALUES[code] ?? "The server does not take it as it is.", advice: FIX };
  return { why: "The server did not accept it.", advice: AGAIN };
}

/** Whether a refusal is about what was typed here. */
export function faulty(
  error: Problem | undefined,
  { table, key, column }: Pick<Typed, "table" | "key" | "column">,
): boolean {
  if (error?.table !== table || error.column !== column) return false;
  return error.key === undefined || JSON.stringify(error.key) === JSON.stringify(key);
}

/** The server's own words, for those who want to know. */
export function details(problem: Problem | undefined): string {
  return problem === undefined ? "" : problem.message.replace(/\s*\[LF-\d{4}\]$/, "");
}

/** Since when, and until when: `since 14:05, not sent after 15:00`. */
export function since(entry: OutboxEntry): string {
  const until = entry.expiresAt === undefined ? "" : `, not sent after ${short(entry.expiresAt)}`;
  return `since ${short(entry.createdAt)}${until}`;
}

/** What an undo or a redo left alone; empty when nothing. */
export function leftAlone(left: Undone["left"]): string {
  if (left.length === 0) return "";
  const whole = left.some(({ column }) => column === null);
  const named = [...new Set(left.flatMap(({ table, column }) => (column === null ? [] : labels(table, [column]))))];
  const what = whole || named.length === 0 ? plural(left.length, "thing", "things") : `the ${listed(named)}`;
  const one = (whole ? left.length : named.length || left.length) === 1;
  const stayed = one ? "was left as it is" : "were left as they are";
  return `${what.charAt(0).toUpperCase()}${what.slice(1)} ${stayed}: changed elsewhere since.`;
}

/** What an undo did, for eyes and ears. `what` is the deed that was taken back, where it is known. */
export function told(way: "undo" | "redo", done: Undone, what: string | null): string {
  const left = leftAlone(done.left);
  if (done.rseq === null) return left === "" ? "There was nothing left to change." : `Nothing was changed. ${left}`;
  const act = way === "undo" ? "Undone" : "Done again";
  return `${act}${what === null ? "" : `: ${what}`}.${left === "" ? "" : ` ${left}`}`;
}
