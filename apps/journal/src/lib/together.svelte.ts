// The text of one page, kept the same as its document in the local database, and who else is at it. Comes with the editor, and
// not with the app: whoever only writes notes never loads Yjs.

import { type BoundDoc, bindDoc, type DocState } from "@landfall/client/docs";
import { restoreDoc } from "@landfall/client/restore";
import { type Keeping, keepVersions } from "@landfall/client/versions";
import { ySyncPluginKey } from "@tiptap/y-tiptap";
import { Awareness } from "y-protocols/awareness";
import * as Y from "yjs";
import { schema } from "../landfall.gen";
import { colorOf, others, type Person } from "./here";
import type { Journal } from "./journal.svelte";
import { holdVersions } from "./keeping";
import { notices } from "./notices.svelte";

/** How long typing is gathered before it is one entry of the outbox: others wait for it, and without a network nobody does. */
const GATHER_MS = { online: 100, offline: 1500 };

export class Together {
  readonly doc = new Y.Doc();
  readonly awareness = new Awareness(this.doc);
  readonly #journal: Journal;
  readonly #bound: BoundDoc;
  readonly #keeping: Keeping;
  readonly #ends: (() => void)[] = [];
  #people = $state.raw<readonly Person[]>([]);
  #state = $state.raw<DocState>({ ready: false, saved: true, present: false, error: null });

  constructor(journal: Journal, id: string, name: string) {
    const { db } = journal;
    this.#journal = journal;
    this.call(name);
    const options = {
      awareness: this.awareness,
      get gatherMs() {
        return journal.status.connectivity === "online" ? GATHER_MS.online : GATHER_MS.offline;
      },
    };
    this.#bound = bindDoc(db, "pages", id, "body", this.doc, options);
    this.#keeping = keepVersions(db, schema, "pages", id, this.doc, () => this.#bound.save());
    // Which ones are too many is told from those that are here.
    const onUpdate = (_: unknown, __: unknown, ___: unknown, { local }: Y.Transaction) => {
      if (!local) return;
      this.doc.off("update", onUpdate);
      holdVersions(db, "page", id);
    };
    this.doc.on("update", onUpdate);
    const look = () => {
      this.#people = others(this.awareness.getStates(), this.awareness.clientID);
    };
    this.awareness.on("change", look);
    const take = (state: DocState) => {
      this.#state = state;
    };
    const flush = () => this.save();
    journal.flushers.add(flush);
    take(this.#bound.current);
    this.#ends.push(
      this.#bound.subscribe(take),
      () => this.awareness.off("change", look),
      () => journal.flushers.delete(flush),
    );
  }

  /** The others who are at the page. */
  get people(): readonly Person[] {
    return this.#people;
  }

  get state(): DocState {
    return this.#state;
  }

  get text(): Y.XmlFragment {
    return this.doc.getXmlFragment("body");
  }

  /** By this name the others see who is here. */
  call(name: string): void {
    const { subject } = this.#journal;
    this.awareness.setLocalStateField("user", { name, subject, color: colorOf(subject) });
  }

  /** Whether it could be written `state` tells. */
  save(): Promise<void> {
    return this.#bound.save().catch(() => undefined);
  }

  /** It is tried again and again by itself: a disk that was full may have room a minute later. */
  #written(): Promise<void> {
    return new Promise((resolve) => {
      const end = this.#bound.subscribe(({ saved }) => {
        if (!saved) return;
        end();
        resolve();
      });
    });
  }

  /** All updates as one: the same document, and twice the same is once. */
  whole(): Uint8Array {
    return Y.encodeStateAsUpdate(this.doc);
  }

  /** The text as it is, as a document of its own: what was deleted from it is not in it. */
  copy(): Uint8Array {
    const copy = new Y.Doc();
    copy.getXmlFragment("body").insert(
      0,
      this.text.toArray().flatMap((part) => (part instanceof Y.XmlHook ? [] : [part.clone()])),
    );
    const update = Y.encodeStateAsUpdate(copy);
    copy.destroy();
    return update;
  }

  /** Makes the text again what an update says; gives what takes that back, and only that, whatever is written meanwhile. */
  restore(update: Uint8Array): () => void {
    // To the editor it is as if it was typed there: its own undo takes it back as well.
    const undo = new Y.UndoManager(this.text, { trackedOrigins: new Set([ySyncPluginKey]) });
    this.doc.transact(() => restoreDoc(this.doc, update), ySyncPluginKey);
    undo.destroy();
    return () => void undo.undo();
  }

  /** Lets go once all is in the database; `keeps` says whether it is still tried where it cannot be written. */
  async close(keeps: boolean): Promise<void> {
    // It goes on by itself. Where no version can be kept, the text is kept all the same.
    this.#keeping.stop().catch(() => undefined);
    try {
      await this.#bound.close();
    } catch (problem) {
      if (keeps) {
        notices.problem(problem);
        await this.#written();
        await this.#bound.close();
      }
    }
    for (const end of this.#ends) end();
    this.awareness.destroy();
    this.doc.destroy();
  }
}

/** A page of one's own with this text. */
export async function keepCopy(journal: Journal, title: string, update: Uint8Array): Promise<string> {
  const id = crypto.randomUUID();
  await journal.db.transaction((tx) => {
    tx.insert("pages", { id, owner: journal.subject, title });
    tx.insert("pages_docs", { doc_id: crypto.randomUUID(), id, doc_column: "body", doc_update: update });
  });
  return id;
}
