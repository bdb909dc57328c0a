// What page and worker, and tab and tab, say to each other. Answers and rows stay the engine's JSON text until they are
// on the page that asked: a worker, and the worker of another tab, only pass them on.

import type { ErrorData } from "./error.js";
import type { HeldBack, Status } from "./types.js";

/** Tabs of different builds work together only when this is the same. */
export const TAB_PROTOCOL = 1;

/** How a database is opened. */
export interface Config {
  name: string;
  version: number;
  compiled: string;
  server: string | null;
  token: string | null;
  online: boolean;
  /** Where the app's merge functions are; every tab that may become the owner knows it. */
  functions: string | null;
}

/** What a page asks for. */
export type Ask =
  | { do: "query"; sql: string; params: string }
  | { do: "write"; ops: string }
  | { do: "begin" }
  | { do: "step"; tx: string; ops: string }
  | { do: "peek"; tx: string; sql: string; params: string }
  | { do: "commit"; tx: string; ops: string }
  | { do: "rollback"; tx: string }
  | { do: "watch"; sub: number; sql: string; params: string }
  | { do: "unwatch"; sub: number }
  | { do: "shape"; sub: number; name: string; params: string }
  | { do: "unshape"; sub: number }
  | { do: "outbox"; on: boolean }
  | { do: "retry"; rseq: number }
  | { do: "discard"; rseq: number }
  | { do: "manage"; verb: string; arg: string }
  | { do: "token"; token: string | null }
  | { do: "online"; online: boolean }
  | { do: "cache"; call: string; value: string | Uint8Array | undefined }
  | { do: "nudge" }
  | { do: "persisted" };

/** What a page hears without having asked. */
export type News =
  | { news: "status"; status: WireStatus }
  | { news: "live"; sub: number; answer: string }
  | { news: "rows"; sub: number; diff: string }
  | { news: "liveError"; sub: number; error: ErrorData }
  | { news: "shape"; sub: number; complete: boolean; failure: string | null }
  | { news: "outbox"; entries: string };

/** The status as it travels: a date is a number. */
export type WireStatus = Omit<Status, "lastSyncedAt" | "review"> & {
  readonly lastSyncedAt: number | null;
  readonly review: (Omit<HeldBack, "since"> & { readonly since: number }) | null;
};

export type Answer = { id: number; value: unknown } | { id: number; error: ErrorData };

/** From the page to its worker. */
export type ToWorker =
  | { id: number; open: Config }
  | { id: number; ask: Ask }
  | { id: number; close: true }
  | { ping: number };

/** From the worker to its page. */
export type ToPage = Answer | News | { pong: number } | { restart: ErrorData | null };

/** On the channel that all tabs of a database hear. */
export type Call =
  | { call: "hello"; tab: string; protocol: number; version: number }
  | { call: "owner"; epoch: number; protocol: number }
  | { call: "leaving"; epoch: number; error: ErrorData | null }
  | { call: "probe"; tab: string }
  | { call: "alive"; tab: string; epoch: number };

/** On the channel between the owner and one other tab. */
export type Line =
  | { to: "tab"; welcome: { epoch: number } }
  | { to: "tab"; refuse: ErrorData }
  | { to: "tab"; answer: Answer }
  | { to: "tab"; news: News }
  | { to: "owner"; id: number; ask: Ask };

export const callName = (name: string) => `landfall:${name}`;
export const lineName = (name: string, tab: string) => `landfall:${name}:line:${tab}`;
export const ownerLock = callName;
export const tabLock = (name: string, tab: string) => `landfall:${name}:tab:${tab}`;
