// What the pages of restore.test.mjs have beside the SDK.

import { keepVersion, restoreVersion } from "../../dist/versions.js";

globalThis.keep = (db, id) => keepVersion(db, globalThis.schema, "things", id);
globalThis.again = (db, version) => restoreVersion(db, globalThis.schema, "things", version);
