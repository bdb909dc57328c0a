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
  titles,
  write,
} from "./support.mjs";
import { notes, posts } from "./world.mjs";

const NOTE = "018f7c1e-0000-7000-8000-0000000000aa";
const ADDRESS = `#/notes/${NOTE}`;
const LEAD = "The harbour timetable, as it hangs at the ticket office.\n\nMornings are quiet.\nBring change for the machine.\nDogs sail free.\n";
const lines = (text) => `'${text.replaceAll("'", "''").replaceAll("\n", "' || char(10) || '")}'`;
const written = (values) => [
  ".open my_notes",
  ".sync",
  `insert into notes (id, owner, ${Object.keys(values)}) values ('${NOTE}', 'ada', ${Object.values(values).map(lines)})`,
];
const changed = (set) => [".open my_notes", ".sync", `update notes set ${set} where id = '${NOTE}'`];
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

story("tags that two devices add without a network are all there, and one survives that another removes", async (scope) => {
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
});

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
  for (const page of [laptop, phone, other, other]) await page.getByRole("button", { name: /^Like “The ferry/ }).click();
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

story("what two devices wrote at once is chosen on one of them, also without a network, and is settled on both", async (scope) => {
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
});
