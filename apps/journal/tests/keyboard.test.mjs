// Without a mouse: from signing in to a note that is written, found, pinned, deleted and brought back; and a page, with its tools.

import assert from "node:assert/strict";
import { begun, fields, open, press, serve, shows, standing, story, tabTo } from "./support.mjs";
import { goTo, says } from "./writers.mjs";

story("everything that a person does with notes is done by keyboard", async (scope) => {
  const server = await serve(scope);
  const { page } = await open(scope, server);
  await page.getByLabel("Your name").waitFor();
  await page.keyboard.press("Tab");
  await page.keyboard.type("ada");
  await page.keyboard.press("Enter");
  await page.getByText("Nothing written yet.").waitFor();

  for (const title of ["Harbour", "Lighthouse"]) {
    await page.keyboard.press("n");
    await fields(page).title.and(page.locator(":focus")).waitFor();
    await page.keyboard.type(title);
    await page.keyboard.press("Enter");
    // Keys that are commands elsewhere are letters in a text.
    await page.keyboard.type(`n / ${title}`);
    await page.keyboard.press("Tab");
    await standing(page, "pending", "sending", "saved");
  }
  await shows(page, ["Harbour", "Lighthouse"]);

  await page.keyboard.press("/");
  await page.keyboard.type("harb");
  await shows(page, ["Harbour"]);
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("Enter");
  await page.getByRole("option", { name: "Harbour", selected: true }).waitFor();
  await page.waitForFunction(() => document.querySelector("textarea.body")?.value === "n / Harbour");

  await tabTo(page, "Pin this note");
  await page.keyboard.press("Enter");
  await page.getByRole("button", { name: "Pin this note", pressed: true }).waitFor();
  await tabTo(page, "Delete this note");
  await page.keyboard.press("Enter");
  await page.getByText("“Harbour” is deleted.").waitFor();
  await tabTo(page, "Undo");
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => document.querySelector("textarea.body")?.value === "n / Harbour");

  await tabTo(page, "Outbox");
  await page.keyboard.press("Enter");
  await page.getByRole("dialog").waitFor();
  await page.keyboard.press("Escape");
  await page.getByRole("dialog").waitFor({ state: "detached" });
  const back = await page.evaluate(() => document.activeElement?.textContent?.trim() ?? "");
  assert.match(back, /^Outbox/, "the focus is back where it was");
});

story("a page is begun, written, given its form, opened, deleted and brought back by keyboard", async (scope) => {
  const { page } = await begun(scope, "ada");
  await press(page, "Pages");
  await press(page, "New page");
  await fields(page).title.and(page.locator(":focus")).waitFor();
  await page.keyboard.type("Timetable");
  await fields(page).text.waitFor();
  await page.keyboard.press("Enter");
  await fields(page).text.and(page.locator(":focus")).waitFor();
  await page.keyboard.type("The ferry leaves at ");

  // The tools are one stop: in by Alt+F10, from one to the next by arrows, and back into the text with what they do.
  const tool = (name) => page.getByRole("button", { name, exact: true });
  const has = (name) => tool(name).and(page.locator(":focus")).waitFor();
  await page.keyboard.press("Alt+F10");
  await has("Heading");
  await page.keyboard.press("End");
  await has("Redo what you wrote here");
  await page.keyboard.press("ArrowRight");
  await has("Heading");
  for (const name of ["Smaller heading", "Bold"]) {
    await page.keyboard.press("ArrowRight");
    await has(name);
  }
  assert.equal(await page.locator('[role="toolbar"] [tabindex="0"]').count(), 1);
  await page.keyboard.press("Enter");
  await fields(page).text.and(page.locator(":focus")).waitFor();
  await page.getByRole("button", { name: "Bold", exact: true, pressed: true }).waitFor();
  await page.keyboard.type("nine");
  await page.locator(".tiptap strong", { hasText: "nine" }).waitFor();
  await page.keyboard.press("Alt+F10");
  await has("Bold");
  await page.keyboard.press("Escape");
  await fields(page).text.and(page.locator(":focus")).waitFor();

  await goTo(page, "Shift+Home");
  await page.keyboard.press("Control+k");
  await page.getByLabel("Where the link goes").and(page.locator(":focus")).waitFor();
  await page.keyboard.type("javascript:alert(1)");
  await page.keyboard.press("Enter");
  await page.getByText("This is no address").waitFor();
  await page.keyboard.press("Control+a");
  await page.keyboard.type("ferry.example");
  await page.keyboard.press("Enter");
  await page.locator('.tiptap a[href="https://ferry.example"]').first().waitFor();
  await fields(page).text.and(page.locator(":focus")).waitFor();
  await page.keyboard.press("Control+z");
  await page.locator(".tiptap a").first().waitFor({ state: "detached" });
  await says(page, "p: The ferry leaves at nine");

  await tabTo(page, "Open to everybody");
  await page.keyboard.press("Space");
  await page.getByRole("switch", { name: "Open to everybody", checked: true }).waitFor();
  await press(page, "Delete this page");
  await page.getByText("“Timetable” is deleted.").waitFor();
  await press(page, "Undo");
  await says(page, "p: The ferry leaves at nine");
});
