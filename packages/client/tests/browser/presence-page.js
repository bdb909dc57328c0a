// What the pages of presence.test.mjs have beside the SDK.

import { presence } from "../../dist/presence.js";

globalThis.go = (db, id, name) => {
  globalThis.here = presence(db, "tasks", id, { name, typing: false });
};
