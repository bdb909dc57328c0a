// Two people who write the same row without a network: what each merge rule makes of it, and how the conflicts that are left
// are resolved on either device. docs/schema.md, "Merge rules" and "Conflicts".

import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";
import { Browser, call, folder, open, Scope, Server, Site, until } from "./harness.mjs";

const BOARD = `
[app]
name = "board"

[tables.cards.columns]
id    = { type = "uuid", default = "uuid" }
likes = { type = "integer", merge = "counter" }
tags  = { type = "json", merge = "set" }
look  = { type = "json", merge = "map" }
body  = { type = "text", merge = "text" }
pick  = { type = "text", merge = "manual" }
lane  = "text"
place = { type = "text", merge = "list" }

[shapes.cards]
table = "cards"
[shapes.conflicts]
table = "cards_conflicts"
`;
const NAMED = { name: "board" };
const ID = "018f7c1e-0000-7000-8000-000000000001";

async function board(t) {
  const scope = new Scope(t);
  const schema = path.join(await folder(scope), "landfall.toml");
  await writeFile(schema, BOARD);
  const site = await Site.start(scope, await Server.start(scope, [], schema));
  const pages = [];
  for (const token of ["dev:ann", "dev:ben"]) {
    const page = await (await Browser.start(scope)).page(site);
    await open(page, { ...NAMED, token });
    await call(page, async (db) => {
      db.outbox.subscribe(() => undefined);
      await Promise.all(["cards", "conflicts"].map((name) => db.shape(name).ready));
    });
    pages.push(page);
  }
  return pages;
}

const online = (page, is) => call(page, (db, value) => db.setOnline(value), is);
const isIdle = (db) => db.status.current.connectivity === "online" && db.status.current.pending === 0;
const card = (page) =>
  call(page, (db) => db.query("SELECT likes, tags, look, body, pick FROM cards").then(([row]) => row));
const conflicts = (page) =>
  call(page, (db) => db.query("SELECT * FROM cards_conflicts ORDER BY conflict_column").then((rows) => rows));

test("what two wrote without a network is all there, and what cannot be is a conflict that either resolves", async (t) => {
  const [ann, ben] = await board(t);
  const first = { id: ID, tags: ["old", "sea"], look: { form: { size: 1 } }, body: "one\ntwo\nthree\n", pick: "none" };
  await call(ann, (db, row) => db.insert("cards", row), first);
  await until(ben, (db) => db.query("SELECT 1 FROM cards").then((rows) => rows.length === 1));
  for (const page of [ann, ben]) await online(page, false);

  await call(
    ann,
    (db, id) =>
      db.transaction((tx) => {
        tx.add("cards", id, { likes: 1 });
        tx.set("cards", id, "tags").add("wind", "old");
        tx.map("cards", id, "look").set(["form", "size"], 2);
        tx.update("cards", id, { body: "one of us\ntwo\nthree\n", pick: "left" });
      }),
    ID,
  );
  await until(ann, (db) => db.outbox.current.length === 1);
  const [{ rows }] = await call(ann, (db) => db.outbox.current);
  assert.deepEqual([rows[0].added, rows[0].edited], [["likes"], ["tags", "look", "body"]]);
  assert.deepEqual(rows[0].values.tags, { add: ["wind"] });
  assert.deepEqual(rows[0].values.body, { was: first.body, is: "one of us\ntwo\nthree\n" });
  await call(
    ben,
    (db, id) =>
      db.transaction((tx) => {
        tx.add("cards", id, { likes: 2 });
        tx.set("cards", id, "tags").remove("old");
        tx.set("cards", id, "tags").add("rain");
        tx.map("cards", id, "look").set("colour", "red");
        tx.sql(
          "UPDATE cards SET body = 'one of them' || char(10) || 'two' || char(10) || 'three!' || char(10), pick = 'right'",
        );
      }),
    ID,
  );
  const own = await card(ben);
  assert.deepEqual([own.likes, own.tags, own.pick], [2, ["rain", "sea"], "right"]);

  await online(ann, true);
  await until(ann, isIdle);
  await online(ben, true);
  for (const page of [ann, ben]) {
    await until(page, isIdle);
    await until(page, (db) => db.query("SELECT 1 FROM cards_conflicts").then((rows) => rows.length === 2));
    const { pick, ...merged } = await card(page);
    assert.deepEqual(merged, {
      likes: 3,
      tags: ["rain", "sea", "wind"],
      look: { colour: "red", form: { size: 2 } },
      // Both changed the first line; of the third only one did.
      body: "one of us\ntwo\nthree!\n",
    });
    const [body, choice] = await conflicts(page);
    assert.deepEqual([body.conflict_column, body.body], ["body", "one of them\ntwo\nthree!\n"]);
    assert.deepEqual([body.conflict_by, body.conflict_base, body.id], ["ben", "one\ntwo\nthree\n", ID]);
    assert.deepEqual([choice.conflict_column, new Set([pick, choice.pick])], ["pick", new Set(["left", "right"])]);
  }

  // Ann settles one of them without a network, and Ben the other one.
  const [body, choice] = await conflicts(ann);
  await online(ann, false);
  const both = "one of us all\ntwo\nthree!\n";
  const wrong = await call(
    ann,
    (db, id) => db.transaction((tx) => tx.resolve("cards", id, { pick: "both" })),
    body.conflict_id,
  );
  assert.match(wrong.message, /the conflict is about 'body', and a value for 'pick' was given/);
  await call(ann, (db, [id, text]) => db.transaction((tx) => tx.resolve("cards", id, { body: text })), [
    body.conflict_id,
    both,
  ]);
  await call(ben, (db, id) => db.transaction((tx) => tx.resolve("cards", id, "take")), choice.conflict_id);
  await online(ann, true);
  for (const page of [ann, ben]) {
    await until(page, isIdle);
    await until(page, (db) => db.query("SELECT 1 FROM cards_conflicts").then((rows) => rows.length === 0));
    await until(page, (db, text) => db.query("SELECT body FROM cards").then(([row]) => row.body === text), both);
    assert.equal((await card(page)).pick, choice.pick);
  }
});

const order = (page) =>
  call(page, (db) => db.query("SELECT body FROM cards ORDER BY place, id").then((rows) => rows.map((row) => row.body)));

/** Inserts cards, each right behind the one before it. */
const run = (page, given) =>
  call(
    page,
    (db, [names, behind]) =>
      db.transaction((tx) => {
        let last = behind;
        for (const body of names) {
          const id = crypto.randomUUID();
          tx.insert("cards", { id, body, lane: "todo" });
          tx.list("cards", id, "place", ["lane"]).move(last === null ? "last" : { after: last });
          last = id;
        }
      }),
    given,
  );

test("runs that two place into one list without a network stay whole, and a card that both move is there once", async (t) => {
  const pages = await board(t);
  const [ann, ben] = pages;
  await run(ann, [["first", "middle", "last"], null]);
  const shows = (page, count) =>
    until(page, (db, count) => db.query("SELECT 1 FROM cards").then((rows) => rows.length === count), count);
  await shows(ben, 3);
  assert.deepEqual(await order(ben), ["first", "middle", "last"]);
  const ids = await call(ann, (db) =>
    db.query("SELECT id, body FROM cards").then((rows) => Object.fromEntries(rows.map(({ id, body }) => [body, id]))),
  );
  for (const page of pages) await online(page, false);

  // Both place a run of theirs behind the same card, and move the same other one: Ann up, Ben, later, down.
  const runs = [1, 2, 3, 4, 5].map((n) => [`ann ${n}`, `ben ${n}`]);
  await run(ann, [runs.map(([name]) => name), ids.first]);
  await run(ben, [runs.map(([, name]) => name), ids.first]);
  const move = (page, to) =>
    call(page, (db, [id, to]) => db.transaction((tx) => tx.list("cards", id, "place", ["lane"]).move(to)), [
      ids.middle,
      to,
    ]);
  await move(ann, { before: ids.first });
  await move(ben, { after: ids.last });
  assert.deepEqual((await order(ann)).slice(0, 3), ["middle", "first", "ann 1"]);
  assert.deepEqual((await order(ben)).slice(-2), ["last", "middle"]);

  // Ben comes first: what arrives later is not what counts.
  await online(ben, true);
  await until(ben, isIdle);
  await online(ann, true);
  for (const page of pages) {
    await until(page, isIdle);
    await shows(page, 13);
  }
  const orders = await Promise.all(pages.map(order));
  assert.deepEqual(orders[0], orders[1]);
  const whole = (name) => runs.map(([a, b]) => (name === "ann" ? a : b));
  const inner = orders[0].filter((body) => /^(ann|ben)/.test(body));
  assert.ok(
    [
      ["ann", "ben"],
      ["ben", "ann"],
    ].some((names) => names.flatMap(whole).join() === inner.join()),
    `the runs are whole: ${inner}`,
  );
  assert.deepEqual(orders[0], ["first", ...inner, "last", "middle"], "the later move is the one that counts");
});
