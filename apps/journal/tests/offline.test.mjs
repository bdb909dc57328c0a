// A person without a network: writing, reloading, starting cold, losing the browser in the middle of a word.

import assert from "node:assert/strict";
import {
  banner,
  begun,
  fields,
  installed,
  look,
  open,
  serve,
  shows,
  signIn,
  standing,
  story,
  write,
} from "./support.mjs";

story(
  "what is written offline survives reload, cold start and a killed browser, and reaches a second device",
  async (scope) => {
    const server = await serve(scope);
    const first = await open(scope, server);
    await signIn(first.page, "ada");
    await write(first.page, "Before the storm", "All is quiet.");
    await standing(first.page, "saved");
    await installed(first.page);

    // The server is gone: the address refuses connections, for the page and for its files alike.
    await server.kill();
    await banner(first.page, "Offline.").waitFor();
    await write(first.page, "In the storm", "Written with the line down.");
    await standing(first.page, "pending");
    await first.page.getByRole("option", { name: "Before the storm" }).click();
    await fields(first.page).text.fill("All was quiet.");
    await fields(first.page).text.blur();
    await standing(first.page, "pending");

    await first.page.reload();
    await shows(first.page, ["Before the storm", "In the storm"]);
    assert.equal(await fields(first.page).text.inputValue(), "All was quiet.");
    await banner(first.page, "3 changes wait").or(banner(first.page, "2 changes wait")).waitFor();

    // A cold start: another browser process on the same profile.
    await first.browser.context.close();
    const again = await open(scope, server, { profile: first.profile });
    await shows(again.page, ["Before the storm", "In the storm"]);
    // The same features as online: search among them.
    await again.page.getByRole("searchbox").fill("line down");
    await shows(again.page, ["In the storm"]);
    await again.page.getByRole("searchbox").fill("");

    // SIGKILL of the whole browser, in the middle of a word: what the page called stored is there.
    await again.page.getByRole("option", { name: "In the storm" }).click();
    await fields(again.page).text.fill("Written with the line down, and the lamp");
    await fields(again.page).text.blur();
    await standing(again.page, "pending");
    await fields(again.page).text.pressSequentially(" going o");
    await again.browser.kill();
    const after = await open(scope, server, { profile: first.profile });
    await shows(after.page, ["Before the storm", "In the storm"]);
    await after.page.getByRole("option", { name: "In the storm" }).click();
    await after.page.waitForFunction(() => document.querySelector("textarea.body")?.value !== "");
    assert.match(await fields(after.page).text.inputValue(), /^Written with the line down, and the lamp/);

    // The network is back.
    await server.start();
    await standing(after.page, "saved");
    await banner(after.page, "Offline.").waitFor({ state: "detached" });
    const second = await open(scope, server);
    await signIn(second.page, "ada");
    await shows(second.page, ["Before the storm", "In the storm"]);
    await second.page.getByRole("option", { name: "Before the storm" }).click();
    await second.page.waitForFunction(() => document.querySelector("textarea.body")?.value === "All was quiet.");
    // And live, both ways.
    await write(second.page, "From the second", "Seen at once.");
    await shows(after.page, ["Before the storm", "In the storm", "From the second"]);
  },
);

story("a deleted note comes back with its tags, offline too", async (scope) => {
  const { server, page } = await begun(scope, "ada");
  await write(page, "Keep me", "With a tag.");
  await page.getByLabel("Add a tag").fill("harbour");
  await page.getByLabel("Add a tag").press("Enter");
  await page.getByRole("button", { name: "Remove the tag harbour" }).waitFor();
  await server.kill();
  await banner(page, "Offline.").waitFor();
  await page.getByRole("button", { name: "Delete this note" }).click();
  await page.getByText("Nothing written yet.").waitFor();
  await page.getByRole("button", { name: "Undo", exact: true }).click();
  await shows(page, ["Keep me"]);
  await page.getByRole("button", { name: "Remove the tag harbour" }).waitFor();
  await server.start();
  await standing(page, "saved");
  const second = await open(scope, server);
  await signIn(second.page, "ada");
  await shows(second.page, ["Keep me"]);
  await second.page.getByRole("option", { name: "harbour" }).waitFor();
});

story("a journal belongs to one person: another who signs in on the same device sees nothing of it", async (scope) => {
  const { server, browser, page } = await begun(scope, "ada");
  await write(page, "Ada’s", "Hers alone.");
  await standing(page, "saved");
  await page.getByRole("button", { name: "Settings" }).click();
  await page.getByRole("button", { name: "Sign out" }).click();
  await signIn(page, "bea");
  await page.getByText("Nothing written yet.").waitFor();
  const tab = await look(browser, server);
  await tab.getByText("Nothing written yet.").waitFor();
});

story("the choice to stay offline holds over a reload and in every tab, until it is taken back", async (scope) => {
  const server = await serve(scope);
  const { browser, page } = await open(scope, server);
  // A name as people have them.
  await signIn(page, "Ada of Ockham <ada@example.com>");
  await write(page, "By choice", "No network, please.");
  await standing(page, "saved");
  await page.getByRole("button", { name: "Settings" }).click();
  await page.getByLabel("Stay offline").check();
  await banner(page, "until you go online").waitFor();
  await page.reload();
  await shows(page, ["By choice"]);
  await banner(page, "until you go online").waitFor();
  const tab = await look(browser, server);
  await write(tab, "From the other tab", "It waits too.");
  await standing(tab, "pending");
  await banner(page, /waits? on this device until you go online/).waitFor();
  // The tab that is left holds the database now, and was asked nothing.
  await page.close();
  await write(tab, "Alone", "Still by choice.");
  await banner(tab, "until you go online").waitFor();
  await standing(tab, "pending");
  await tab.getByRole("button", { name: "Go online" }).click();
  await standing(tab, "saved");
  await banner(tab, "Offline.").waitFor({ state: "detached" });
});
