// What became of a note: who wrote what when, what each version changed, and the way back, also for a note that was deleted.

import assert from "node:assert/strict";
import {
  begun,
  elsewhere,
  fields,
  findings,
  open,
  picture,
  press,
  serve,
  signIn,
  standing,
  stayOffline,
  story,
  write,
} from "./support.mjs";

const drawer = (page) => page.getByRole("dialog", { name: "History" });
const said = (page, text) => page.getByRole("status").getByText(text).waitFor();

const mood = (page, chosen) => page.locator("select", { has: page.locator("option:checked", { hasText: chosen }) });

async function openHistory(page) {
  await page.getByRole("button", { name: "History of this note" }).click();
  await drawer(page).waitFor();
}

story("a note's versions are compared, and an older one is brought back", async (scope) => {
  const { server, page } = await begun(scope, "ada");
  await write(page, "Ferry", "It leaves at nine.");
  await standing(page, "saved");
  await elsewhere(scope, server, "ada", [
    ".open my_notes",
    ".sync",
    "update notes set body = 'It leaves at ten.' where title = 'Ferry'",
  ]);
  await page.waitForFunction(() => document.querySelector("textarea.body")?.value === "It leaves at ten.");

  await openHistory(page);
  const newest = drawer(page).getByRole("button", { name: /Changed text, on another device/ });
  await newest.waitFor();
  await drawer(page)
    .getByRole("button", { name: /Written, on this device/ })
    .waitFor();
  // By keyboard alone: open the newest, and read what it changed.
  await newest.focus();
  await page.keyboard.press("Enter");
  assert.equal(await newest.getAttribute("aria-expanded"), "true");
  assert.equal(await drawer(page).locator("del").innerText(), "nine");
  assert.equal(await drawer(page).locator("ins").innerText(), "ten");
  assert.equal(await drawer(page).getByRole("button", { name: "Make the note this again" }).isDisabled(), true);
  await picture(page, "history-compared");
  assert.deepEqual(await findings(page, "history"), []);

  await drawer(page)
    .getByRole("button", { name: /Written, on this device/ })
    .click();
  await drawer(page).getByRole("button", { name: "Make the note this again" }).click();
  await said(page, "The note is again what it was.");
  await drawer(page).getByText("as it is now").first().waitFor();
  await page.keyboard.press("Escape");
  assert.equal(await fields(page).text.inputValue(), "It leaves at nine.");
});

story("an older version is brought back, and that is undone, by keyboard alone", async (scope) => {
  const { server, page } = await begun(scope, "ada");
  await write(page, "Ferry", "It leaves at nine.");
  await standing(page, "saved");
  await elsewhere(scope, server, "ada", [".open my_notes", ".sync", "update notes set body = 'It leaves at ten.'"]);
  const body = (text) => page.waitForFunction((text) => document.querySelector("textarea.body")?.value === text, text);
  const inside = drawer(page).and(page.locator(":focus-within"));
  await body("It leaves at ten.");
  await press(page, "History of this note");
  const first = drawer(page).getByRole("button", { name: /Written, on this device/ });
  await first.waitFor();
  await first.focus();
  await page.keyboard.press("Enter");
  await press(page, "Make the note this again");
  await said(page, "The note is again what it was.");
  await body("It leaves at nine.");
  await inside.waitFor();
  await press(page, "Undo");
  await body("It leaves at ten.");
  await inside.waitFor();
  await page.keyboard.press("Escape");
  await drawer(page).waitFor({ state: "detached" });
  await page.getByRole("button", { name: "History of this note" }).and(page.locator(":focus")).waitFor();
});

story("a note that was deleted is brought back from its history", async (scope) => {
  const { server, page } = await begun(scope, "ada");
  await write(page, "Lighthouse", "White, with a red band.");
  await standing(page, "saved");
  const address = page.url();
  await elsewhere(scope, server, "ada", [".open my_notes", ".sync", "delete from notes where title = 'Lighthouse'"]);
  await page.getByText("This note is not here.").waitFor();
  assert.equal(page.url(), address);
  await page.getByRole("button", { name: "Its history" }).click();
  await drawer(page)
    .getByRole("button", { name: /Deleted, on another device/ })
    .click();
  await drawer(page).getByRole("button", { name: "Bring this note back" }).click();
  await said(page, "The note is back.");
  await page.keyboard.press("Escape");
  await standing(page, "saved");
  assert.equal(await fields(page).text.inputValue(), "White, with a red band.");
});

story("without a network it says what is missing, and what is not in it yet", async (scope) => {
  const server = await serve(scope);
  const { page } = await open(scope, server, { scheme: "dark" });
  await signIn(page, "ada");
  await write(page, "Tide", "High at noon.");
  await standing(page, "saved");
  await stayOffline(page, true);
  await fields(page).text.fill("High at one.");
  await fields(page).text.blur();
  await standing(page, "pending");
  await page.setViewportSize({ width: 390, height: 844 });
  await picture(page, "history-phone-note");
  await openHistory(page);
  await drawer(page).getByText("It is fetched when there is a connection.").waitFor();
  await drawer(page).getByText("Your last changes are not with the server yet.").waitFor();
  await picture(page, "history-offline");
  assert.deepEqual(await findings(page, "history offline"), []);
  await page.keyboard.press("Escape");
  await page.setViewportSize({ width: 1280, height: 800 });
  await stayOffline(page, false);
  await standing(page, "saved");
  await openHistory(page);
  await drawer(page)
    .getByRole("button", { name: /Written, on this device/ })
    .waitFor();
});

story("any two versions stand side by side, and either of them is brought back", async (scope) => {
  const { server, page } = await begun(scope, "ada");
  const middle = Array.from({ length: 12 }, (_, n) => `Stop ${n + 1} is a request stop.`).join("\n");
  const text = (time, last) => `It leaves at ${time}.\n${middle}\n${last}`;
  await write(page, "Ferry", text("nine", "Bring bread."));
  await standing(page, "saved");
  const next = [text("ten", "Bring bread."), text("eleven", "Bring bread and salt.")];
  for (const [at, body] of next.entries()) {
    const as = `'${body.replaceAll("\n", "' || char(10) || '")}'`;
    const title = at === 1 ? ", title = 'Ferry, winter'" : "";
    await elsewhere(scope, server, "ada", [".open my_notes", ".sync", `update notes set body = ${as}${title}`]);
    await page.waitForFunction((text) => document.querySelector("textarea.body")?.value === text, body);
  }
  await openHistory(page);
  const first = drawer(page).getByRole("button", { name: /Written, on this device/ });
  await first.click();
  await drawer(page).getByRole("button", { name: "Compare with another" }).click();
  const pair = drawer(page).getByRole("table", { name: "Text" });
  await pair.waitFor();
  // The oldest beside the newest: not neighbours.
  const marked = async (name) => (await drawer(page).locator(name).allInnerTexts()).map((one) => one.trim());
  assert.deepEqual(await marked("del"), ["nine"]);
  assert.deepEqual(await marked("ins"), [", winter", "eleven", "and salt"]);
  await pair.getByRole("button", { name: "Show 8 lines that both have" }).waitFor();
  await picture(page, "history-side-by-side");
  assert.deepEqual(await findings(page, "side by side"), []);
  await page.setViewportSize({ width: 390, height: 844 });
  await page.emulateMedia({ colorScheme: "dark", reducedMotion: "reduce" });
  await picture(page, "history-side-by-side-phone");
  assert.deepEqual(await findings(page, "side by side on a phone"), []);
  await page.setViewportSize({ width: 1280, height: 800 });

  // Another pair, and the middle one is brought back.
  const [one] = [drawer(page).getByRole("combobox", { name: "with" })];
  await one.selectOption({ index: 1 });
  await page.waitForFunction(() => document.querySelector("dialog ins")?.textContent?.trim() === "ten");
  await pair.getByRole("button", { name: /^Show 1\d lines that both have/ }).click();
  await pair.getByText("Stop 7 is a request stop.").first().waitFor();
  await drawer(page).getByRole("button", { name: "Make the note the later one again" }).click();
  await said(page, "The note is again what it was.");
  await drawer(page).getByRole("button", { name: "All versions" }).click();
  await first.and(page.locator(":focus")).waitFor();
  await page.keyboard.press("Escape");
  assert.equal(await fields(page).text.inputValue(), next[0]);
  assert.equal(await fields(page).title.inputValue(), "Ferry");
});

story(
  "what gave way to another device's change is in the history, and is brought back by keyboard alone",
  async (scope) => {
    const server = await serve(scope);
    const id = "018f7c1e-0000-7000-8000-0000000000ab";
    const row = `insert into notes (id, owner, title, body) values ('${id}', 'ada', 'Ferry', 'It leaves at nine.')`;
    await elsewhere(scope, server, "ada", [".open my_notes", ".sync", row]);
    const pages = [];
    for (const scheme of ["dark", "light"]) {
      const { page } = await open(scope, server, { at: `#/notes/${id}`, scheme });
      await signIn(page, "ada");
      await mood(page, "no mood").waitFor();
      await stayOffline(page, true);
      pages.push(page);
    }
    const [phone, laptop] = pages;
    // What the phone says is older, and comes later.
    await phone.getByLabel("Mood").selectOption("low");
    await standing(phone, "pending");
    await laptop.getByLabel("Mood").selectOption("glad");
    await stayOffline(laptop, false);
    await standing(laptop, "saved");
    await stayOffline(phone, false);
    await mood(phone, "glad").waitFor();
    await phone.setViewportSize({ width: 390, height: 844 });

    for (const [page, where, name] of [
      [phone, "this device", "history-lost-phone"],
      [laptop, "another device", "history-lost"],
    ]) {
      await openHistory(page);
      const lost = drawer(page).getByRole("button", { name: `Wrote mood, where another change won, on ${where}` });
      await lost.waitFor();
      await lost.focus();
      await page.keyboard.press("Enter");
      await drawer(page).getByText("Mood: low").waitFor();
      await picture(page, name);
      assert.deepEqual(await findings(page, name), []);
    }
    await press(laptop, "Use what was written here");
    await said(laptop, "The note is again what it was.");
    for (const page of [laptop, phone]) {
      await page.keyboard.press("Escape");
      await mood(page, "low").waitFor();
    }
  },
);
