// Pages that several write at once: together, apart, without a network, and when one may not any more.

import assert from "node:assert/strict";
import { banner, fields, installed, open, serve, signIn, standing, story } from "./support.mjs";
import { begin, blocks, caret, goTo, kept, openToAll, pages, says, visit } from "./writers.mjs";

/** Ada with a page that is open to everybody, and Bea who reads it. */
async function two(scope) {
  const server = await serve(scope);
  const ada = await open(scope, server);
  await signIn(ada.page, "ada");
  await begin(ada.page, "Summer timetable");
  await ada.page.keyboard.type("The ferry leaves at nine.");
  await openToAll(ada.page);
  await standing(ada.page, "saved");
  const bea = await open(scope, server);
  await signIn(bea.page, "bea");
  await pages(bea.page, "From others");
  await visit(bea.page, "Summer timetable");
  await says(bea.page, "p: The ferry leaves at nine.");
  return { server, ada, bea };
}

story(
  "two people write in one page, see each other’s cursors and names, and undo only what is theirs",
  async (scope) => {
    const { ada, bea } = await two(scope);
    await ada.page.getByRole("status").getByText("bea is here").waitFor({ state: "attached" });
    await bea.page.getByRole("status").getByText("ada is here").waitFor({ state: "attached" });
    await fields(bea.page).text.click();
    await goTo(bea.page, "Control+End");
    await bea.page.keyboard.type(" Dogs sail free.");
    await says(ada.page, "p: The ferry leaves at nine. Dogs sail free.");
    await caret(ada.page, "bea").waitFor();
    await fields(ada.page).text.click();
    await goTo(ada.page, "Control+Home");
    await ada.page.keyboard.type("Please note: ");
    await says(bea.page, "p: Please note: The ferry leaves at nine. Dogs sail free.");
    await caret(bea.page, "ada").waitFor();
    const tone = (page) => page.evaluate(() => document.querySelector(".caret")?.getAttribute("data-tone"));
    assert.equal(await tone(bea.page), await bea.page.evaluate(() => document.querySelector(".here li")?.dataset.tone));
    // Undo takes back one's own words, whoever wrote last.
    await bea.page.keyboard.press("Control+z");
    await says(ada.page, "p: Please note: The ferry leaves at nine.");
    await bea.page.keyboard.press("Control+y");
    await says(ada.page, "p: Please note: The ferry leaves at nine. Dogs sail free.");
    // The title is a column, and is the same for both.
    await fields(bea.page).title.fill("Timetable");
    await fields(bea.page).title.blur();
    await ada.page.waitForFunction(() => document.querySelector("textarea.title")?.value === "Timetable");
    // Whoever leaves is gone, and their cursor with them.
    await bea.page.getByRole("link", { name: "All pages" }).click();
    await ada.page.getByRole("status").getByText("Nobody else is here").waitFor();
    await caret(ada.page, "bea").waitFor({ state: "detached" });
  },
);

story(
  "a page is made and written without a network, is there after a reload, and becomes one with the other’s",
  async (scope) => {
    const { server, ada, bea } = await two(scope);
    await installed(ada.page);
    await installed(bea.page);
    await server.kill();
    for (const { page } of [ada, bea]) await banner(page, "Offline.").waitFor();
    await ada.page.getByText("Without a network, nobody is seen").waitFor();
    await fields(ada.page).text.click();
    await goTo(ada.page, "Control+Home");
    await ada.page.keyboard.type("Please note: ");
    await goTo(ada.page, "Control+End");
    await ada.page.keyboard.press("Enter");
    await ada.page.keyboard.type("## Who may come");
    await says(ada.page, "p: Please note: The ferry leaves at nine.", "h2: Who may come");
    await kept(ada.page);
    await fields(bea.page).text.click();
    await goTo(bea.page, "Control+End");
    await bea.page.keyboard.type(" Dogs sail free.");
    await kept(bea.page);

    // A new page, too; then both pages start again from what the device has, editor and all.
    await begin(ada.page, "In the storm");
    await ada.page.keyboard.type("Nobody sails today.");
    await kept(ada.page);
    await ada.page.reload();
    await says(ada.page, "p: Nobody sails today.");
    await fields(ada.page).text.click();
    await goTo(ada.page, "Control+End");
    await ada.page.keyboard.type(" Nor tomorrow.");
    await pages(ada.page);
    await visit(ada.page, "Summer timetable");
    await says(ada.page, "p: Please note: The ferry leaves at nine.", "h2: Who may come");
    await bea.page.reload();
    await says(bea.page, "p: The ferry leaves at nine. Dogs sail free.");

    await server.start();
    for (const { page } of [ada, bea]) await standing(page, "saved");
    const both = ["p: Please note: The ferry leaves at nine. Dogs sail free.", "h2: Who may come"];
    for (const { page } of [ada, bea]) await says(page, ...both);
    const phone = await open(scope, server);
    await signIn(phone.page, "ada");
    await pages(phone.page);
    await visit(phone.page, "In the storm");
    await says(phone.page, "p: Nobody sails today. Nor tomorrow.");
  },
);

story(
  "who may not read a page any more is told, writes nothing more, sees nothing more, and keeps a copy",
  async (scope) => {
    const { ada, bea } = await two(scope);
    await ada.page.getByRole("switch", { name: "Open to everybody" }).click();
    await bea.page.getByRole("alert").getByText("ada has closed this page, or deleted it.").waitFor();
    assert.equal(await fields(bea.page).text.getAttribute("contenteditable"), "false");
    await ada.page
      .getByText("Nobody else is here")
      .or(ada.page.locator(".here"))
      .first()
      .waitFor({ state: "detached" });
    await fields(ada.page).text.click();
    await goTo(ada.page, "Control+End");
    await ada.page.keyboard.type(" A secret.");
    await standing(ada.page, "saved");
    assert.deepEqual(await blocks(bea.page), ["p: The ferry leaves at nine."]);
    await bea.page.getByRole("button", { name: "Keep a copy for yourself" }).click();
    await bea.page.getByRole("switch", { name: "Open to everybody", checked: false }).waitFor();
    await says(bea.page, "p: The ferry leaves at nine.");
    await standing(bea.page, "saved");
  },
);

story(
  "what was written in a page that was closed meanwhile is refused in words, and the rest goes on",
  async (scope) => {
    const { ada, bea } = await two(scope);
    await bea.page.getByRole("button", { name: "Settings" }).click();
    await bea.page.getByLabel("Stay offline").check();
    await banner(bea.page, "Offline.").waitFor();
    await bea.page.getByRole("button", { name: "Close" }).click();
    await ada.page.getByRole("status").getByText("Nobody else is here").waitFor();
    await fields(bea.page).text.click();
    await goTo(bea.page, "Control+End");
    await bea.page.keyboard.type(" Mine!");
    await kept(bea.page);
    await ada.page.getByRole("switch", { name: "Open to everybody" }).click();
    await standing(ada.page, "saved");
    await bea.page.getByRole("button", { name: "Go online" }).click();
    await standing(bea.page, "failed");
    await bea.page.getByRole("alert").getByText("ada has closed this page, or deleted it.").waitFor();
    await bea.page.getByText("The page was deleted, or is not open to you any more.").first().waitFor();
    // What was typed is in the copy.
    await bea.page.getByRole("button", { name: "Keep a copy for yourself" }).click();
    await says(bea.page, "p: The ferry leaves at nine. Mine!");
    await standing(bea.page, "saved");
  },
);

story(
  "a page that its owner deletes while somebody reads it says so; undo brings it back with its text, offline too",
  async (scope) => {
    const { server, ada, bea } = await two(scope);
    await ada.page.getByRole("button", { name: "Delete this page" }).click();
    await ada.page.getByText("“Summer timetable” is deleted.").waitFor();
    await bea.page.getByRole("alert").getByText("ada has closed this page, or deleted it.").waitFor();
    await ada.page.getByRole("button", { name: "Undo", exact: true }).click();
    await says(ada.page, "p: The ferry leaves at nine.");
    await bea.page.getByRole("alert").getByText("ada has closed").waitFor({ state: "detached" });
    await fields(bea.page).text.click();
    await goTo(bea.page, "Control+End");
    await bea.page.keyboard.type(" Still here.");
    await says(ada.page, "p: The ferry leaves at nine. Still here.");
    await standing(ada.page, "saved");

    await server.kill();
    await banner(ada.page, "Offline.").waitFor();
    await ada.page.getByRole("button", { name: "Delete this page" }).click();
    await ada.page.getByText("No pages yet.").waitFor();
    await ada.page.getByRole("button", { name: "Undo", exact: true }).click();
    await says(ada.page, "p: The ferry leaves at nine. Still here.");
    await server.start();
    await standing(ada.page, "saved");
    const phone = await open(scope, server);
    await signIn(phone.page, "ada");
    await pages(phone.page);
    await visit(phone.page, "Summer timetable");
    await says(phone.page, "p: The ferry leaves at nine. Still here.");
  },
);

story("the text of somebody else’s page is here from when it is opened, and says so before", async (scope) => {
  const { server } = await two(scope);
  const cleo = await open(scope, server);
  await signIn(cleo.page, "cleo");
  await pages(cleo.page, "From others");
  await cleo.page.getByRole("link", { name: "Summer timetable" }).waitFor();
  await server.kill();
  await banner(cleo.page, "Offline.").waitFor();
  await cleo.page.getByRole("link", { name: "Summer timetable" }).click();
  await cleo.page.getByText("The text is not on this device yet.").waitFor();
  await server.start();
  await says(cleo.page, "p: The ferry leaves at nine.");
  await installed(cleo.page);
  await server.kill();
  await banner(cleo.page, "Offline.").waitFor();
  await cleo.page.reload();
  await says(cleo.page, "p: The ferry leaves at nine.");
});
