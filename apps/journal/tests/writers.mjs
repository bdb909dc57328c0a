// What the stories of pages share: a page that several write at once, and what is in it.

import { fields } from "./support.mjs";

/** Goes to the list of pages. */
export async function pages(page, which = "Mine") {
  await page.getByRole("navigation", { name: "Journal" }).getByRole("link", { name: "Pages", exact: true }).click();
  await page.getByRole("navigation", { name: "Which pages" }).getByRole("link", { name: which, exact: true }).click();
}

/** A new page, with the focus in its text. */
export async function begin(page, title) {
  await pages(page);
  await page.getByRole("button", { name: "New page" }).click();
  await fields(page).title.and(page.locator(":focus")).waitFor();
  await page.keyboard.type(title);
  await fields(page).text.waitFor();
  await page.keyboard.press("Enter");
  await fields(page).text.and(page.locator(":focus")).waitFor();
}

/** Opens a page of the list that is shown. */
export async function visit(page, title) {
  await page.getByRole("link", { name: title }).click();
  await fields(page).text.waitFor();
}

export async function openToAll(page) {
  await page.getByRole("switch", { name: "Open to everybody" }).click();
  await page.getByRole("switch", { name: "Open to everybody", checked: true }).waitFor();
}

/** What the text says, block by block; other people's cursors are no part of it. */
export function blocks(page) {
  return page.evaluate(() => {
    const text = document.querySelector(".tiptap")?.cloneNode(true);
    for (const caret of text?.querySelectorAll(".caret") ?? []) caret.remove();
    return [...(text?.children ?? [])].map((block) => `${block.localName}: ${block.textContent}`);
  });
}

/** Waits until the text is this, block by block. */
export async function says(page, ...expected) {
  await page.waitForFunction((wanted) => {
    const text = document.querySelector(".tiptap")?.cloneNode(true);
    for (const caret of text?.querySelectorAll(".caret") ?? []) caret.remove();
    const blocks = [...(text?.children ?? [])].map((block) => `${block.localName}: ${block.textContent}`);
    return JSON.stringify(blocks) === JSON.stringify(wanted);
  }, expected);
}

/** Waits until all that was typed is in the local database, whether or not it is sent. */
export function kept(page) {
  return page.locator('[data-state="pending"], [data-state="saved"]').first().waitFor();
}

/** Somebody else's cursor in the text, by name. */
export const caret = (page, name) => page.locator(".caret-name", { hasText: name });

/** To the beginning or the end of the text. Editors hear from the browser where the cursor is a moment after a key has moved it. */
export async function goTo(page, key) {
  await page.keyboard.press(key);
  await page.evaluate(() => new Promise((seen) => requestAnimationFrame(() => requestAnimationFrame(seen))));
}
