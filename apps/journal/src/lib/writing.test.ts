import { expect, test, vi } from "vitest";
import { type Text, Writing } from "./writing.svelte";

function writing() {
  const [kept, saved]: [Text[], Text[]] = [[], []];
  const text = new Writing("one", {
    keep: async (_, text) => void kept.push(text),
    save: async (_, text) => void saved.push(text),
    failed: (problem) => {
      throw problem;
    },
  });
  return { text, kept, saved };
}

test("what is typed is kept as a draft soon, and saved after a pause", async () => {
  vi.useFakeTimers();
  const { text, kept, saved } = writing();
  text.arrived({ title: "T", body: "" });
  text.body = "ab";
  text.input();
  await vi.advanceTimersByTimeAsync(300);
  expect([kept, saved, text.typed]).toEqual([[{ title: "T", body: "ab" }], [], true]);
  await vi.advanceTimersByTimeAsync(2000);
  expect([saved, text.typed]).toEqual([[{ title: "T", body: "ab" }], false]);
  vi.useRealTimers();
});

test("what others change comes in where nothing was typed, and nowhere else", async () => {
  const { text, saved } = writing();
  text.arrived({ title: "T", body: "B" });
  text.body = "B, mine";
  text.input();
  text.arrived({ title: "T, theirs", body: "B, theirs" });
  expect([text.title, text.body]).toEqual(["T, theirs", "B, mine"]);
  await text.flush();
  expect(saved).toEqual([{ title: "T, theirs", body: "B, mine" }]);
});

test("what is dropped is not saved", async () => {
  const { text, saved } = writing();
  text.arrived({ title: "", body: "" });
  text.title = "gone";
  text.input();
  text.drop();
  await text.flush();
  expect(saved).toEqual([]);
});
