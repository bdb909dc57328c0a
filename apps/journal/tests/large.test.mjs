// A first load of ten thousand notes: the page works meanwhile, and the list holds them all.

import { elsewhere, fields, open, picture, serve, signIn, standing, story, write } from "./support.mjs";

const NOTES = 10_000;
/** The most that one transaction may hold is a limit of the protocol. */
const AT_ONCE = 1_000;
/** Bytes of each note: together far more than arrives in one piece. */
const FILLER = "The tide comes in, and goes out again. ".repeat(50);

function many() {
  return Array.from({ length: NOTES / AT_ONCE }, (_, part) => {
    const numbers = `with recursive n(i) as (values (${part * AT_ONCE + 1}) union all select i + 1 from n where i < ${(part + 1) * AT_ONCE})`;
    const created = "to_timestamp('2026-01-01T00:00:00Z') + i * 60000000";
    const row = `landfall_uuid(), 'ada', 'Entry ' || i, 'Number ' || i || '. ${FILLER}', ${created}`;
    return `${numbers} insert into notes (id, owner, title, body, created) select ${row} from n`.replace(
      /^(with .*?\)) insert into (.*?\)) select/,
      "insert into $2 $1 select",
    );
  });
}

story("ten thousand notes load while the page goes on working", async (scope) => {
  const server = await serve(scope);
  await elsewhere(scope, server, "ada", many());
  const { page } = await open(scope, server);
  await signIn(page, "ada");
  const bar = page.getByRole("progressbar");
  await page.locator('[role=progressbar]:not([aria-valuenow="0"])').waitFor();
  // The server is stopped in the middle of it, so that the load cannot end before the page was tried.
  server.pause();
  await picture(page, "desk-light-12-loading");
  await write(page, "Written while loading", "Not after.");
  await standing(page, "pending", "sending");
  await page.getByRole("searchbox").fill("while loading");
  await page.getByRole("option", { name: "Written while loading" }).waitFor();
  await page.getByRole("searchbox").fill("");
  await bar.waitFor();
  server.resume();
  await bar.waitFor({ state: "detached" });
  await page.getByText("10,001 notes").waitFor();
  await standing(page, "saved");
  await picture(page, "desk-light-13-ten-thousand");

  // By keyboard from one end to the other.
  const list = page.getByRole("listbox", { name: "Notes" });
  await list.focus();
  await page.keyboard.press("End");
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => document.querySelector("textarea.body")?.value.startsWith("Number 1."));
  await page.getByRole("searchbox").fill("number 7777");
  await page.getByRole("option", { name: "Entry 7777" }).click();
  await page.waitForFunction(() => document.querySelector("textarea.body")?.value.startsWith("Number 7777."));
  await fields(page).title.fill("Entry 7777, found");
  await fields(page).title.blur();
  await standing(page, "saved");
});
