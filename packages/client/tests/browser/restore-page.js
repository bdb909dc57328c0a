// What the pages of restore.test.mjs have beside the SDK.

import { restore } from "../../dist/history.js";
import { keepVersion, restoreVersion } from "../../dist/versions.js";

globalThis.keep = (db, id) => keepVersion(db, globalThis.schema, "things", id);
globalThis.back = async (db, id) => {
  const [change] = await db.query("SELECT * FROM things_history WHERE change_id = ?", [id]);
  return (await db.transaction((tx) => restore(tx, globalThis.schema, "things", change))).rseq;
};
globalThis.again = (db, version) => restoreVersion(db, globalThis.schema, "things", version);
