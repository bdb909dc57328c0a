// The open journal of one person: the database, and what all parts of the page want to know of it.

import { type Database, openDatabase } from "@landfall/client";
import { type Shapes, schema, type Tables } from "../landfall.gen";
import { keep, kept, whenKeptElsewhere } from "./kept";
import { Watched } from "./live.svelte";
import { type Mark, marksOf, SAVED } from "./marks";
import { notices } from "./notices.svelte";
import { isGone } from "./outbox";
import { databaseOf } from "./place";
import { Recorded } from "./recorded";
import { recoverDrafts } from "./recover";
import type { Session } from "./session.svelte";

export type Db = Database<Tables, Shapes>;

/** Under this name the device keeps that it is to stay offline. */
const OFFLINE = "offline";

export class Journal {
  readonly db: Db;
  readonly subject: string;
  readonly #status;
  readonly #outbox;
  #staysOffline = $state(kept(OFFLINE) !== null);
  readonly #unhear: () => void;
  #marks = $derived.by(() => marksOf(this.#outbox.current));
  /** What was written in this session. */
  readonly recorded = new Recorded();
  /** By item: the entry that the person chose to edit, which takes up what they write. */
  readonly #edits = new Map<string, number>();
  /** The item whose editor is to have the focus, once it is there. */
  wanted = $state<string | null>(null);
  /** What was undone and done again, in words, by the number of the transaction that did it. */
  readonly said = new Map<number, string | null>();
  /** Notes that were begun and have no row yet. */
  readonly begun = new Set<string>();
  /** What keeps texts being typed, before the page goes. */
  readonly flushers = new Set<() => Promise<void>>();

  private constructor(db: Db, subject: string) {
    this.db = this.recorded.watch(db);
    this.subject = subject;
    this.#status = new Watched(db.status);
    this.#outbox = new Watched(db.outbox);
    // The tab that held the database is gone, perhaps in the middle of a word.
    let role = db.status.current.role;
    db.status.subscribe((status) => {
      if (status.role === "owner" && role !== "owner") recoverDrafts(db, subject).catch(notices.problem);
      role = status.role;
    });
    // One connection serves all tabs, and any of them may come to hold it: they choose together.
    this.#unhear = whenKeptElsewhere(OFFLINE, (value) => {
      this.#setOffline(value !== null).catch(notices.problem);
    });
    db.shape("my_notes");
    db.shape("my_conflicts");
    db.shape("people");
    db.shape("feed");
    db.shape("likes");
    db.shape("posts_by_author", { author: subject });
    db.shape("my_pages");
    db.shape("open_pages");
    db.shape("my_page_texts");
  }

  static async open(session: Session): Promise<Journal> {
    const db = await openDatabase({
      schema,
      name: await databaseOf(session.subject),
      server: location.origin,
      token: session.token,
      online: kept(OFFLINE) === null,
    });
    await recoverDrafts(db, session.subject);
    return new Journal(db, session.subject);
  }

  get status() {
    return this.#status.current;
  }

  get outbox() {
    return this.#outbox.current;
  }

  /** From now on what is written of this item changes the entry itself, for as long as it was not sent. */
  beginEdit(item: string, rseq: number): void {
    this.#edits.set(item, rseq);
    this.wanted = item;
  }

  /**
   * Saves an item: `write` is given the entry that is being edited, if one still is, and gives the number under which it
   * stands then. Where the entry was sent in that very moment, it is written as a change of its own.
   */
  async saveEdited(item: string, write: (edits: number | null) => Promise<number | null>): Promise<void> {
    const edits = this.#edits.get(item) ?? null;
    const open = edits !== null && this.outbox.some(({ rseq, open }) => rseq === edits && open);
    const next = await write(open ? edits : null).catch((problem: unknown) => {
      if (open && isGone(problem)) return write(null);
      throw problem;
    });
    if (!open) this.#edits.delete(item);
    else if (next !== null) this.#edits.set(item, next);
  }

  mark(table: string, key: string): Mark {
    return this.#marks.get(`${table}/${key}`) ?? SAVED;
  }

  /** Whether the person wants no network for now. Kept on this device, for the next start and for every tab. */
  get staysOffline(): boolean {
    return this.#staysOffline;
  }

  async stayOffline(wanted: boolean): Promise<void> {
    keep(OFFLINE, wanted ? "yes" : null);
    await this.#setOffline(wanted);
  }

  async #setOffline(wanted: boolean): Promise<void> {
    this.#staysOffline = wanted;
    await this.db.setOnline(!wanted);
  }

  async flush(): Promise<void> {
    await Promise.all([...this.flushers].map((flush) => flush()));
  }

  async close(): Promise<void> {
    await this.flush();
    this.#unhear();
    this.#status.end();
    this.#outbox.end();
    await this.db.close();
  }
}
