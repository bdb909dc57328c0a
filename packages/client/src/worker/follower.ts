// A tab that works through another one. What it asked for is kept until it is answered, so that nothing is lost when
// the owner goes: the next owner is asked again, and knows by its name what was carried out already.

import { type Answer, type Ask, type Line, lineName, type News } from "../protocol.js";
import { codes, type ErrorData, fail } from "./failure.js";

/** An owner that leaves a call unanswered for so long is asked whether it lives. */
const PROBE_AFTER_MS = 10_000;
/** One that does not answer that either holds the database and does not work. */
const SILENT_MS = 5_000;

const NOT_PROBED = Number.POSITIVE_INFINITY;

export interface Asked {
  id: number;
  ask: Ask;
  resolve: (answer: unknown) => void;
  reject: (error: ErrorData) => void;
}

interface Pending extends Asked {
  since: number;
  sent: boolean;
}

export interface Hearer {
  news(news: News): void;
  /** There is an owner, and it works with this tab. */
  found(): void;
  /** The owner refuses to. */
  refused(error: ErrorData): void;
  probe(): void;
}

export class Follower {
  readonly #pending = new Map<number, Pending>();
  /** What stays asked for: watches, shapes, the outbox. */
  readonly #subscriptions = new Map<string, { id: number; ask: Ask }>();
  readonly #line: BroadcastChannel;
  #epoch: number | null = null;
  #probed = NOT_PROBED;
  readonly #timer: ReturnType<typeof setInterval>;
  readonly #hearer: Hearer;

  constructor(name: string, tab: string, hearer: Hearer) {
    this.#hearer = hearer;
    this.#line = new BroadcastChannel(lineName(name, tab));
    this.#line.onmessage = (event: MessageEvent<Line>) => this.#hear(event.data);
    this.#timer = setInterval(() => this.#look(), SILENT_MS);
  }

  ask(id: number, ask: Ask): Promise<unknown> {
    this.#remember(id, ask);
    return new Promise((resolve, reject) => {
      this.#pending.set(id, { id, ask, resolve, reject, since: performance.now(), sent: false });
      this.#send(id);
    });
  }

  #remember(id: number, ask: Ask): void {
    const name = ask.do.replace(/^un/, "") + ("sub" in ask ? ask.sub : "");
    const stays = ask.do === "watch" || ask.do === "shape" || (ask.do === "outbox" && ask.on);
    if (stays) this.#subscriptions.set(name, { id, ask });
    else this.#subscriptions.delete(name);
  }

  #send(id: number): void {
    const pending = this.#pending.get(id);
    if (!pending || this.#epoch === null) return;
    pending.sent = true;
    this.#line.postMessage({ to: "owner", id, ask: pending.ask } satisfies Line);
  }

  #hear(line: Line): void {
    if (line.to !== "tab") return;
    if ("welcome" in line) this.#welcome(line.welcome.epoch);
    else if ("refuse" in line) this.#hearer.refused(line.refuse);
    else if ("news" in line) this.#news(line.news);
    else this.#answer(line.answer);
  }

  #welcome(epoch: number): void {
    if (this.#epoch === epoch) return;
    this.#epoch = epoch;
    const open = new Set(this.#pending.keys());
    for (const { id, ask } of this.#subscriptions.values()) {
      if (!open.has(id)) this.#line.postMessage({ to: "owner", id, ask } satisfies Line);
    }
    for (const id of open) this.#send(id);
  }

  /** The first status is the last part of a welcome: from then on the page knows how things stand. */
  #news(news: News): void {
    this.#hearer.news(news);
    if (news.news === "status") this.#hearer.found();
  }

  #answer(answer: Answer): void {
    this.#probed = NOT_PROBED;
    const pending = this.#pending.get(answer.id);
    this.#pending.delete(answer.id);
    if ("error" in answer) pending?.reject(answer.error);
    else pending?.resolve(answer.value);
  }

  /**
   * Whether it is another owner than the one that welcomed this tab: its welcome follows, and then everything is asked
   * again. News of an owner may come after its welcome.
   */
  ownerChanged(epoch: number): boolean {
    if (this.#epoch === epoch) return false;
    this.#epoch = null;
    this.#probed = NOT_PROBED;
    return true;
  }

  /** The owner's engine failed. What it had been asked fails with it, lest the next one fails of the same. */
  ownerFailed(epoch: number, error: ErrorData): void {
    if (this.#epoch !== epoch) return;
    this.#epoch = null;
    this.#failPending(error, ({ sent }) => sent);
  }

  ownerIsAlive(): void {
    this.#probed = NOT_PROBED;
    const now = performance.now();
    for (const pending of this.#pending.values()) pending.since = now;
  }

  #look(): void {
    const now = performance.now();
    if (now - this.#probed >= SILENT_MS) {
      this.#probed = NOT_PROBED;
      const message =
        "the tab that holds the database does not answer; close it. What was asked for may have been carried out";
      this.#failPending(fail(codes.ownerSilent, message));
    } else if (
      this.#probed === NOT_PROBED &&
      [...this.#pending.values()].some(({ since }) => now - since > PROBE_AFTER_MS)
    ) {
      this.#probed = now;
      this.#hearer.probe();
    }
  }

  /** Hands everything over: this tab has become the owner. */
  take(): [subscriptions: { id: number; ask: Ask }[], pending: Asked[]] {
    this.#end();
    const open = new Set(this.#pending.keys());
    const subscriptions = [...this.#subscriptions.values()].filter(({ id }) => !open.has(id));
    return [subscriptions, [...this.#pending.values()]];
  }

  fail(error: ErrorData): void {
    this.#end();
    this.#failPending(error);
  }

  #end(): void {
    clearInterval(this.#timer);
    this.#line.close();
  }

  #failPending(error: ErrorData, which: (pending: Pending) => boolean = () => true): void {
    for (const [id, pending] of this.#pending) {
      if (!which(pending)) continue;
      this.#pending.delete(id);
      pending.reject(error);
    }
  }
}
