import { State } from "./observable.js";
import type { ChangedSince, EntryState, OutboxEntry, Problem, ReviewEntry, RowChange, Schema } from "./types.js";
import { decodeKey, decodeRow, keyText } from "./values.js";

export interface WireEntry {
  rseq: number;
  state: EntryState;
  attempts: number;
  created: number;
  priority: number;
  next?: number;
  action?: { name: string; columns: string[]; args: unknown[] };
  expires?: number;
  asked?: true;
  open?: boolean;
  after?: number[];
  rows: (WireRow & { op: RowChange["op"] })[];
  error?: Omit<Problem, "key"> & { key?: unknown[] };
  becauseOf?: number;
  failures?: { at: number; code: string; message: string }[];
  seen?: WireRow[];
}

interface WireRow {
  table: string;
  key: unknown[];
  cells: Record<string, unknown>;
}

function problemOf(schema: Schema, { key, ...problem }: NonNullable<WireEntry["error"]>): Problem {
  return key ? { ...problem, key: decodeKey(schema, problem.table as string, key) } : problem;
}

/** An entry that is held back. */
export interface WireReview extends WireEntry {
  changed: { table: string; key: unknown[]; column: string | null; was?: unknown; now?: unknown; own?: unknown }[];
}

const decodeCells = (cells: object) => decodeRow<Record<string, unknown>>(Object.keys(cells), Object.values(cells));

export function decodeEntry(
  schema: Schema,
  { created, next, expires, open, after, rows, action, error, failures, seen, ...entry }: WireEntry,
): OutboxEntry {
  const rowOf = <R extends WireRow>({ key, cells, ...row }: R) => ({
    ...row,
    key: decodeKey(schema, row.table, key),
    values: decodeCells(cells),
  });
  return {
    ...entry,
    ...(next && { nextAttemptAt: new Date(next) }),
    createdAt: new Date(created),
    ...(expires && { expiresAt: new Date(expires) }),
    open: open ?? false,
    waitsFor: after ?? [],
    rows: rows.map(rowOf),
    ...(action && { action: { name: action.name, args: decodeRow(action.columns, action.args) } }),
    ...(error && { error: problemOf(schema, error) }),
    ...(failures && { failures: failures.map(({ at, ...why }) => ({ ...why, at: new Date(at) })) }),
    ...(seen && { seen: seen.map(rowOf) }),
  };
}

/** An entry that is held back, with what others changed. */
export function decodeReview(schema: Schema, { changed, ...entry }: WireReview): ReviewEntry {
  const one = ({ table, key, column, ...values }: WireReview["changed"][number]): ChangedSince => ({
    table,
    key: decodeKey(schema, table, key),
    column,
    ...decodeCells(values),
  });
  return { ...decodeEntry(schema, entry), changed: changed.map(one) };
}

type RowState = "pending" | "sending" | "failed";

/** What a person should hear first of a row with several entries. */
const RANK: Record<RowState, number> = { pending: 0, sending: 1, failed: 2 };

/** The outbox on the page, and what it says of single rows. */
export class OutboxState extends State<readonly OutboxEntry[]> {
  readonly #schema: Schema;
  #rows = new Map<string, RowState>();

  constructor(schema: Schema, watched: (on: boolean) => void) {
    super([], watched);
    this.#schema = schema;
  }

  heard(text: string): void {
    const entries = (JSON.parse(text) as WireEntry[]).map((one) => decodeEntry(this.#schema, one));
    this.#rows = new Map();
    for (const { state, rows } of entries) {
      // What the server accepted is saved, even before it has come back.
      if (state === "sent") continue;
      for (const { table, key } of rows) {
        const name = keyText(this.#schema, table, key);
        const before = this.#rows.get(name);
        if (before === undefined || RANK[state] > RANK[before]) this.#rows.set(name, state);
      }
    }
    this.set(entries);
  }

  rowState(table: string, key: unknown): "synced" | RowState {
    return this.#rows.get(keyText(this.#schema, table, key)) ?? "synced";
  }
}
