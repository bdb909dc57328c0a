// Without a mouse: from signing in to a note that is written, found, pinned, deleted and brought back.

import assert from "node:assert/strict";
import { fields, open, serve, shows, standing, story, tabTo } from "./support.mjs";

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
