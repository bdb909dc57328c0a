import { expect, test } from "vitest";
import type { NotesHistory } from "../landfall.gen";
import { versionsOf } from "./versions";

const START = Date.parse("2026-11-22T08:00:00Z");

function change(minute: number, part: Partial<NotesHistory>): NotesHistory {
  const at = new Date(START + minute * 60_000).toISOString();
  const about = { change_kind: "update", change_device: "phone", change_columns: ["body"], change_written: at };
  return { title: "Sea", body: "", pinned: false, ...about, ...part } as unknown as NotesHistory;
}

test("what one device wrote with short pauses is one version", () => {
  const changes = [
    change(20, { body: "abcd" }),
    change(4, { body: "abc", change_device: "laptop" }),
    change(3, { body: "ab" }),
    change(2, { body: "a" }),
    change(0, { change_kind: "insert", change_columns: null }),
  ];
  const versions = versionsOf(changes);
  expect(versions.map(({ deed, changes, last }) => [deed, changes, last.body])).toEqual([
    ["Changed text", 1, "abcd"],
    ["Changed text", 1, "abc"],
    ["Written", 3, "ab"],
  ]);
  expect(versions.map(({ before }) => before?.body)).toEqual(["abc", "ab", undefined]);
});

test("what was gone back from can be gone back to, and an afternoon is not one version", () => {
  const changes = [
    change(4, { body: "nine" }),
    change(3, { body: "eleven" }),
    change(2, { body: "nine" }),
    change(0, { change_kind: "insert", change_columns: null }),
  ];
  expect(versionsOf(changes).map(({ last }) => last.body)).toEqual(["nine", "eleven"]);
  const steady = Array.from({ length: 60 }, (_, n) => change(60 - n, { body: `${60 - n}`, change_id: `${n}` }));
  const versions = versionsOf(steady);
  expect(versions).toHaveLength(10);
  // A version that grows keeps its name.
  expect(versionsOf(steady.slice(1))[0]?.id).toBe(versions[0]?.id);
});

test("what gave way to another change is a version to go back to, and no state that others are compared with", () => {
  const lost = {
    change_kind: "lost",
    change_columns: ["title"],
    title: "Lake",
    body: "ab",
    change_device: "laptop",
  } as const;
  const changes = [
    change(3, { body: "abc" }),
    change(2, lost),
    change(2, { body: "ab", change_device: "laptop" }),
    change(0, { change_kind: "insert", change_columns: null, body: "a" }),
  ];
  const versions = versionsOf(changes);
  expect(versions.map(({ deed, before }) => [deed, before?.body])).toEqual([
    ["Changed text", "ab"],
    ["Wrote title, where another change won", "ab"],
    ["Changed text", "a"],
    ["Written", undefined],
  ]);
});

test("a delete, a return and what nobody signed stand by themselves", () => {
  const changes = [
    change(3, { change_kind: "insert" }),
    change(2, { change_kind: "delete" }),
    change(1, { change_device: null }),
    change(1, { change_device: null, pinned: true, change_columns: ["pinned"] }),
    change(0, { change_kind: "before", change_device: null }),
  ];
  expect(versionsOf(changes).map(({ deed }) => deed)).toEqual([
    "Written",
    "Deleted",
    "Changed text",
    "Pinned",
    "As it was before its history began",
  ]);
});
