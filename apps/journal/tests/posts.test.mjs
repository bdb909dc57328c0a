// Posts, the people who write them, and both ways to sign in.

import { spawn } from "node:child_process";
import { writeFile } from "node:fs/promises";
import path from "node:path";
import {
  banner,
  begun,
  elsewhere,
  fields,
  folder,
  LANDFALL,
  open,
  serve,
  signIn,
  standing,
  story,
} from "./support.mjs";

story("a draft is its author's alone until it is published, and again when it is taken back", async (scope) => {
  const server = await serve(scope);
  const ada = await open(scope, server);
  await signIn(ada.page, "ada");
  const bea = await open(scope, server, { at: "#/posts" });
  await signIn(bea.page, "bea");
  await ada.page.getByRole("link", { name: "Posts" }).click();
  await ada.page.getByRole("button", { name: "New post" }).click();
  await fields(ada.page).title.fill("The ferry is back");
  await fields(ada.page).text.fill("On time, too.");
  await fields(ada.page).text.blur();
  await standing(ada.page, "saved");
  await bea.page.getByText("Nobody has posted anything yet.").waitFor();
  await ada.page.getByRole("button", { name: "Publish" }).click();
  const seen = bea.page.getByRole("heading", { name: "The ferry is back" });
  await seen.waitFor();
  await ada.page.getByRole("button", { name: "Back to draft" }).click();
  await seen.waitFor({ state: "detached" });
});

story("what the server refuses keeps its reason, and is sent again once the reason is gone", async (scope) => {
  const { server, page } = await begun(scope, "ada");
  await page.getByRole("button", { name: "Settings" }).click();
  await page.getByLabel("Stay offline").check();
  await banner(page, "Offline.").waitFor();
  await page.getByLabel("Handle").fill("zoe");
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByRole("dialog").locator('[data-state="pending"]').waitFor();
  const insert = "insert into people (subject, name, handle) values ('zoe', 'Zoe', 'zoe')";
  await elsewhere(scope, server, "zoe", [".open people", insert]);
  await page.getByLabel("Stay offline").uncheck();
  const refused = page.getByRole("dialog").getByText("LF-3004");
  await refused.waitFor();
  // The other gives the name up, and this one is asked to send it again.
  await elsewhere(scope, server, "zoe", [".open people", ".sync", "delete from people where subject = 'zoe'"]);
  await page.getByRole("dialog").getByRole("button", { name: "Send it again" }).click();
  await refused.waitFor({ state: "detached" });
  await standing(page, "saved");
});

story("a signed token names the person; what is no token is refused in words", async (scope) => {
  const secret = path.join(await folder(scope), "secret");
  await writeFile(secret, "a secret that is long enough, and known to nobody else");
  const server = await serve(scope, { args: ["--jwt-secret-file", secret] });
  const token = await new Promise((resolve) => {
    const child = spawn(LANDFALL, ["token", "--sub", "carla", "--jwt-secret-file", secret]);
    child.stdout.on("data", (text) => resolve(String(text).trim()));
  });
  const { page } = await open(scope, server);
  await page.getByRole("button", { name: "I have a token" }).click();
  await page.getByLabel("Your token").fill("nonsense");
  await page.getByRole("button", { name: "Open the journal" }).click();
  await page.getByText("This is no token that names a person").waitFor();
  await page.getByLabel("Your token").fill(`${token}x`);
  await page.getByRole("button", { name: "Open the journal" }).click();
  await banner(page, "The server wants you to sign in again.").waitFor();
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("button", { name: "I have a token" }).click();
  await page.getByLabel("Your token").fill(token);
  await page.getByRole("button", { name: "Open the journal" }).click();
  await page.getByText("carla").waitFor();
  await page.getByRole("button", { name: "Settings" }).click();
  await page.getByText("Connected", { exact: true }).waitFor();
});
