// The catalogue of scenarios once more, by the module that ships; and the golden vectors, by the protocol in WebAssembly.
// How a scenario is written stands in `crates/client-web/tests/scenarios/main.rs`.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { Device, toFrame, toJson, unhex } from "./device.mjs";

const CRATES = new URL("../../../../crates/", import.meta.url);
const CATALOGUE = new URL("client-web/tests/catalogue/", CRATES);
const GOLDEN = new URL("protocol/tests/golden/", CRATES);
/** Files of the catalogue that hold no scenarios. */
const OTHERS = ["elsewhere.json", "messages.json", "schema.json"];

const read = (folder, name) => readFileSync(new URL(name, folder), "utf8");
const names = (folder) => readdirSync(folder).filter((name) => name.endsWith(".json"));

const scenarios = names(CATALOGUE)
  .filter((name) => !OTHERS.includes(name))
  .flatMap((name) => JSON.parse(read(CATALOGUE, name)));
const named = new Map(scenarios.map((scenario) => [scenario.name, scenario]));
const messages = JSON.parse(read(CATALOGUE, "messages.json"));
const schema = read(CATALOGUE, "schema.json");

/** What comes before a scenario's own steps: those of the one that it begins with. */
function stepsOf({ begin, steps }) {
  return begin === undefined ? steps : [...stepsOf(named.get(begin)), ...steps];
}

assert.ok(scenarios.length > 0, "there are scenarios");
for (const scenario of scenarios) {
  test(scenario.name, async () => {
    const device = await Device.open(schema);
    for (const step of stepsOf(scenario)) {
      const did = device.take(step, messages);
      assert.deepEqual(did, step.then ?? [], JSON.stringify(step));
      if (step.see) assert.deepEqual(device.see(step.see), step.see, JSON.stringify(step));
    }
    device.close();
  });
}

test("golden vectors keep their bytes and their JSON", () => {
  const files = names(GOLDEN);
  assert.ok(files.length > 0, "there are vectors");
  for (const file of files) {
    const kind = file.replace(/[-.].*/, "");
    const [json, bytes] = [JSON.parse(read(GOLDEN, file)), unhex(read(GOLDEN, file.replace("json", "hex")))];
    assert.deepEqual(JSON.parse(toJson(kind, bytes)), json, file);
    assert.deepEqual(toFrame(kind, JSON.stringify(json)), bytes, file);
    // Cut short, they are refused in words.
    assert.throws(() => toJson(kind, bytes.subarray(0, bytes.length - 1)), /./, file);
  }
});
