// What the pages of versions.test.mjs have beside the SDK: a document bound to the database, and versions of it.

import * as Y from "yjs";
import { bindDoc, updateText } from "../../dist/docs.js";
import { restoreDoc } from "../../dist/restore.js";
import { keepVersion, keepVersions, readVersion, restoreVersion, versionsOf } from "../../dist/versions.js";

globalThis.versions = {
  /** Binds a page's document, and watches the list of its versions. */
  async begin(db, id) {
    const doc = new Y.Doc();
    const bound = bindDoc(db, "pages", id, "body", doc, { gatherMs: 1 });
    const list = versionsOf(db, globalThis.schema, "pages", id);
    list.subscribe(() => undefined);
    globalThis.here = { id, doc, bound, list, text: doc.getText("body") };
    await bound.whenReady;
  },
  async keep(db, name) {
    await globalThis.here.bound.save();
    return keepVersion(db, globalThis.schema, "pages", globalThis.here.id, name);
  },
  read: (db, version) => readVersion(db, "pages", version),
  async textOf(db, version) {
    return updateText((await readVersion(db, "pages", version)).body, "body");
  },
  row: (db, version) => restoreVersion(db, globalThis.schema, "pages", version),
  async document(db, version) {
    restoreDoc(globalThis.here.doc, (await readVersion(db, "pages", version)).body);
    await globalThis.here.bound.save();
  },
  unasked(db, options) {
    const { id, doc, bound } = globalThis.here;
    globalThis.keeping = keepVersions(db, globalThis.schema, "pages", id, doc, () => bound.save(), options);
  },
};
