import type { HeldBack, OutboxEntry, RowChange } from "@landfall/client";
import { describe, expect, it } from "vitest";
import { importedWords, triedWords } from "./outbox";
import {
  away,
  changedSince,
  deed,
  faulty,
  heldBack,
  keptWhen,
  leftAlone,
  mayTry,
  placeOf,
  reason,
  type Situation,
  told,
  typed,
  waiting,
} from "./words";

const TITLES = new Map([
  ["n1", "Shopping"],
  ["n2", ""],
  ["p1", "The ferry"],
  ["g1", "Timetable"],
]);

function row(table: string, key: unknown, op: RowChange["op"], values: Record<string, unknown> = {}): RowChange {
  return { table, key, op, values };
}

const tagging = (edit: object): RowChange => ({ ...row("notes", "n1", "update", { tags: edit }), edited: ["tags"] });
const like = { post: "p1", person: "ada" };

function entry(more: Partial<OutboxEntry>): OutboxEntry {
  const plain = { rseq: 1, state: "pending", rows: [], open: true, waitsFor: [], attempts: 0, priority: 50 } as const;
  return { ...plain, createdAt: new Date(0), ...more };
}

const at = (more: Partial<Situation> = {}): Situation => ({
  connectivity: "online",
  staysOffline: false,
  paused: false,
  held: false,
  now: 0,
  find: () => undefined,
  titles: TITLES,
  ...more,
});

describe("what an entry does", () => {
  const cases: [string, ...RowChange[]][] = [
    ["New note “Shopping”", row("notes", "n1", "insert", { title: "Shopping", body: "Bread" })],
    ["New note “Not here yet”", row("notes", "n9", "insert", { title: "Not here yet" })],
    ["New untitled note", row("notes", "n2", "insert", { title: "" })],
    ["Changed the title of “Shopping”", row("notes", "n1", "update", { title: "Shopping" })],
    ["Changed the title and text of “Shopping”", row("notes", "n1", "update", { body: "", title: "Shopping" })],
    ["Changed the mood of an untitled note", row("notes", "n2", "update", { mood: "calm" })],
    [
      "New page “Timetable”",
      row("pages", "g1", "insert", { title: "" }),
      row("pages_docs", "u1", "insert", { id: "g1" }),
    ],
    ["Wrote in “Timetable”", row("pages_docs", "u1", "insert", { id: "g1" })],
    ["Kept a version of “Timetable”", row("pages_versions", "v1", "insert", { id: "g1", title: "Then" })],
    [
      "Kept the version “Agreed” of “Shopping”",
      row("notes_versions", "v2", "insert", { id: "n1", version_name: "Agreed" }),
    ],
    ["Deleted a version of a page", row("pages_versions", "v1", "delete")],
    ["Opened “Timetable” to everybody", row("pages", "g1", "update", { open: true })],
    ["Closed “Timetable” to others", row("pages", "g1", "update", { open: false })],
    ["Pinned “Shopping”", row("notes", "n1", "update", { pinned: true })],
    ["Unpinned “Shopping”", row("notes", "n1", "update", { pinned: false })],
    ["Changed “Shopping”", row("notes", "n1", "update", { rating: 3 })],
    ["Deleted “Shopping”", row("tags", { note_id: "n1", tag: "sea" }, "delete"), row("notes", "n1", "delete")],
    ["Deleted a note", row("notes", "n9", "delete")],
    ["Deleted “Shopping”, and 1 more item", row("notes", "n1", "delete"), row("notes", "n2", "delete")],
    ["Added the tag “sea” to “Shopping”", row("tags", { note_id: "n1", tag: "sea" }, "insert", { owner: "ada" })],
    ["Removed the tag “sea” from a note", row("tags", { note_id: "n9", tag: "sea" }, "delete")],
    ["Added the tag “sea” to “Shopping”", tagging({ add: ["sea"] })],
    ["Removed the tags “sea” and “fog” from “Shopping”", tagging({ remove: ["sea", "fog"] })],
    ["Changed the tags of “Shopping”", tagging({ add: ["sea"], remove: ["fog"] })],
    ["Pinned “Shopping”", row("notes", "n1", "update", { pinned: true, position: "V" })],
    ["Moved “Shopping” among the pinned", row("notes", "n1", "update", { position: "V" })],
    [
      "Changed the text of “Shopping”",
      row("notes_conflicts", "c1", "delete"),
      row("notes", "n1", "update", { body: "" }),
    ],
    ["Chose between versions of “Shopping”", row("notes_conflicts", "n1", "delete")],
    ["Liked “The ferry”", row("likes", like, "update", { times: 1 })],
    ["Took back a like of “The ferry”", row("likes", like, "update", { times: -1 })],
    [
      "New post “The ferry”",
      row("people", "ada", "insert", { name: "ada" }),
      row("posts", "p1", "insert", { title: "" }),
    ],
    ["Published “The ferry”", row("posts", "p1", "update", { status: "live", published: "now" })],
    ["Took “The ferry” back to draft", row("posts", "p1", "update", { status: "draft" })],
    ["Changed your name and handle", row("people", "ada", "update", { handle: "ada", name: "Ada" })],
    ["Changed your profile", row("people", "ada", "update", { born: "1815-12-10" })],
    ["Changed boats", row("boats", 1, "update", { name: "x" })],
    ["A change"],
  ];
  for (const [words, ...rows] of cases) it(words, () => expect(deed({ rows }, TITLES)).toBe(words));

  it("a very long title is cut", () => {
    expect(deed({ rows: [row("notes", "n9", "delete")] }, new Map([["n9", "x".repeat(200)]]))).toBe(
      `Deleted “${"x".repeat(59)}…”`,
    );
  });
});

describe("when a copy of the outbox was kept", () => {
  it("has words for every reason that the engine gives", () => {
    // From the engine's own text, so that none is forgotten.
    const sources = import.meta.glob<string>("../../../../crates/client/src/db/*.rs", {
      eager: true,
      query: "?raw",
      import: "default",
    });
    const given = Object.values(sources).flatMap((text) =>
      [...text.matchAll(/"(before [^"\n]+)"/g)].map(([, why]) => why),
    );
    expect(given.length).toBeGreaterThanOrEqual(6);
    for (const why of given) expect(keptWhen(why ?? ""), why).not.toBe(keptWhen("for a reason that nobody knows"));
  });
});

describe("what an entry waits for", () => {
  it("says the cause that a person can do something about first", () => {
    const stuck = entry({ attempts: 2, nextAttemptAt: new Date(20_000), waitsFor: [7] });
    expect(waiting(stuck, at({ connectivity: "needs-sign-in" }))).toBe("Waits until you sign in again");
    expect(waiting(stuck, at({ connectivity: "offline", staysOffline: true }))).toBe("Waits until you go online");
    expect(waiting(stuck, at({ connectivity: "offline" }))).toBe("Waits for a connection");
    expect(waiting(stuck, at({ connectivity: "stopped" }))).toBe("Waits: syncing has stopped");
  });
  it("counts down to the next attempt, in units that fit", () => {
    const failing = (ms: number) => waiting(entry({ attempts: 1, nextAttemptAt: new Date(ms) }), at());
    const problem = "The server had a problem with this";
    expect(failing(20_000)).toBe(`${problem}; next try in 20 seconds`);
    expect(failing(1)).toBe(`${problem}; next try in 1 second`);
    expect(failing(300_000)).toBe(`${problem}; next try in 5 minutes`);
    expect(failing(7_200_000)).toBe(`${problem}; next try in 2 hours`);
    expect(failing(0)).toBe(`${problem}; it is tried again now`);
    expect(waiting(entry({ attempts: 3 }), at())).toBe(`${problem} 3 times; it is tried again now`);
  });
  it("may be tried now where it is the next attempt that it waits for", () => {
    const next = { nextAttemptAt: new Date(20_000) };
    const before = entry({ rseq: 7 });
    const [failing, asked, parked] = [entry({ attempts: 2, ...next }), entry({ asked: true, ...next }), entry(next)];
    const waits = entry({ waitsFor: [7], ...next });
    const behind = at({ find: (rseq) => (rseq === 7 ? before : undefined) });
    for (const one of [failing, asked, parked, waits, entry({})]) {
      for (const situation of [at(), behind, at({ connectivity: "connecting" }), at({ connectivity: "offline" })]) {
        const countsDown = / in \d+ seconds$/.test(waiting(one, situation));
        expect(mayTry(one, situation), waiting(one, situation)).toBe(countsDown);
      }
    }
    // Who is at the button while it is tried stays there.
    expect(mayTry({ ...failing, state: "sending" }, at())).toBe(true);
    expect(mayTry(failing, at({ now: 30_000 }))).toBe(true);
    for (const kept of [{ paused: true }, { held: true }, { staysOffline: true }, { connectivity: "stopped" as const }])
      expect(mayTry(failing, at(kept))).toBe(false);
  });
  it("names what goes before it, while that is undecided", () => {
    const first = entry({ rseq: 7, rows: [row("notes", "n1", "insert", { title: "Shopping" })] });
    const find = (rseq: number) => (rseq === 7 ? first : undefined);
    expect(waiting(entry({ waitsFor: [7] }), at({ find }))).toBe("Waits for: New note “Shopping”");
    expect(waiting(entry({ waitsFor: [7, 7] }), at({ find }))).toBe("Waits for: New note “Shopping”, and 1 more");
    expect(waiting(entry({ waitsFor: [6] }), at({ find }))).toBe("Next to be sent");
    expect(waiting(entry({ state: "sending" }), at())).toBe("On its way to the server");
    expect(waiting(entry({ nextAttemptAt: new Date(20_000) }), at())).toBe(
      "Waits for what goes before it; next try in 20 seconds",
    );
  });
  it("does not say that something is on its way while nothing can be", () => {
    const sent = (more: Partial<Situation>) => waiting(entry({ state: "sending", open: false }), at(more));
    const once = "Sent once; nobody knows yet whether it arrived.";
    expect(sent({ connectivity: "offline" })).toBe(`${once} Waits for a connection`);
    expect(sent({ connectivity: "offline", staysOffline: true })).toBe(`${once} Waits until you go online`);
    expect(sent({ connectivity: "connecting" })).toBe(`${once} Waits while the server is looked for`);
    expect(sent({ connectivity: "needs-sign-in" })).toBe(`${once} Waits until you sign in again`);
    expect(sent({ paused: true })).toBe(`${once} Waits until you go on sending`);
  });
  it("tells what is being asked elsewhere from what failed", () => {
    const asked = entry({ asked: true, open: false, nextAttemptAt: new Date(20_000) });
    const words = "The server has this, and is checking it with another service; looks again in 20 seconds";
    expect(waiting(asked, at())).toBe(words);
    expect(waiting({ ...asked, attempts: 2 }, at())).toBe(words);
    expect(waiting(asked, at({ now: 30_000 }))).toBe(
      "The server has this, and is checking it with another service; looks again now",
    );
    expect(waiting(asked, at({ connectivity: "offline" }))).toBe("Waits for a connection");
  });
});

describe("what was not accepted", () => {
  const refused = (code: string, ...rows: RowChange[]) => reason({ rows, error: { code, message: "…" } });
  it("has a reason and a way out in plain words, whatever the code", () => {
    const codes = ["2003", "2999", "3001", "3002", "3003", "3004", "3005", "3007", "3008", "3009", "3010"];
    for (const code of [...codes, "3011", "3012", "5029", "5034", "5035", "9999"]) {
      const { why, advice } = refused(`LF-${code}`);
      for (const words of [why, advice]) {
        expect(words).toMatch(/^[A-Z].*\.$/);
        expect(words).not.toMatch(/LF-|\brow\b|column|transaction|replica|entry/);
      }
    }
    expect(refused("LF-3011").why).toBe("The server does not know yet what to do with this.");
    const form = { code: "LF-2004", message: "…", table: "people", column: "handle" };
    expect(reason({ rows: [], error: form }).why).toContain("begins with a letter");
    const shared = { rows: [], error: { code: "LF-3005", message: "…" } };
    expect(reason(shared, "New note “Shopping”").why).toBe(
      "It needs another change that was not accepted: New note “Shopping”.",
    );
    expect(reason(shared).why).toBe("It needs a change that was not accepted.");
    expect(refused("LF-3012").why).toBe("It could not be sent in time.");
    expect(refused("LF-3004", row("people", "ada", "update", { handle: "zoe" })).why).toContain("the handle “zoe”");
  });
  it("is about the field that it names, in the row that it names", () => {
    const at = { table: "notes", key: "n1", column: "title" };
    const error = { code: "LF-2003", message: "…" };
    expect(faulty({ ...error, ...at }, at)).toBe(true);
    expect(faulty({ ...error, table: "notes", column: "title" }, at)).toBe(true);
    expect(faulty({ ...error, ...at, key: "n2" }, at)).toBe(false);
    expect(faulty({ ...error, ...at, column: "body" }, at)).toBe(false);
    expect(faulty({ code: "LF-3001", message: "not 'title'" }, at)).toBe(false);
    expect(faulty(undefined, at)).toBe(false);
    const tag = { table: "tags", key: { note_id: "n1", tag: "sea" }, column: "tag" };
    expect(faulty({ ...error, ...tag, key: { note_id: "n1", tag: "sea" } }, tag)).toBe(true);
  });
  it("shows what was typed, and what of it can be written otherwise", () => {
    const rows = [
      row("tags", { note_id: "n1", tag: "sea" }, "insert", { owner: "ada" }),
      row("notes", "n1", "insert", { title: "Shopping", body: "Bread", owner: "ada", mood: "calm", pinned: false }),
      row("notes", "n2", "delete"),
    ];
    expect(typed({ rows }).map(({ label, text, editable }) => [label, text, editable])).toEqual([
      ["title", "Shopping", true],
      ["text", "Bread", true],
      ["mood", "calm", false],
      ["tag", "sea", false],
    ]);
    // A text under the rule `text` travels with what it was written on.
    const merging = row("notes", "n1", "update", { body: { was: "Bread", is: "Bread, salt" } });
    expect(typed({ rows: [merging] }).map(({ text }) => text)).toEqual(["Bread, salt"]);
    // An emptied text is what the person wanted.
    expect(typed({ rows: [row("notes", "n1", "update", { body: "" })] })).toHaveLength(1);
  });
  it("is opened where it is edited, if it is still there", () => {
    expect(placeOf({ rows: [row("tags", { note_id: "n1", tag: "sea" }, "delete")] })).toEqual({
      table: "notes",
      id: "n1",
    });
    expect(placeOf({ rows: [row("notes", "n1", "delete")] })).toBeNull();
  });
});

describe("what an undo did", () => {
  const left = (column: string | null, table = "notes") => ({ table, key: "n1", column });
  it("is told, with what was left alone", () => {
    expect(told("undo", { of: 1, rseq: 2, left: [] }, "Pinned “Shopping”")).toBe("Undone: Pinned “Shopping”.");
    expect(told("redo", { of: 2, rseq: 3, left: [] }, null)).toBe("Done again.");
    expect(told("undo", { of: 1, rseq: null, left: [left("title")] }, null)).toBe(
      "Nothing was changed. The title was left as it is: changed elsewhere since.",
    );
  });
  it("names the fields, or counts what has no name", () => {
    expect(leftAlone([left("title"), left("body")])).toBe(
      "The title and text were left as they are: changed elsewhere since.",
    );
    expect(leftAlone([left(null)])).toBe("1 thing was left as it is: changed elsewhere since.");
    expect(leftAlone([left("budget"), left("rating")])).toBe(
      "2 things were left as they are: changed elsewhere since.",
    );
    expect(leftAlone([])).toBe("");
  });
});

it("who has it tried now hears how much that is", () => {
  expect(triedWords(0)).toBe("All of it is being tried already.");
  expect(triedWords(1)).toBe("It is tried again now.");
  expect(triedWords(1200)).toBe("1,200 changes are tried again now.");
});

it("an import says what was added, known and left out", () => {
  expect(importedWords({ added: [1, 2], known: 1, refused: ["entry 4: damaged"] })).toBe(
    "2 changes were brought in, and wait for your decision; 1 was here already; 1 was left out (entry 4: damaged).",
  );
  expect(importedWords({ added: [1], known: 0, refused: [] })).toBe(
    "1 change was brought in, and waits for your decision.",
  );
  expect(importedWords({ added: [], known: 0, refused: [] })).toBe("There was nothing in the file.");
});

describe("what is held back after a long absence", () => {
  const day = 86_400_000;
  const held = (more: Partial<HeldBack>): HeldBack => ({
    entries: 812,
    conflicts: 12,
    awayMs: 34 * day,
    since: new Date(0),
    complete: true,
    copied: true,
    ...more,
  });

  it("says how long it was", () => {
    const said = [34 * day, day, day - 1, 3_600_000, 90_000, 999].map(away);
    expect(said).toEqual(["34 days", "1 day", "23 hours", "1 hour", "1 minute", "1 second"]);
  });

  it("says how much of it others have touched", () => {
    expect(heldBack(held({}))).toBe("812 changes wait to be sent; 12 touch things that others changed since.");
    expect(heldBack(held({ conflicts: 1 }))).toBe(
      "812 changes wait to be sent; 1 touches something that others changed since.",
    );
    expect(heldBack(held({ complete: false }))).toContain("changed since so far.");
    expect(heldBack(held({ conflicts: 0 }))).toBe("812 changes wait to be sent. Others changed none of it since.");
    expect(heldBack(held({ conflicts: 0, complete: false }))).toBe("812 changes wait to be sent.");
    expect(heldBack(held({ entries: 1, conflicts: 1 }))).toBe(
      "1 change waits to be sent, and touches something that others changed since.",
    );
  });

  it("says what they did", () => {
    const title = { table: "notes", key: "n1", column: "title", was: "Shopping", now: "Bread", own: "Milk" };
    expect(changedSince(title)).toBe("Somebody changed the title: it is “Bread” now, and was “Shopping”.");
    expect(changedSince({ table: "notes", key: "n1", column: "body", now: "a\n b" })).toBe(
      "Somebody changed the text: it is “a b” now.",
    );
    expect(changedSince({ table: "notes", key: "n1", column: "pinned", was: false, now: true, own: false })).toBe(
      "Somebody changed the pin: it is on now, and was off.",
    );
    expect(changedSince({ table: "posts", key: "p1", column: null })).toContain("Somebody deleted the post meanwhile.");
  });

  it("holds each entry back in the same words", () => {
    expect(waiting(entry({}), at({ held: true }))).toBe("Held back until you send it");
    expect(waiting(entry({ state: "sending" }), at({ held: true }))).toBe("Held back until you send it");
  });
});

it("says of what was typed into a page that is closed, or gone, what can be done", () => {
  const typed = [row("pages_docs", "u1", "insert", { id: "g1" })];
  const refused = (code: string) => reason(entry({ rows: typed, error: { code, message: "" } as never })).why;
  expect(refused("LF-3003")).toBe("The page was deleted, or is not open to you any more.");
  expect(refused("LF-3001")).toBe(refused("LF-3003"));
  expect(refused("LF-3007")).toBe("It is too large for the server.");
});
