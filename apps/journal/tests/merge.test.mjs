// Two devices of one person that write the same note without a network: what merges by itself, what a person chooses, and
// that it is chosen once for all devices.

import assert from "node:assert/strict";
import {
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
  tabTo,
} from "./support.mjs";
import { posts } from "./world.mjs";

const NOTE = "018f7c1e-0000-7000-8000-0000000000aa";
const ADDRESS = `#/notes/${NOTE}`;
const LEAD =
  "The harbour timetable, as it hangs at the ticket office.\n\nMornings are quiet.\nBring change for the machine.\nDogs sail free.\n";
const lines = (text) => `'${text.replaceAll("'", "''").replaceAll("\n", "' || char(10) || '")}'`;
const written = (values) => [
  ".open my_notes",
  ".sync",
  `insert into notes (id, owner, ${Object.keys(values)}) values ('${NOTE}', 'ada', ${Object.values(values).map(lines)})`,
];
const body = (page, text) =>
  page.waitForFunction((text) => document.querySelector("textarea.body")?.value === text, text);
const strip = (page) => page.locator(".fork", { hasText: "Written in two places at once." });
const view = (page) => page.getByRole("dialog", { name: "Which version stays?" });

async function devices(scope, server, count, how = {}) {
  const pages = [];
  for (let at = 0; at < count; at++) {
    const { page } = await open(scope, server, { ...how, at: ADDRESS });
    await signIn(page, "ada");
    pages.push(page);
  }
  return pages;
}

/** Writes a text into the open note; resolves once it waits in the outbox. */
async function rewrite(page, field, text) {
  await fields(page)[field].fill(text);
  await fields(page)[field].blur();
  await standing(page, "pending");
}

const tagged = (page, tag) => page.getByRole("button", { name: `Remove the tag ${tag}` });
async function tag(page, name) {
  await page.getByLabel("Add a tag").fill(name);
  await page.getByLabel("Add a tag").press("Enter");
  await tagged(page, name).waitFor();
}

story(
  "tags that two devices add without a network are all there, and one survives that another removes",
  async (scope) => {
    const server = await serve(scope);
    await elsewhere(scope, server, "ada", written({ title: "Ferry", body: LEAD, tags: '["old"]' }));
    const [laptop, phone] = await devices(scope, server, 2);
    for (const page of [laptop, phone]) {
      await tagged(page, "old").waitFor();
      await stayOffline(page, true);
    }
    await tag(laptop, "sea");
    // Removed and added again: an add that the other device has not seen, when it removes the tag.
    await tagged(laptop, "old").click();
    await tagged(laptop, "old").waitFor({ state: "detached" });
    await tag(laptop, "old");
    await tag(phone, "walks");
    await tagged(phone, "old").click();
    await tagged(phone, "old").waitFor({ state: "detached" });
    for (const page of [laptop, phone]) await stayOffline(page, false);
    for (const page of [laptop, phone]) {
      for (const name of ["old", "sea", "walks"]) await tagged(page, name).waitFor();
      await page.getByRole("button", { name: "walks 1" }).waitFor();
      await standing(page, "saved");
    }
  },
);

story("likes all count, whoever gives them, and on whichever device; undo takes off one's own", async (scope) => {
  const server = await serve(scope);
  await elsewhere(scope, server, "bea", posts("bea"));
  const liked = (page, count) => page.getByRole("button", { name: `Like “The ferry is back”: ${count}` });
  const pages = [];
  for (const name of ["ada", "ada", "ivo"]) {
    const { page } = await open(scope, server, { at: "#/posts" });
    await signIn(page, name);
    await liked(page, "0 likes").waitFor();
    await stayOffline(page, true);
    pages.push(page);
  }
  const [laptop, phone, other] = pages;
  for (const page of [laptop, phone, other, other])
    await page.getByRole("button", { name: /^Like “The ferry/ }).click();
  await liked(other, "2 likes, 2 of yours").waitFor();
  await other.getByRole("button", { name: "Outbox" }).click();
  await other.getByRole("dialog").getByText("Liked “The ferry is back”").first().waitFor();
  await other.keyboard.press("Escape");
  for (const page of pages) await stayOffline(page, false);
  await liked(laptop, "4 likes, 2 of yours").waitFor();
  await liked(phone, "4 likes, 2 of yours").waitFor();
  await liked(other, "4 likes, 2 of yours").waitFor();
  await laptop.keyboard.press("Control+z");
  await laptop.getByText("Undone: Liked “The ferry is back”.").waitFor();
  await liked(other, "3 likes, 2 of yours").waitFor();
  await liked(phone, "3 likes, 1 of yours").waitFor();
});

story(
  "what two devices wrote at once is chosen on one of them, also without a network, and is settled on both",
  async (scope) => {
    const server = await serve(scope);
    await elsewhere(scope, server, "ada", written({ title: "Ferry", body: `${LEAD}It leaves at nine.` }));
    const [laptop, phone] = await devices(scope, server, 2);
    for (const page of [laptop, phone]) {
      await body(page, `${LEAD}It leaves at nine.`);
      await stayOffline(page, true);
    }
    await rewrite(laptop, "title", "Ferry, summer");
    await rewrite(laptop, "text", `${LEAD}It leaves at ten.`);
    await rewrite(phone, "title", "Ferry, winter");
    // In steps, with pauses: one person's one version.
    await rewrite(phone, "text", `${LEAD}It leaves at half`);
    await rewrite(phone, "text", `${LEAD.replace("change", "coins")}It leaves at half past eleven.`);
    await stayOffline(laptop, false);
    await standing(laptop, "saved");
    await stayOffline(phone, false);
    for (const page of [laptop, phone]) {
      await strip(page).waitFor();
      // What only one of them changed is merged.
      await body(page, `${LEAD.replace("change", "coins")}It leaves at ten.`);
      await page.getByRole("link", { name: "One note has versions to choose from" }).waitFor();
      await page.getByRole("option", { name: "choose a version" }).waitFor();
    }
    await strip(phone).getByText("There are 2 versions of the title and 2 of the text.").waitFor();

    // The title on the laptop, without a network.
    await stayOffline(laptop, true);
    await strip(laptop).getByRole("button", { name: "Choose what stays" }).click();
    await view(laptop).getByText("2 versions wait for your choice.").waitFor();
    await view(laptop).getByText("You can choose without a network, too.").waitFor();
    await view(laptop).getByRole("button", { name: "Take the other one: Title" }).click();
    await view(laptop).getByText("One more version waits for your choice.").and(laptop.locator(":focus")).waitFor();
    await laptop.keyboard.press("Escape");
    const chosen = await fields(laptop).title.inputValue();
    // The text on the phone, by keyboard alone.
    await press(phone, "Choose what stays");
    await view(phone).waitFor();
    await press(phone, "Write one out of both: Text");
    const merged = view(phone).getByRole("textbox", { name: "One text out of both" });
    await merged.and(phone.locator(":focus")).waitFor();
    assert.equal(
      await merged.inputValue(),
      `${LEAD.replace("change", "coins")}It leaves at ten half past eleven.`,
      "what only one changed is there once, and where they meet there are both",
    );
    await merged.fill(`${LEAD}Ten in summer, half past eleven in winter.`);
    await press(phone, "Save this text");
    await view(phone).getByText("One more version waits for your choice.").and(phone.locator(":focus")).waitFor();
    await stayOffline(laptop, false);
    await view(phone).getByText("All is settled.").waitFor();
    await press(phone, "Back to the note");
    for (const page of [laptop, phone]) {
      await strip(page).waitFor({ state: "detached" });
      await body(page, `${LEAD}Ten in summer, half past eleven in winter.`);
      assert.equal(await fields(page).title.inputValue(), chosen);
      await page.getByRole("link", { name: "versions to choose from" }).waitFor({ state: "detached" });
    }
  },
);

story(
  "three versions and more are settled one by one, and what is being written out of two is never lost",
  async (scope) => {
    const server = await serve(scope);
    await elsewhere(scope, server, "ada", written({ title: "Ferry", body: "It leaves at nine." }));
    const [laptop, phone] = await devices(scope, server, 2);
    await body(laptop, "It leaves at nine.");
    await stayOffline(laptop, true);
    await rewrite(laptop, "title", "Ferry, laptop");
    // Two more devices, each of which has seen the first title only: the shell writes before it hears of anything.
    const others = [];
    for (const name of ["tablet", "watch"]) {
      const page = (await devices(scope, server, 1))[0];
      await body(page, "It leaves at nine.");
      await stayOffline(page, true);
      await rewrite(page, "title", `Ferry, ${name}`);
      others.push(page);
    }
    for (const page of [laptop, ...others]) {
      await stayOffline(page, false);
      await standing(page, "saved");
    }
    await strip(phone).getByText("There are 3 versions of the title.").waitFor();
    await strip(phone).getByRole("button", { name: "Choose what stays" }).click();
    for (const name of ["Other version 1 of 2", "Other version 2 of 2"])
      await view(phone).getByText(name, { exact: true }).waitFor();
    await picture(phone, "conflicts-three");

    // One is being merged while another device settles it.
    await view(phone).getByRole("button", { name: "Write one out of both: Other version 1 of 2" }).click();
    const merged = view(phone).getByRole("textbox", { name: "One title out of both" });
    await merged.fill("Ferry, for all");
    // Closed by mistake, and the page with it.
    await phone.keyboard.press("Escape");
    await phone.reload();
    await strip(phone).getByRole("button", { name: "Choose what stays" }).click();
    await view(phone).getByRole("button", { name: "Write one out of both: Other version 1 of 2" }).click();
    await merged.waitFor();
    assert.equal(await merged.inputValue(), "Ferry, for all");
    await strip(laptop).getByRole("button", { name: "Choose what stays" }).click();
    await view(laptop)
      .getByRole("button", { name: /Keep the title that is there, and none of these 2/ })
      .click();
    await view(laptop).getByText("All is settled.").waitFor();
    await view(phone).getByText("This was settled on another device meanwhile.").waitFor();
    assert.equal(await merged.inputValue(), "Ferry, for all");
    await merged.and(phone.locator(":focus")).waitFor();
    await phone.keyboard.type("!");
    await picture(phone, "conflicts-settled-elsewhere");
    await view(phone).getByRole("button", { name: "Save this title" }).click();
    await view(phone)
      .getByText("There is nothing to choose here.")
      .or(view(phone).getByText("All is settled."))
      .waitFor();
    await laptop.keyboard.press("Escape");
    await laptop.waitForFunction(() => document.querySelector("textarea.title")?.value === "Ferry, for all!");
  },
);

const PINS = ["Anchor", "Buoy", "Chart", "Dinghy"];

/** Four pinned notes, put by a program that knows of no places, and one that is not. */
async function pinned(scope, server) {
  const rows = PINS.map(
    (title, at) =>
      `insert into notes (owner, title, pinned, created) values ('ada', '${title}', 1, to_timestamp('2026-10-0${9 - at}T08:00:00Z'))`,
  );
  const loose =
    "insert into notes (owner, title, created) values ('ada', 'Loose', to_timestamp('2026-10-01T08:00:00Z'))";
  await elsewhere(scope, server, "ada", [...rows, loose]);
}

const inOrder = (page, ...wanted) =>
  page.waitForFunction((wanted) => {
    const seen = [...document.querySelectorAll("[role=option]")].map((node) => [
      Number(node.getAttribute("aria-posinset")),
      node.querySelector(".words")?.textContent?.trim(),
    ]);
    return JSON.stringify(seen.sort(([a], [b]) => a - b).map(([, title]) => title)) === JSON.stringify(wanted);
  }, wanted);

story(
  "pinned notes stand where they are dragged, on every device, and two who move them at once agree",
  async (scope) => {
    const server = await serve(scope);
    await pinned(scope, server);
    const pages = [];
    for (let at = 0; at < 2; at++) {
      const { page } = await open(scope, server, { width: at === 0 ? 1280 : 390, height: 844 });
      await signIn(page, "ada");
      pages.push(page);
    }
    const [laptop, phone] = pages;
    for (const page of pages) await inOrder(page, ...PINS, "Loose");
    const option = (page, name) => page.getByRole("option", { name });
    const drag = async (page, name, other, edge) => {
      const box = await option(page, other).boundingBox();
      await option(page, name).dragTo(option(page, other), {
        targetPosition: { x: 60, y: edge === "top" ? 6 : box.height - 6 },
      });
    };
    await drag(laptop, "Dinghy", "Anchor", "top");
    for (const page of pages) await inOrder(page, "Dinghy", "Anchor", "Buoy", "Chart", "Loose");
    await drag(laptop, "Anchor", "Chart", "bottom");
    for (const page of pages) await inOrder(page, "Dinghy", "Buoy", "Chart", "Anchor", "Loose");
    // What is not pinned is no place for what is.
    await drag(laptop, "Dinghy", "Loose", "bottom");
    await inOrder(laptop, "Dinghy", "Buoy", "Chart", "Anchor", "Loose");

    for (const page of pages) await stayOffline(page, true);
    await drag(laptop, "Anchor", "Dinghy", "top");
    await drag(phone, "Anchor", "Buoy", "bottom");
    await drag(phone, "Chart", "Dinghy", "top");
    await inOrder(laptop, "Anchor", "Dinghy", "Buoy", "Chart", "Loose");
    await inOrder(phone, "Chart", "Dinghy", "Buoy", "Anchor", "Loose");
    await laptop.getByRole("button", { name: "Outbox" }).click();
    await laptop.getByRole("dialog").getByText("Moved “Anchor” among the pinned").waitFor();
    await laptop.keyboard.press("Escape");
    for (const page of pages) await stayOffline(page, false);
    // The later move of one note is the one that counts, and it is there once.
    for (const page of pages) await inOrder(page, "Chart", "Dinghy", "Buoy", "Anchor", "Loose");
  },
);

story("pinned notes are put in order by keyboard, and it is said where they stand", async (scope) => {
  const server = await serve(scope);
  await pinned(scope, server);
  const { page } = await open(scope, server);
  await signIn(page, "ada");
  await inOrder(page, ...PINS, "Loose");
  const list = page.getByRole("listbox", { name: "Notes" });
  await list.focus();
  const active = () =>
    page.evaluate(() => {
      const id = document.activeElement?.getAttribute("aria-activedescendant");
      return document.getElementById(id ?? "")?.querySelector(".words")?.textContent;
    });
  await page.keyboard.press("Home");
  await page.keyboard.press("Alt+ArrowDown");
  await page.getByText("“Anchor” is 2 of 4 pinned notes now.").waitFor();
  await inOrder(page, "Buoy", "Anchor", "Chart", "Dinghy", "Loose");
  assert.equal(await active(), "Anchor", "the keys go on from where it is");
  await page.keyboard.press("Alt+ArrowDown");
  await page.getByText("“Anchor” is 3 of 4 pinned notes now.").waitFor();
  await page.keyboard.press("Control+z");
  await inOrder(page, "Buoy", "Anchor", "Chart", "Dinghy", "Loose");
  await page.keyboard.press("End");
  await page.keyboard.press("Alt+ArrowUp");
  await page.getByText("Only pinned notes are put in order.").waitFor();

  // And where it is read, which is the way for those who neither drag nor know the keys.
  await page.getByRole("option", { name: "Dinghy" }).click();
  await page.getByText("pinned, 4 of 4").waitFor();
  await tabTo(page, "Up among the pinned notes");
  await page.keyboard.press("Enter");
  await page.getByText("pinned, 3 of 4").waitFor();
  await page.keyboard.press("Enter");
  await page.getByText("pinned, 2 of 4").waitFor();
  await inOrder(page, "Buoy", "Dinghy", "Anchor", "Chart", "Loose");
  assert.deepEqual(await findings(page, "order"), []);
  // What is pinned anew comes first.
  await page.getByRole("option", { name: "Loose" }).click();
  await page.getByRole("button", { name: "Pin this note" }).click();
  await inOrder(page, "Loose", "Buoy", "Dinghy", "Anchor", "Chart");
});
