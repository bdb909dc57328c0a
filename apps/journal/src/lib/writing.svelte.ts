// A text being written: what is typed is in the database within a moment, and becomes the item's own when the
// person pauses or leaves. What others change meanwhile comes in where nothing was typed.

/** A pause after which what was typed is kept as a draft, milliseconds: shorter than a person would retype. */
const KEEP_MS = 250;
/** A pause after which the draft is the item, milliseconds: a thought ends, and one entry in the outbox holds it. */
const SAVE_MS = 1500;

export interface Text {
  title: string;
  body: string;
}

export interface Keeper {
  /** Makes a draft durable on this device; absent where there are no drafts. */
  keep?(id: string, text: Text): Promise<void>;
  /** Writes the item itself. */
  save(id: string, text: Text): Promise<void>;
  /** What went wrong, for the person. */
  failed(problem: unknown): void;
}

export class Writing {
  readonly id: string;
  readonly #keeper: Keeper;
  title = $state("");
  body = $state("");
  /** Whether something is typed that the item does not have. */
  typed = $state(false);
  #seen: Text = { title: "", body: "" };
  #keepTimer: ReturnType<typeof setTimeout> | undefined;
  #saveTimer: ReturnType<typeof setTimeout> | undefined;
  /** Writes follow each other: a slow one never overtakes. */
  #last: Promise<void> = Promise.resolve();

  constructor(id: string, keeper: Keeper) {
    this.id = id;
    this.#keeper = keeper;
  }

  /** The item as the database has it now. A field that the person changed stays as typed. */
  arrived(item: Text): void {
    if (this.title === this.#seen.title) this.title = item.title;
    if (this.body === this.#seen.body) this.body = item.body;
    this.#seen = { title: item.title, body: item.body };
    this.typed = this.title !== item.title || this.body !== item.body;
  }

  input(): void {
    this.typed = this.title !== this.#seen.title || this.body !== this.#seen.body;
    clearTimeout(this.#keepTimer);
    clearTimeout(this.#saveTimer);
    if (this.#keeper.keep)
      this.#keepTimer = setTimeout(() => this.#run(() => this.#keeper.keep?.(this.id, this.#text())), KEEP_MS);
    this.#saveTimer = setTimeout(() => this.flush(), SAVE_MS);
  }

  /** Saves what is typed; resolves when it is durable. */
  flush(): Promise<void> {
    clearTimeout(this.#keepTimer);
    clearTimeout(this.#saveTimer);
    if (!this.typed) return this.#last;
    const text = this.#text();
    return this.#run(async () => {
      await this.#keeper.save(this.id, text);
      this.#seen = text;
      this.typed = this.title !== text.title || this.body !== text.body;
    });
  }

  /** Forgets what is typed: the item is gone. */
  drop(): void {
    clearTimeout(this.#keepTimer);
    clearTimeout(this.#saveTimer);
    this.typed = false;
  }

  #text(): Text {
    return { title: this.title, body: this.body };
  }

  #run(work: () => Promise<void> | undefined): Promise<void> {
    const next = this.#last.then(work).catch((problem: unknown) => this.#keeper.failed(problem));
    this.#last = next;
    return next;
  }
}
