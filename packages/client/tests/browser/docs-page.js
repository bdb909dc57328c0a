// What the pages of docs.test.mjs have beside the SDK: a document bound to the database, and an editor made for Yjs on it.

import { EditorState } from "@codemirror/state";
import { EditorView } from "@codemirror/view";
import { yCollab } from "y-codemirror.next";
import { Awareness } from "y-protocols/awareness";
import * as Y from "yjs";
import { bindDoc, docText, docUpdate } from "../../dist/docs.js";

/** What is read of one without an editor. */
globalThis.read = async (db, id) => {
  const again = new Y.Doc();
  Y.applyUpdate(again, await docUpdate(db, "pages", id, "body"));
  return [await docText(db, "pages", id, "body", "body"), again.getText("body").toString()];
};

/** Opens a page's document in an editor. */
globalThis.write = async (db, id, name) => {
  const doc = new Y.Doc();
  const awareness = new Awareness(doc);
  awareness.setLocalStateField("user", { name, color: "#336699" });
  const bound = bindDoc(db, "pages", id, "body", doc, { awareness });
  const text = doc.getText("body");
  const view = new EditorView({
    state: EditorState.create({ doc: text.toString(), extensions: [yCollab(text, awareness)] }),
    parent: document.body.appendChild(document.createElement("main")),
  });
  globalThis.here = { doc, awareness, bound, view, text };
  await bound.whenReady;
};

/** Types each of these words at the end, and writes it down before the next; `told` hears how many there are. */
globalThis.typed = async (words, told = () => {}) => {
  const { text, bound } = globalThis.here;
  for (const [index, word] of words.entries()) {
    text.insert(text.length, word);
    await bound.save();
    await told(index + 1);
  }
};

/** Deletes so many characters from the end, each by itself. */
globalThis.erased = async (count) => {
  const { text, bound } = globalThis.here;
  for (let n = 0; n < count; n++) {
    text.delete(text.length - 1, 1);
    await bound.save();
  }
};
