// What the app wrote in this session, by its number in the outbox: for words about it when it is undone. The outbox
// itself forgets what the server has, which on a good connection is before anybody could look.

import type { Element, RowChange, Transaction } from "@landfall/client";
import { schema, type Tables } from "../landfall.gen";
import type { Db } from "./journal.svelte";

/** The newest are enough: nobody undoes more than these in one go. */
const KEPT = 200;

type Rows = readonly RowChange[];

export class Recorded {
  readonly #rows = new Map<number, Rows>();

  /** What was written under this number; `undefined` when that was another tab, or too long ago. */
  of(rseq: number): Rows | undefined {
    return this.#rows.get(rseq);
  }

  /** The newest, for their titles. */
  newest(): RowChange[] {
    return [...this.#rows.values()].slice(-20).flat();
  }

  #keep(rseq: number | null, rows: Rows, gone: readonly number[]): void {
    if (rseq === null || rows.length === 0) return;
    // What was taken up by it is part of it.
    this.#rows.set(rseq, [...gone.flatMap((number) => this.#rows.get(number) ?? []), ...rows]);
    if (this.#rows.size > KEPT) for (const oldest of this.#rows.keys()) return void this.#rows.delete(oldest);
  }

  /** The database as it is, but for what it writes being kept here as well. */
  watch(db: Db): Db {
    const transaction: Db["transaction"] = async (f) => {
      const rows: RowChange[] = [];
      const written = await db.transaction((tx) => f(noting(tx, rows)));
      this.#keep(written.rseq, rows, written.gone);
      return written;
    };
    const mine: Partial<Db> = {
      transaction,
      insert: (table, row) => transaction((tx) => tx.insert(table, row)),
      update: (table, key, patch) => transaction((tx) => tx.update(table, key, patch)),
      add: (table, key, by) => transaction((tx) => tx.add(table, key, by)),
      delete: (table, key) => transaction((tx) => tx.delete(table, key)),
    };
    return over(db, mine);
  }
}

function noting(tx: Transaction<Tables>, rows: RowChange[]): Transaction<Tables> {
  const note = (table: string, key: unknown, op: RowChange["op"], values: unknown, more: Partial<RowChange> = {}) =>
    rows.push({ table, key, op, values: { ...(values as Record<string, unknown>) }, ...more });
  const keyOf = (table: keyof Tables, row: object) => {
    const { key } = schema.tables[table];
    const values = key.map((column) => [column, (row as Record<string, unknown>)[column]] as const);
    return values.length === 1 ? values[0]?.[1] : Object.fromEntries(values);
  };
  return over<Transaction<Tables>>(tx, {
    insert(table, row) {
      // What is typed into a page is undone in its editor, and would soon be all that is kept here.
      // A version is not undone.
      if (!["pages_docs", "pages_versions", "notes_versions"].includes(table))
        note(table, keyOf(table, row as object), "insert", row);
      tx.insert(table, row);
    },
    update(table, key, patch) {
      note(table, key, "update", patch);
      tx.update(table, key, patch);
    },
    add(table, key, by) {
      note(table, key, "update", by, { added: Object.keys(by) });
      tx.add(table, key, by);
    },
    set(table, key, column) {
      const cell = tx.set(table, key, column);
      const noted =
        (way: "add" | "remove") =>
        (...elements: readonly Element[]) => {
          note(table, key, "update", { [column]: { [way]: elements } }, { edited: [column] });
          cell[way](...elements);
        };
      return { add: noted("add"), remove: noted("remove") };
    },
    list(table, key, column, within) {
      const cell = tx.list(table, key, column, within);
      return {
        move(to) {
          note(table, key, "update", { [column]: to });
          cell.move(to);
        },
      };
    },
    resolve(table, conflict, how) {
      note(`${table}_conflicts`, conflict, "delete", {});
      tx.resolve(table, conflict, how);
    },
    delete(table, key) {
      note(table, key, "delete", {});
      tx.delete(table, key);
    },
  });
}

/** `whole` with some of its methods replaced. */
function over<T extends object>(whole: T, methods: Partial<T>): T {
  return new Proxy(whole, {
    get(target, name) {
      if (name in methods) return methods[name as keyof T];
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}
