// Changing one's mind: what waits is taken back and edited, what was refused is fixed, thrown away and brought back, and
// anything is undone and done again.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import {
  banner,
  begun,
  builtWith,
  elsewhere,
  fields,
  findings,
  folder,
  LANDFALL,
  open,
  picture,
  press,
  SCHEMA,
  serve,
  shows,
  signIn,
  standing,
  stayOffline,
  story,
  tabTo,
  write,
} from "./support.mjs";

const drawer = (page) => page.getByRole("dialog", { name: "Outbox" });
const said = (page, text) => page.getByRole("status").getByText(text).waitFor();

async function openOutbox(page) {
  await page.getByRole("button", { name: "Outbox" }).click();
  await drawer(page).waitFor();
}

/** A note in one stroke, so that it is one entry. */
async function jot(page, title) {
  await page.getByRole("button", { name: "New note" }).click();
  await fields(page).title.fill(title);
  await fields(page).title.blur();
  await standing(page, "pending", "sending", "saved");
}

/** Somebody else took the handle meanwhile: the outbox is open, with the refusal in it. */
async function refusedHandle(scope) {
  const { server, page } = await begun(scope, "ada");
  await page.getByRole("button", { name: "Settings" }).click();
  await page.getByLabel("Stay offline").check();
  await banner(page, "Offline.").waitFor();
  await page.getByLabel("Handle").fill("zoe");
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByRole("dialog").locator('[data-state="pending"]').waitFor();
  await elsewhere(scope, server, "zoe", ["insert into people (subject, name, handle) values ('zoe', 'Zoe', 'zoe')"]);
  await page.getByLabel("Stay offline").uncheck();
  await standing(page, "failed");
  await page.getByRole("button", { name: "Close" }).click();
  await openOutbox(page);
  await drawer(page).getByText("Somebody else already has the handle “zoe”.").waitFor();
  return { server, page };
}

story("what was never sent is edited and taken back, and comes back when that was a mistake", async (scope) => {
  const { page } = await begun(scope, "ada");
  await stayOffline(page, true);
  await jot(page, "Shopping");
  await openOutbox(page);
  await drawer(page).getByText("New note “Shopping”", { exact: true }).waitFor();
  await drawer(page).getByText("Waits until you go online").waitFor();

  // Edited: the entry itself says something else now.
  await drawer(page).getByRole("button", { name: "Edit: New note “Shopping”" }).click();
  await fields(page).title.fill("Shopping on Friday");
  await fields(page).title.blur();
  await shows(page, ["Shopping on Friday"]);
  await openOutbox(page);
  await drawer(page).getByText("New note “Shopping on Friday”", { exact: true }).waitFor();
  await drawer(page).getByText("1 waiting", { exact: true }).waitFor();

  await drawer(page).getByRole("button", { name: "Take back: New note" }).click();
  await said(page, "It was never sent, and is taken back.");
  await drawer(page).getByText("Nothing waits.").waitFor();
  await drawer(page).getByRole("button", { name: "Undo", exact: true }).click();
  await drawer(page).getByText("New note “Shopping on Friday”", { exact: true }).waitFor();
  await drawer(page).getByRole("button", { name: "Go online" }).click();
  await drawer(page).getByText("Everything is with the server.").waitFor();
  await shows(page, ["Shopping on Friday"]);
});

story("sending is paused and goes on, by keyboard, and a reload does not forget it", async (scope) => {
  const { server, page } = await begun(scope, "ada");
  await stayOffline(page, true);
  await jot(page, "Lighthouse");
  await openOutbox(page);
  await drawer(page).getByRole("button", { name: "Pause sending" }).focus();
  await page.keyboard.press("Enter");
  await drawer(page).getByText("Sending is paused: what you write stays on this device.").waitFor();
  // The focus stays where the way back is.
  await drawer(page).getByRole("button", { name: "Go on sending" }).and(drawer(page).locator(":focus")).waitFor();
  await drawer(page).getByRole("button", { name: "Go online" }).click();
  await drawer(page).getByText("Waits until you go on sending").waitFor();
  assert.deepEqual(await findings(page, "paused"), []);
  await picture(page, "desk-light-15-paused");

  // What others write still comes, also after a reload.
  await page.reload();
  await banner(page, "Sending is paused.").waitFor();
  await elsewhere(scope, server, "ada", ["insert into notes (owner, title) values ('ada', 'From elsewhere')"]);
  await page.getByRole("option", { name: "From elsewhere" }).waitFor();
  await openOutbox(page);
  await drawer(page).getByText("1 waiting", { exact: true }).waitFor();
  await drawer(page).getByRole("button", { name: "Go on sending" }).press("Enter");
  await drawer(page).getByText("Everything is with the server.").waitFor();
});

/** A second is long here. */
const IMPATIENT = { max_entries: 1000, max_bytes: 1e8, collapse_ms: 0, review_after_ms: 1000, review_entries: 2 };

story("after a long absence the person looks before anything is sent, by keyboard", async (scope) => {
  const server = await serve(scope, { app: await builtWith(scope, IMPATIENT) });
  const { page } = await open(scope, server);
  await signIn(page, "ada");
  await jot(page, "Shopping");
  await standing(page, "saved");
  await stayOffline(page, true);
  const left = Date.now();
  await fields(page).title.fill("Shopping on Friday");
  await fields(page).title.blur();
  await standing(page, "pending");
  await jot(page, "Only here");
  await elsewhere(scope, server, "ada", [
    ".open my_notes",
    ".sync",
    "update notes set title = 'Shopping on Monday'",
    "insert into notes (owner, title) values ('ada', 'From elsewhere')",
  ]);
  await page.waitForFunction((since) => Date.now() > since + 1500, left);
  await stayOffline(page, false);

  // What others did is here, and nothing has left.
  await page.getByRole("option", { name: "From elsewhere" }).waitFor();
  await banner(page, "You were away for").getByText("1 touches something that others changed since.").waitFor();
  await shows(page, ["Shopping on Friday", "Only here", "From elsewhere"]);
  await elsewhere(scope, server, "ada", ["insert into notes (owner, title) values ('ada', 'Still held')"]);
  await page.getByRole("option", { name: "Still held" }).waitFor();
  await page.reload();
  await banner(page, "You were away for").getByRole("button", { name: "Look at them" }).press("Enter");
  await drawer(page).waitFor();
  const concerned = drawer(page).getByRole("list", { name: "Changed by others since" });
  await concerned
    .getByText("Somebody changed the title: it is “Shopping on Monday” now, and was “Shopping”.")
    .waitFor();
  await drawer(page).getByText("New note “Only here”", { exact: true }).waitFor();
  await drawer(page).getByText("Held back until you send it").first().waitFor();
  assert.deepEqual(await findings(page, "held"), []);
  await picture(page, "desk-light-16-held");

  // What others wrote is right: the own change is taken back, and the rest goes.
  await concerned.getByRole("button", { name: "Take back: Changed the title" }).press("Enter");
  await drawer(page).getByText("Others changed none of it since.").waitFor();
  await drawer(page).getByRole("button", { name: "Send all" }).press("Enter");
  await drawer(page).getByText("Everything is with the server.").waitFor();
  await page.getByRole("button", { name: "Close" }).click();
  await banner(page, "You were away for").waitFor({ state: "detached" });
  await shows(page, ["Shopping on Monday", "Only here", "From elsewhere", "Still held"]);
});

story("what was refused is shown as it was written, fixed and sent again", async (scope) => {
  const { server, page } = await refusedHandle(scope);
  const letter = drawer(page).getByRole("form");
  assert.equal(await letter.getByRole("textbox", { name: "handle" }).inputValue(), "zoe");
  await letter.getByRole("button", { name: "Fix and send again" }).click();
  // What would be refused again is said at once, and stays as typed.
  await letter.getByRole("textbox", { name: "handle" }).fill("Not a handle!");
  await letter.getByRole("button", { name: "Send it like this" }).click();
  const alert = letter.getByRole("alert");
  await alert.getByText("LF-2004").waitFor();
  // In words that need no knowledge of patterns.
  assert.match(await alert.textContent(), /small letters, digits and _/);
  assert.doesNotMatch(await alert.textContent(), /pattern|people/);
  await letter.getByRole("textbox", { name: "handle" }).fill("ada_l");
  await letter.getByRole("button", { name: "Send it like this" }).click();
  await said(page, "It is sent again, as you changed it.");
  await drawer(page).getByText("Everything is with the server.").waitFor();
  const second = await open(scope, server);
  await signIn(second.page, "ada");
  await second.page.getByRole("button", { name: "Settings" }).click();
  await second.page.waitForFunction(() => document.querySelector("#profile-handle")?.value === "ada_l");
});

story("what was refused is kept as a file, thrown away, and brought back from file and notice", async (scope) => {
  const { page } = await refusedHandle(scope);
  const download = page.waitForEvent("download");
  await drawer(page).getByRole("button", { name: "Save all as a file" }).click();
  const file = path.join(await folder(scope), "outbox.json");
  await (await download).saveAs(file);
  assert.equal(JSON.parse(await readFile(file, "utf8")).entries.length, 1);

  await drawer(page).getByRole("button", { name: "Throw it away" }).click();
  await said(page, "The change is thrown away.");
  await drawer(page).getByText("Everything is with the server.").waitFor();
  const chooser = drawer(page).locator("input[type=file]");
  await chooser.setInputFiles(file);
  await said(page, "1 change was brought in, and waits for your decision.");
  await drawer(page).getByText("It was brought back from a copy").waitFor();
  assert.equal(await drawer(page).getByRole("textbox", { name: "handle" }).inputValue(), "zoe");
  await chooser.setInputFiles(file);
  await said(page, "1 was here already.");
  const wrong = path.join(await folder(scope), "wrong.json");
  await writeFile(wrong, "{}");
  await chooser.setInputFiles(wrong);
  await said(page, "LF-5036");
  await drawer(page).getByRole("button", { name: "Dismiss" }).first().click();

  await drawer(page).getByRole("button", { name: "Throw it away" }).click();
  await drawer(page).getByRole("button", { name: "Undo", exact: true }).click();
  await drawer(page).getByText("It was brought back from a copy").waitFor();
});

/** The focus is on it, or in it. */
const focused = (page, place) => place.and(page.locator(":focus, :focus-within")).waitFor();

story("what was refused is thrown away, brought back, sent again and fixed by keyboard alone", async (scope) => {
  const { page } = await refusedHandle(scope);
  const letter = drawer(page).getByRole("form");
  const handle = letter.getByRole("textbox", { name: "handle" });
  // Where the mistake is, as the server said, and as the device says of the next one.
  await press(page, "Fix and send again");
  await focused(page, handle);
  await page.keyboard.type("Not a handle!");
  await press(page, "Send it like this");
  await letter.getByRole("alert").getByText("LF-2004").waitFor();
  await focused(page, handle);
  await press(page, "Leave it");
  await focused(page, letter.getByRole("button", { name: "Fix and send again" }));

  const saved = page.waitForEvent("download");
  await press(page, "Save all as a file");
  const file = path.join(await folder(scope), "outbox.json");
  await (await saved).saveAs(file);

  await press(page, "Throw it away");
  await said(page, "The change is thrown away.");
  await drawer(page).getByText("Everything is with the server.").waitFor();
  await focused(page, drawer(page));
  await press(page, "Undo");
  await drawer(page).getByText("It was brought back from a copy").waitFor();
  await focused(page, drawer(page));

  const chooser = page.waitForEvent("filechooser");
  await press(page, "Bring in a file");
  await (await chooser).setFiles(file);
  await said(page, "1 was here already.");
  await focused(page, drawer(page));

  // By now this device has the other one's row, and need not ask the server.
  await press(page, "Send it again");
  await said(page, "LF-3004");
  await focused(page, drawer(page));
  await press(page, "Fix and send again");
  await focused(page, letter.getByRole("textbox", { name: "name" }));
  await page.keyboard.press("Tab");
  await focused(page, handle);
  await page.keyboard.press("Control+a");
  await page.keyboard.type("ada_k");
  await press(page, "Send it like this");
  await said(page, "It is sent again, as you changed it.");
  await drawer(page).getByText("Everything is with the server.").waitFor();
  await focused(page, drawer(page));
  await page.keyboard.press("Escape");
  await drawer(page).waitFor({ state: "detached" });
  await focused(page, page.getByRole("button", { name: "Outbox" }));
});

story("what waits is edited and taken back by keyboard alone", async (scope) => {
  const { page } = await begun(scope, "ada");
  await stayOffline(page, true);
  await page.keyboard.press("n");
  await focused(page, fields(page).title);
  await page.keyboard.type("Shopping");
  await page.keyboard.press("Tab");
  await standing(page, "pending");

  for (const place of ["its own editor", "another page"]) {
    if (place === "another page") await press(page, "Posts");
    await press(page, /^Outbox/);
    await drawer(page).waitFor();
    await press(page, /^Edit: New note “Shopping/);
    await drawer(page).waitFor({ state: "detached" });
    await focused(page, fields(page).title);
    await page.keyboard.press("End");
    await page.keyboard.type("!");
    await page.keyboard.press("Tab");
    await standing(page, "pending");
  }
  await shows(page, ["Shopping!!"]);
  await press(page, /^Outbox/);
  await drawer(page).getByText("New note “Shopping!!”", { exact: true }).waitFor();
  await press(page, "Take back: New note “Shopping!!”");
  await said(page, "It was never sent, and is taken back.");
  await drawer(page).getByText("Nothing waits.").waitFor();
  await focused(page, drawer(page));
  await press(page, "Undo");
  await drawer(page).getByText("New note “Shopping!!”", { exact: true }).waitFor();
  await focused(page, drawer(page));
});

story("what was handed over and never answered is not said to be on its way", async (scope) => {
  const { server, page } = await begun(scope, "ada");
  await write(page, "Ferry", "It leaves at nine.");
  await standing(page, "saved");
  // It takes what is sent, and answers nothing.
  server.pause();
  await fields(page).title.fill("Ferry at ten");
  await fields(page).title.blur();
  await standing(page, "sending");
  await openOutbox(page);
  await drawer(page).getByText("On its way to the server").waitFor();
  await page.keyboard.press("Escape");
  await stayOffline(page, true);
  await openOutbox(page);
  await drawer(page).getByText("Sent once; nobody knows yet whether it arrived. Waits until you go online").waitFor();
  server.resume();
  await drawer(page).getByRole("button", { name: "Go online" }).click();
  await drawer(page).getByText("Everything is with the server.").waitFor();
});

/** A server whose operator has forbidden a title. It fails on such a note `attempts` times before it gives it up. */
async function jammed(scope, attempts) {
  const copy = path.join(await folder(scope), "landfall.toml");
  const schema = await readFile(SCHEMA, "utf8");
  await writeFile(copy, schema.replace("[tables.notes]\n", `[tables.notes]\nattempts = ${attempts}\n`));
  const server = await serve(scope, { schema: copy });
  await server.sql(`CREATE TRIGGER jam BEFORE INSERT ON notes WHEN new.title = 'Jammed'
    BEGIN SELECT RAISE(ABORT, 'no room in this cabinet'); END`);
  const { page } = await open(scope, server);
  await signIn(page, "ada");
  return { server, page };
}

/** Waits until the server had a problem more than `often` times: how often by now, and in how many seconds it is tried again. */
async function problems(page, often) {
  const found = await page.waitForFunction((before) => {
    const words = /had a problem with this(?: (\d+) times)?; next try in (\d+) second/;
    const line = words.exec(document.querySelector("dialog")?.textContent ?? "");
    const times = Number(line?.[1] ?? 1);
    return line !== null && times > before ? { times, seconds: Number(line[2]) } : null;
  }, often);
  return found.jsonValue();
}

story(
  "what the server has a problem with says so, keeps nothing else back, and goes once that is mended",
  async (scope) => {
    // It is not given up before it was looked at.
    const { server, page } = await jammed(scope, 20);
    await jot(page, "Jammed");
    await press(page, /^Outbox/);
    await drawer(page).getByText("The server had a problem with this").waitFor();
    await drawer(page).getByText("You need not do anything.").waitFor();
    await tabTo(page, "In the system’s words");
    await page.keyboard.press("Enter");
    await drawer(page).getByText("the server failed on it (LF-6013)").waitFor();
    assert.deepEqual(await findings(page, "troubled"), []);
    await picture(page, "desk-light-17-troubled");
    await page.keyboard.press("Escape");

    // What follows it waits with it; what does not is saved.
    await fields(page).text.fill("What follows.");
    await fields(page).text.blur();
    await standing(page, "pending");
    await write(page, "Free", "As a bird.");
    await standing(page, "saved");
    await openOutbox(page);
    await drawer(page).getByText("Waits for: New note “Jammed”").waitFor();
    await drawer(page).getByText("2 waiting").waitFor();

    // Tried now while the trouble lasts, it fails once more and says so: until it would not go by itself for long.
    const now = "Try now: New note “Jammed”";
    let { times, seconds } = await problems(page, 0);
    while (seconds < 10) {
      await drawer(page).getByRole("button", { name: now }).press("Enter");
      ({ times, seconds } = await problems(page, times));
    }
    await server.sql("DROP TRIGGER jam");
    await press(page, now);
    await said(page, "tried again now.");
    await focused(page, drawer(page));
    await drawer(page).getByText("Everything is with the server.").waitFor();
    await shows(page, ["Jammed", "Free"]);
  },
);

story("what fails with another change says with which one, and both go once that is mended", async (scope) => {
  const { server, page } = await jammed(scope, 1);
  await stayOffline(page, true);
  await jot(page, "Jammed");
  await shows(page, ["Jammed"]);
  await page.getByLabel("Add a tag").fill("harbour");
  await page.getByLabel("Add a tag").press("Enter");
  await page.getByRole("button", { name: "Remove the tag harbour" }).waitFor();
  await openOutbox(page);
  await drawer(page).getByText("Added the tag “harbour” to “Jammed”", { exact: true }).waitFor();
  await drawer(page).getByText("2 waiting", { exact: true }).waitFor();
  await drawer(page).getByRole("button", { name: "Go online" }).click();
  await drawer(page).getByText("2 not accepted", { exact: true }).waitFor();

  const letter = (what) => drawer(page).getByRole("form", { name: `Not accepted: ${what}` });
  const [note, tag] = [letter("New note “Jammed”"), letter("Added the tag “harbour” to “Jammed”")];
  await note.getByText("The server tried several times, and something there went wrong each time.").waitFor();
  await tag.getByText("It needs another change that was not accepted: New note “Jammed”.").waitFor();
  await tag.getByText("See to that one first, then send this one again.").waitFor();
  assert.deepEqual(await findings(page, "shared fate"), []);
  await picture(page, "desk-light-18-shared-fate");

  await server.sql("DROP TRIGGER jam");
  await note.getByRole("button", { name: "Send it again" }).press("Enter");
  await drawer(page).getByText("1 not accepted", { exact: true }).waitFor();
  await tag.getByRole("button", { name: "Send it again" }).press("Enter");
  await drawer(page).getByText("Everything is with the server.").waitFor();
  const second = await open(scope, server);
  await signIn(second.page, "ada");
  await shows(second.page, ["Jammed"]);
  await second.page.getByRole("option", { name: "harbour" }).waitFor();
});

/** Undo and redo, as people know them from other programs: of Windows, of Linux, of a Mac. */
const KEYS = [
  ["Control+z", "Control+y"],
  ["Control+z", "Control+Shift+z"],
  ["Meta+z", "Meta+Shift+z"],
];

story("undo and redo by their keys, but not while a text field has its own", async (scope) => {
  const { server, page } = await begun(scope, "ada");
  await jot(page, "Harbour");
  await standing(page, "saved");
  const pin = (pressed) => page.getByRole("button", { name: "Pin this note", pressed });
  await page.getByRole("button", { name: "Pin this note" }).click();
  await pin(true).waitFor();
  for (const [undo, redo] of KEYS) {
    await page.keyboard.press(undo);
    await said(page, "Undone: Pinned “Harbour”.");
    await pin(false).waitFor();
    await page.keyboard.press(redo);
    await said(page, "Done again: Pinned “Harbour”.");
    await pin(true).waitFor();
  }

  // In a field it is the field's own. (One in which nothing is saved: what follows undoes the pin.)
  const search = page.getByRole("searchbox");
  await search.pressSequentially("Fog");
  await page.keyboard.press("Control+z");
  await page.waitForFunction(() => document.querySelector("input[type=search]")?.value !== "Fog");
  assert.ok(await pin(true).isVisible());
  await search.fill("");

  // By button, too; and it is for all that was done, one after the other.
  await page.getByRole("button", { name: "Undo the last change" }).first().click();
  await pin(false).waitFor();
  await page.getByRole("button", { name: "Redo the last change" }).first().click();
  await pin(true).waitFor();

  // What was changed elsewhere since stays, and that is said.
  await fields(page).title.fill("Harbour at six");
  await fields(page).title.blur();
  await standing(page, "saved");
  await elsewhere(scope, server, "ada", [".open my_notes", ".sync", "update notes set title = 'Harbour at seven'"]);
  await shows(page, ["Harbour at seven"]);
  await page.getByRole("listbox", { name: "Notes" }).focus();
  await page.keyboard.press("Control+z");
  await said(page, "The title was left as it is: changed elsewhere since.");
  await shows(page, ["Harbour at seven"]);
});

story("a deleted note comes back by the undo key, with its tag", async (scope) => {
  const { page } = await begun(scope, "ada");
  await write(page, "Keep me", "With a tag.");
  await page.getByLabel("Add a tag").fill("harbour");
  await page.getByLabel("Add a tag").press("Enter");
  await page.getByRole("button", { name: "Remove the tag harbour" }).waitFor();
  await standing(page, "saved");
  await page.getByRole("button", { name: "Delete this note" }).click();
  await page.getByText("“Keep me” is deleted.").waitFor();
  await page.keyboard.press("Control+z");
  await said(page, "Undone: Deleted “Keep me”.");
  await shows(page, ["Keep me"]);
  await page.getByRole("option", { name: "harbour" }).waitFor();
});

/** More than a page could show at once; a file of them is read in some seconds. */
const MANY = 2_000;

story(
  "thousands of changes in the outbox: some are shown, the page answers, more come when asked for",
  async (scope) => {
    const dir = await folder(scope);
    const file = path.join(dir, "many.json");
    const shell = spawn(LANDFALL, ["shell", path.join(dir, "device.db"), "--schema", SCHEMA, "--offline"], {
      stdio: ["pipe", "ignore", "inherit"],
    });
    const lines = Array.from(
      { length: MANY },
      (_, i) => `insert into notes (owner, title) values ('ada', 'Entry ${i + 1}')`,
    );
    shell.stdin.end(`${[...lines, `.export ${file}`].join("\n")}\n`);
    assert.equal(await new Promise((resolve) => shell.on("exit", resolve)), 0);

    const server = await serve(scope);
    const { page } = await open(scope, server);
    await signIn(page, "ada");
    await openOutbox(page);
    await drawer(page).locator("input[type=file]").setInputFiles(file);
    await said(page, "2,000 changes were brought in");
    await drawer(page).getByText("2,000 not accepted").waitFor();
    const entries = drawer(page).locator("[data-entry]");
    assert.equal(await entries.count(), 50);
    await picture(page, "desk-light-14-thousands");
    assert.deepEqual(await findings(page, "thousands"), []);
    await drawer(page).getByRole("button", { name: "Show more" }).click();
    await entries.nth(99).waitFor();
    assert.equal(await entries.count(), 100);
    await entries.first().getByRole("button", { name: "Send it again" }).click();
    await drawer(page).getByText("1,999 not accepted").waitFor();
    await page.getByRole("button", { name: "Close" }).click();
    await shows(page, ["Entry 1"]);
  },
);
