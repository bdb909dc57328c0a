// Two tabs on one database, and a server that dies while it is given work.

import assert from "node:assert/strict";
import { begun, elsewhere, fields, look, open, serve, shows, signIn, standing, story, write } from "./support.mjs";

/** Kills a tab's renderer: nothing in it runs any more, no handler, no farewell. */
async function crash(page) {
  const gone = page.waitForEvent("crash");
  const session = await page.context().newCDPSession(page);
  session.send("Page.crash").catch(() => undefined);
  await gone;
}

story(
  "two tabs are one journal; when the one that holds the database dies while writing, the other goes on",
  async (scope) => {
    const server = await serve(scope);
    const { browser, page: owner } = await open(scope, server);
    await signIn(owner, "ada");
    await write(owner, "One", "First.");
    const other = await look(browser, server);
    await shows(other, ["One"]);
    await write(other, "Two", "From the second tab.");
    await shows(owner, ["One", "Two"]);

    await owner.getByRole("option", { name: "One" }).click();
    const kept = "First, and more that was stored.";
    await fields(owner).text.fill(kept);
    await fields(owner).text.blur();
    await standing(owner, "pending", "sending", "saved");
    await fields(owner).text.pressSequentially(" And in the middle of a wo");
    await crash(owner);

    await write(other, "Three", "After the crash.");
    await shows(other, ["One", "Two", "Three"]);
    await standing(other, "saved");
    await other.getByRole("option", { name: "One" }).click();
    await other.waitForFunction((text) => document.querySelector("textarea.body")?.value.startsWith(text), kept);
    const second = await open(scope, server);
    await signIn(second.page, "ada");
    await shows(second.page, ["One", "Two", "Three"]);
  },
);

story("a server killed in the middle of a push loses nothing and doubles nothing", async (scope) => {
  const { server, page } = await begun(scope, "ada");
  await server.kill();
  const expected = [];
  for (let number = 1; number <= 12; number++) {
    expected.push(`Note ${number}`);
    await write(page, `Note ${number}`, `Body ${number}`);
  }
  // SIGKILL as soon as the push has begun, several times over.
  for (let round = 0; round < 3; round++) {
    const begun = page.waitForEvent("websocket", { timeout: 5000 }).catch(() => undefined);
    await server.start();
    await begun;
    await server.kill();
  }
  await server.start();
  await page.getByText("12 notes").waitFor();
  await page.getByRole("button", { name: "Outbox" }).click();
  await page.getByText("Everything is with the server.").waitFor();
  const second = await open(scope, server, { height: 1400 });
  await signIn(second.page, "ada");
  await shows(second.page, expected);
  await second.page.getByText("12 notes").waitFor();
});

story("an edit here and an edit there of one note are both there", async (scope) => {
  const { server, page } = await begun(scope, "ada");
  await write(page, "Title", "Body");
  await standing(page, "saved");
  await server.kill();
  await fields(page).text.fill("Body, changed here");
  await fields(page).text.blur();
  await standing(page, "pending");
  await server.start();
  await elsewhere(scope, server, "ada", [".open my_notes", ".sync", "update notes set title = 'Title, changed there'"]);
  await shows(page, ["Title, changed there"]);
  await standing(page, "saved");
  assert.equal(await fields(page).text.inputValue(), "Body, changed here");
  assert.equal(await fields(page).title.inputValue(), "Title, changed there");
});
