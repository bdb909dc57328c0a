// Versions that people keep: of a page, compared and restored while the other types; of a note, under a name.

import assert from "node:assert/strict";
import {
  banner,
  begun,
  fields,
  findings,
  installed,
  open,
  picture,
  press,
  serve,
  signIn,
  standing,
  story,
  write,
} from "./support.mjs";
import { begin, goTo, kept, openToAll, pages, says, visit } from "./writers.mjs";

const drawer = (page, name = "Versions") => page.getByRole("dialog", { name });
const said = (page, text) => page.getByRole("status").getByText(text).waitFor();
const entries = (page) => drawer(page).locator(".version");

async function versions(page) {
  await page.getByRole("button", { name: "Versions of this page" }).click();
  await drawer(page).waitFor();
}

async function close(page) {
  await page.keyboard.press("Escape");
  await page.getByRole("dialog").waitFor({ state: "detached" });
}

story(
  "a version of a page is kept by name, compared word by word, and restored while somebody else writes",
  async (scope) => {
    const server = await serve(scope);
    const ada = await open(scope, server);
    await signIn(ada.page, "ada");
    await begin(ada.page, "Summer timetable");
    await ada.page.keyboard.type("The ferry leaves at nine.");
    await ada.page.keyboard.press("Enter");
    await ada.page.keyboard.type("Dogs sail free.");
    await openToAll(ada.page);
    // By keyboard alone; the name is kept with Enter.
    await versions(ada.page);
    await drawer(ada.page).getByText("No versions yet.").waitFor();
    await drawer(ada.page).getByLabel("Name of the version").focus();
    await ada.page.keyboard.type("As agreed");
    await ada.page.keyboard.press("Enter");
    await said(ada.page, "The version is kept.");
    await entries(ada.page).getByText("As agreed").waitFor();
    assert.equal(await drawer(ada.page).getByLabel("Name of the version").inputValue(), "");
    await close(ada.page);
    await ada.page.getByRole("button", { name: "Versions of this page" }).and(ada.page.locator(":focus")).waitFor();
    await fields(ada.page).text.click();
    await goTo(ada.page, "Control+Home");
    await ada.page.keyboard.type("NOT: ");
    await goTo(ada.page, "Control+End");
    await ada.page.keyboard.press("Enter");
    await ada.page.keyboard.type("Cats pay.");
    await fields(ada.page).title.fill("Winter timetable");
    await fields(ada.page).title.blur();
    await standing(ada.page, "saved");

    // Somebody else sees it, with who kept it, and how the page differs from it.
    const bea = await open(scope, server);
    await signIn(bea.page, "bea");
    await pages(bea.page, "From others");
    await visit(bea.page, "Winter timetable");
    await says(bea.page, "p: NOT: The ferry leaves at nine.", "p: Dogs sail free.", "p: Cats pay.");
    await versions(bea.page);
    await entries(bea.page).filter({ hasText: "As agreed" }).filter({ hasText: "by ada" }).click();
    await drawer(bea.page).getByText("Make the page this again").waitFor();
    assert.deepEqual(await drawer(bea.page).locator("ins").allInnerTexts(), ["Winter", "NOT: ", "Cats pay."]);
    assert.deepEqual(await drawer(bea.page).locator("del").allInnerTexts(), ["Summer"]);
    await close(bea.page);

    // She writes on without a network, while it is restored.
    await server.pause();
    await fields(bea.page).text.click();
    await goTo(bea.page, "Control+Home");
    await goTo(bea.page, "End");
    await bea.page.keyboard.type(" From the old pier.");
    await versions(ada.page);
    await entries(ada.page).filter({ hasText: "As agreed" }).click();
    await drawer(ada.page).getByRole("button", { name: "Make the page this again" }).click();
    await said(ada.page, "The page is again what it was.");
    await drawer(ada.page).getByText("The page says the same now.").waitFor();
    await server.resume();
    const both = ["p: The ferry leaves at nine. From the old pier.", "p: Dogs sail free."];
    for (const { page } of [ada, bea]) await says(page, ...both);
    await bea.page.waitForFunction(() => document.querySelector("textarea.title")?.value === "Summer timetable");

    // What it was before is among the versions, and the notice takes the restore back, not what bea wrote.
    await drawer(ada.page).getByRole("button", { name: "All versions" }).click();
    await entries(ada.page).filter({ hasText: "Kept by itself" }).first().waitFor();
    await drawer(ada.page).getByRole("button", { name: "Undo", exact: true }).click();
    await close(ada.page);
    for (const { page } of [ada, bea])
      await says(page, "p: NOT: The ferry leaves at nine. From the old pier.", "p: Dogs sail free.", "p: Cats pay.");
    await ada.page.waitForFunction(() => document.querySelector("textarea.title")?.value === "Winter timetable");
  },
);

story("a version is kept when a page is left, offline too, and one that nobody wants is deleted", async (scope) => {
  const { server, page } = await begun(scope, "ada");
  await begin(page, "In the storm");
  await page.keyboard.type("Nobody sails today.");
  await standing(page, "saved");
  await installed(page);
  await server.kill();
  await banner(page, "Offline.").waitFor();
  await fields(page).text.click();
  await goTo(page, "Control+End");
  await page.keyboard.type(" Nor tomorrow.");
  await kept(page);
  await pages(page);
  await visit(page, "In the storm");
  await versions(page);
  await entries(page).filter({ hasText: "Not sent yet" }).first().waitFor();
  await drawer(page).getByLabel("Name of the version").fill("Before the storm");
  await page.keyboard.press("Enter");
  await said(page, "The version is kept here, and sent when there is a network.");
  await picture(page, "versions-offline");
  await server.start();
  await entries(page).filter({ hasText: "Before the storm" }).filter({ hasNotText: "Not sent yet" }).waitFor();
  await entries(page).filter({ hasText: "Before the storm" }).click();
  await drawer(page).getByText("The page says the same now.").waitFor();
  await press(page, "Delete this version");
  await drawer(page).getByRole("button", { name: "Keep it" }).and(page.locator(":focus")).waitFor();
  await page.keyboard.press("Escape");
  await drawer(page).getByRole("button", { name: "Delete this version" }).and(page.locator(":focus")).waitFor();
  await page.keyboard.press("Enter");
  await drawer(page).getByRole("button", { name: "Delete", exact: true }).click();
  await said(page, "The version is deleted.");
  await entries(page).filter({ hasText: "Before the storm" }).waitFor({ state: "detached" });
  await close(page);
});

story("a version of a note has a name, stands among its history, and is brought back", async (scope) => {
  const { server, page } = await begun(scope, "ada");
  await write(page, "Ferry", "It leaves at nine.");
  await standing(page, "saved");
  await page.getByRole("button", { name: "History of this note" }).click();
  const history = drawer(page, "History");
  await history.getByRole("button", { name: "Keep it" }).click();
  await history.getByRole("alert").getByText("Give it a name.").waitFor();
  await history.getByLabel("Name this version").fill("As agreed");
  await page.keyboard.press("Enter");
  await said(page, "The version is kept.");
  await history.getByRole("button", { name: /^As agreed/ }).waitFor();
  await close(page);
  await fields(page).text.fill("It leaves at ten.");
  await fields(page).text.blur();
  await standing(page, "saved");
  // Another device of hers.
  const phone = await open(scope, server);
  await signIn(phone.page, "ada");
  await phone.page.getByRole("option").getByText("Ferry").click();
  await phone.page.getByRole("button", { name: "History of this note" }).click();
  const there = drawer(phone.page, "History");
  await there.getByRole("button", { name: /^As agreed/ }).click();
  assert.equal(await there.locator("del").first().innerText(), "nine");
  assert.equal(await there.locator("ins").first().innerText(), "ten");
  await picture(phone.page, "history-named");
  assert.deepEqual(await findings(phone.page, "history with a named version"), []);
  await there.getByRole("button", { name: "Make the note this again" }).click();
  await said(phone.page, "The note is again what it was.");
  await page.waitForFunction(() => document.querySelector("textarea.body")?.value === "It leaves at nine.");
  await there.getByRole("button", { name: "Undo", exact: true }).click();
  await page.waitForFunction(() => document.querySelector("textarea.body")?.value === "It leaves at ten.");
});
