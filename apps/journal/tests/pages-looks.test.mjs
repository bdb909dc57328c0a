// Pages by day and by night, on a desk and on a phone: accessible by axe's rules, and kept as pictures.

import assert from "node:assert/strict";
import {
  banner,
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
} from "./support.mjs";
import { begin, caret, goTo, openToAll, pages, visit } from "./writers.mjs";

const WIDTHS = [
  ["desk", { width: 1280, height: 800 }],
  ["phone", { width: 390, height: 844 }],
];

/** As somebody would type it: what begins a line makes it what it is. */
const TIMETABLE = [
  "The ferry sails from the first of May until the leaves are down. What is written here is for everybody: ",
  "whoever knows better writes it in.\n## When it sails\n- at nine, from the old pier\n",
  "at noon, but not on Mondays\nat six, and then no more\n\n",
  "> In a north wind it does not sail at all.\n\n### Who may come\n",
  "Dogs sail **free** , and so does whoever brings the captain _bread_ . The machine takes `coins` only.",
].join("");

async function type(page, text) {
  const lines = text.split("\n");
  for (const [index, line] of lines.entries()) {
    if (index > 0) await page.keyboard.press("Enter");
    await page.keyboard.type(line);
  }
}

for (const scheme of ["light", "dark"]) {
  for (const [device, size] of WIDTHS) {
    story(`${device}, ${scheme}: pages`, async (scope) => {
      const server = await serve(scope);
      const found = [];
      const seen = async (state) => {
        await picture(page, `${device}-${scheme}-${state}`);
        found.push(...(await findings(page, state)));
      };
      for (const [person, name] of [
        ["bea", "Bea Lindqvist"],
        ["ivo", "Ivo Kerr"],
      ])
        await elsewhere(scope, server, person, [`insert into people (subject, name) values ('${person}', '${name}')`]);
      const { page } = await open(scope, server, { ...size, scheme });
      await signIn(page, "ada");
      await pages(page);
      await page.getByText("No pages yet.").waitFor();
      await seen("30-no-pages");
      await begin(page, "Summer timetable");
      await openToAll(page);
      await page.getByText("Nobody else is here").waitFor();
      await standing(page, "saved");
      await seen("31-empty-page");
      await fields(page).text.click();
      await type(page, TIMETABLE);
      await openOthers(scope, server, page);
      await standing(page, "saved");
      await seen("32-written-together");
      await page.getByRole("button", { name: "Versions of this page" }).click();
      await page.getByText("No versions yet.").waitFor();
      await seen("32a-no-versions");
      await page.getByLabel("Name of the version").fill("As agreed with the captain and the harbour master");
      await page.keyboard.press("Enter");
      await page.getByRole("button", { name: /^As agreed/ }).waitFor();
      await seen("32b-versions");
      await page.keyboard.press("Escape");
      await fields(page).text.click();
      await goTo(page, "Control+Home");
      await page.keyboard.type("Note: ");
      await page.getByRole("button", { name: "Versions of this page" }).click();
      await page.getByRole("button", { name: /^As agreed/ }).click();
      await page.locator("dialog ins", { hasText: "Note: " }).waitFor();
      await seen("32c-version-compared");
      await page.keyboard.press("Escape");
      await page.getByRole("dialog").waitFor({ state: "detached" });
      await fields(page).text.click();
      await page.keyboard.press("Control+z");
      await standing(page, "saved");
      await page.getByRole("link", { name: "All pages" }).click();
      await begin(page, "Things to ask the captain");
      await page.getByRole("link", { name: "All pages" }).click();
      await page.getByText("open to everybody").waitFor();
      await seen("33-pages");
      await pages(page, "From others");
      await page.getByText("Nobody has opened a page to others.").waitFor();
      await seen("34-none-from-others");
      await pages(page);
      await stayOffline(page, true);
      await visit(page, "Summer timetable");
      await fields(page).text.click();
      await goTo(page, "Control+Home");
      await page.keyboard.type("Draft. ");
      await standing(page, "pending");
      await seen("35-offline");
      await page.keyboard.press("Control+k");
      await page.getByLabel("Where the link goes").fill("two words");
      await page.keyboard.press("Enter");
      await page.getByText("This is no address").waitFor();
      await seen("36-link");
      await page.getByLabel("Where the link goes").fill("ferry.example");
      await page.keyboard.press("Enter");
      await fields(page).text.getByRole("link", { name: "ferry.example" }).waitFor();
      await banner(page, "Offline.").getByRole("button", { name: "Go online" }).click();
      await standing(page, "saved");
      const bea = await others.get(page);
      await bea.getByRole("link", { name: "ferry.example" }).waitFor();
      await page.getByRole("switch", { name: "Open to everybody" }).click();
      await bea.getByRole("alert").getByText("ada has closed this page").waitFor();
      await bea.setViewportSize(size);
      await bea.emulateMedia({ colorScheme: scheme, reducedMotion: "reduce" });
      await picture(bea, `${device}-${scheme}-37-closed-meanwhile`);
      found.push(...(await findings(bea, "37-closed-meanwhile")));
      assert.deepEqual(found, []);
    });
  }
}

/** Bea's page, by that of whom she writes with. */
const others = new WeakMap();

/** Bea and Ivo come, and have their cursors in the text: hers stands in a word, his has marked one. */
async function openOthers(scope, server, page) {
  for (const [person, name] of [
    ["bea", "Bea Lindqvist"],
    ["ivo", "Ivo Kerr"],
  ]) {
    const other = await open(scope, server);
    await signIn(other.page, person);
    await pages(other.page, "From others");
    await visit(other.page, "Summer timetable");
    await other.page.getByText("coins").waitFor();
    if (person === "bea") {
      await other.page.getByText("at noon, but not").click();
      others.set(page, other.page);
    } else {
      await other.page.getByText("In a north wind").click();
      await goTo(other.page, "End");
      await goTo(other.page, "Shift+Home");
      await page.locator(".selected", { hasText: "In a north wind" }).waitFor();
    }
    await caret(page, name).waitFor();
  }
}
