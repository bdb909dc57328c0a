// Every main state, by day and by night, on a desk and on a phone: accessible by axe's rules, and kept as a picture.

import assert from "node:assert/strict";
import {
  banner,
  begun,
  elsewhere,
  fields,
  findings,
  open,
  picture,
  serve,
  signIn,
  standing,
  stayOffline,
  story,
  write,
} from "./support.mjs";
import { notes, posts } from "./world.mjs";

const WIDTHS = [
  ["desk", { width: 1280, height: 800 }],
  ["phone", { width: 390, height: 844 }],
];

for (const scheme of ["light", "dark"]) {
  for (const [device, size] of WIDTHS) {
    story(`${device}, ${scheme}`, async (scope) => {
      const server = await serve(scope);
      const found = [];
      const seen = async (state) => {
        await picture(page, `${device}-${scheme}-${state}`);
        found.push(...(await findings(page, state)));
      };
      const { page } = await open(scope, server, { ...size, scheme });
      await page.getByLabel("Your name").waitFor();
      await seen("1-sign-in");
      await signIn(page, "ada");
      await page.getByText("Nothing written yet.").waitFor();
      await seen("2-empty");

      await elsewhere(scope, server, "ada", notes("ada"));
      await elsewhere(scope, server, "bea", posts("bea"));
      await elsewhere(scope, server, "ivo", posts("ivo"));
      await page.getByRole("option", { name: "Old lighthouse" }).waitFor();
      await page.getByText("10 notes").waitFor();
      await seen("3-notes");
      await page.getByRole("option", { name: "Old lighthouse" }).click();
      await fields(page).text.waitFor();
      await page.getByRole("list", { name: "Tags" }).getByText("walks", { exact: true }).waitFor();
      await seen("4-note");
      await page.goto(`${server.url}#/notes`);
      await page.getByRole("searchbox").fill("the sea li");
      await page.getByText("1 match").waitFor();
      await seen("5-search");
      await page.getByRole("searchbox").fill("submarine");
      await page.getByText("Nothing with").waitFor();
      await seen("6-nothing-found");
      await page.getByRole("searchbox").fill("");

      await page.getByRole("link", { name: "Posts" }).click();
      await page.getByRole("heading", { name: "The ferry is back" }).waitFor();
      await seen("7-posts");
      await page.getByRole("button", { name: "Settings" }).click();
      await page.getByRole("heading", { name: "On this device" }).waitFor();
      await page.getByText("that the browser allows").waitFor();
      await seen("8-settings");
      // A handle that somebody else took meanwhile: the server refuses it, and it is said where it was written.
      await page.getByLabel("Stay offline").check();
      await banner(page, "Offline.").waitFor();
      await page.getByLabel("Handle").fill("zoe");
      await page.getByRole("button", { name: "Save" }).click();
      await page.getByRole("dialog").locator('[data-state="pending"]').waitFor();
      await elsewhere(scope, server, "zoe", [
        "insert into people (subject, name, handle) values ('zoe', 'Zoe', 'zoe')",
      ]);
      await page.getByLabel("Stay offline").uncheck();
      await standing(page, "failed");
      await page.getByRole("button", { name: "Close" }).click();
      await page.getByRole("button", { name: "Outbox" }).click();
      await page.getByRole("button", { name: "Send it again" }).waitFor();
      await seen("9-refused");
      await page.getByRole("button", { name: "Fix and send again" }).click();
      await page.getByRole("textbox", { name: "handle" }).and(page.locator(":focus")).waitFor();
      await seen("9-refused-fixing");
      await page.getByRole("button", { name: "Leave it" }).click();
      await page.getByRole("button", { name: "Close" }).click();

      await page.getByRole("link", { name: "Notes" }).click();
      await server.kill();
      await banner(page, "Offline.").waitFor();
      await write(
        page,
        "Written without a network",
        "The line went down with the storm. This is on the device, and waits.",
      );
      await standing(page, "pending");
      await seen("10-offline");
      if (device === "phone") await page.getByRole("link", { name: "All notes" }).click();
      await page.getByRole("button", { name: "Outbox" }).click();
      const waits = page.getByRole("dialog").getByText("New note “Written without a network”").first();
      await waits.waitFor();
      await seen("11-outbox");
      await page.getByRole("button", { name: "Throw it away" }).click();
      await page.getByText("The change is thrown away.").waitFor();
      await page.getByText("Copies that this device kept").click();
      await page.getByText("before a change was thrown away").waitFor();
      await seen("11-outbox-thrown-away");
      await page.getByRole("button", { name: "Dismiss" }).click();
      await page.getByRole("button", { name: "Take back: New note" }).click();
      await page.getByText("It was never sent").waitFor();
      await seen("11-outbox-taken-back");
      assert.deepEqual(found, []);
    });
  }
}

const TIMETABLE = `The summer timetable, as it hangs at the ticket office.

The first ferry leaves at nine, the last one comes back at six.
Dogs sail free, and so does whoever brings the captain bread.

In a north wind it does not sail at all. Ask Bea, who can see the flag from her kitchen.
The machine takes coins only. There is a kiosk on the far side, open when it is open.
`;

for (const scheme of ["light", "dark"]) {
  for (const [device, size] of WIDTHS) {
    story(`${device}, ${scheme}: versions to choose from, an order by hand, likes`, async (scope) => {
      const server = await serve(scope);
      const found = [];
      const seen = async (state) => {
        await picture(page, `${device}-${scheme}-${state}`);
        found.push(...(await findings(page, state)));
      };
      await elsewhere(scope, server, "ada", notes("ada"));
      const { page } = await open(scope, server, { ...size, scheme });
      await signIn(page, "ada");
      await page.getByText("10 notes").waitFor();
      await write(page, "Ferry", TIMETABLE);
      await standing(page, "saved");
      if (device === "phone") await page.getByRole("link", { name: "All notes" }).click();
      await stayOffline(page, true);
      if (device === "phone") await page.getByRole("option").filter({ hasText: "The summer timetable" }).click();
      await fields(page).title.fill("Ferry, from Monday");
      await fields(page).text.fill(
        TIMETABLE.replace("at nine", "at half past nine").replace("coins only", "cards, too"),
      );
      await fields(page).text.blur();
      await standing(page, "pending");
      const theirs = TIMETABLE.replace("at nine", "at ten").replace("her kitchen", "her window");
      await elsewhere(scope, server, "ada", [
        ".open my_notes",
        ".sync",
        `update notes set title = 'Ferry (summer)', body = '${theirs.replaceAll("\n", "' || char(10) || '")}' where title = 'Ferry'`,
      ]);
      if (device === "phone") await page.getByRole("link", { name: "All notes" }).click();
      await stayOffline(page, false);
      await page.getByRole("link", { name: "One note has versions to choose from" }).waitFor();
      await seen("20-versions-in-the-list");
      await page.getByRole("link", { name: "One note has versions to choose from" }).click();
      await page.getByText("Written in two places at once.").waitFor();
      await seen("21-versions-of-a-note");
      await page.getByRole("button", { name: "Choose what stays" }).click();
      const view = page.getByRole("dialog", { name: "Which version stays?" });
      await view.getByText("2 versions wait for your choice.").waitFor();
      await seen("22-which-version");
      await view.getByRole("button", { name: "Write one out of both: Text" }).click();
      const merged = view.getByRole("textbox", { name: "One text out of both" });
      await merged.scrollIntoViewIfNeeded();
      await seen("23-one-out-of-both");
      await merged.fill(theirs);
      await view.getByRole("button", { name: "Save this text" }).click();
      await view.getByText("One more version waits for your choice.").waitFor();
      await view.getByRole("button", { name: "Keep what is there: Title" }).click();
      await view.getByText("All is settled.").waitFor();
      await seen("24-settled");
      await view.getByRole("button", { name: "Back to the note" }).click();
      await page.getByRole("button", { name: "Pin this note" }).click();
      await page.getByText("pinned, 1 of 3").waitFor();
      await seen("25-pinned-in-order");

      await elsewhere(scope, server, "bea", posts("bea"));
      await page.goto(`${server.url}#/posts`);
      await page.getByRole("button", { name: /^Like “The ferry/ }).click();
      await page.getByRole("button", { name: /^Like “The ferry is back”: 1 like, 1 of yours/ }).waitFor();
      await seen("26-likes");
      assert.deepEqual(found, []);
    });
  }
}

story("a title that is longer than the list leaves its mark in sight", async (scope) => {
  const { server, page } = await begun(scope, "ada");
  await server.kill();
  await banner(page, "Offline.").waitFor();
  await write(page, "Letter to the harbour master about the crane that nobody has moved since October", "Dear Sir");
  for (const [device, size] of WIDTHS) {
    await page.setViewportSize(size);
    if (device === "phone") await page.getByRole("link", { name: "All notes" }).click();
    const option = page.getByRole("option", { name: "Letter to the harbour" });
    const [list, mark] = await Promise.all([
      page.getByRole("listbox", { name: "Notes" }).boundingBox(),
      option.getByRole("img", { name: "Waiting to be sent" }).boundingBox(),
    ]);
    assert.ok(mark.x + mark.width <= list.x + list.width, `${device}: ${JSON.stringify({ list, mark })}`);
  }
});

story(
  "a journal that cannot be opened says why, by day and by night, and goes on where it was once it can",
  async (scope) => {
    const server = await serve(scope);
    const { page } = await open(scope, server);
    await signIn(page, "ada");
    await write(page, "Kept", "Whatever happens.");
    await standing(page, "saved");
    // A later version of the app was here, and kept its outbox in another form.
    const [name, later] = ["landfall:journal-ada", 99];
    const store = (given) =>
      page.evaluate(
        ([database, version]) =>
          new Promise((resolve, reject) => {
            const request = version === 0 ? indexedDB.deleteDatabase(database) : indexedDB.open(database, version);
            request.onsuccess = () => resolve(request.result?.close());
            request.onerror = () => reject(request.error);
          }),
        given,
      );
    await page.goto(`${server.url}health`);
    await store([name, later]);
    const found = [];
    for (const [device, size] of WIDTHS) {
      for (const colorScheme of ["light", "dark"]) {
        await page.setViewportSize(size);
        await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
        await page.goto(server.url);
        await page.getByRole("alert").getByText("LF-5301", { exact: true }).waitFor();
        await picture(page, `${device}-${colorScheme}-12-cannot-open`);
        found.push(...(await findings(page, `${device} ${colorScheme}: cannot open`)));
      }
    }
    assert.deepEqual(found, []);
    await store([name, 0]);
    await page.getByRole("button", { name: "Try again" }).click();
    await page.getByRole("option", { name: "Kept" }).waitFor();
  },
);
