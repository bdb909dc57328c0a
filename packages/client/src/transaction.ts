import { codes, fail } from "./error.js";
import type { Ask } from "./protocol.js";
import type { AnyTables, Param, Schema, Transaction } from "./types.js";
import { decodeRows, encodeKey, encodeParams, encodeRow } from "./values.js";

/**
 * A transaction as the app's function sees it. Writes are gathered; unless the function reads, the whole of it is one
 * message, and one turn of the engine.
 */
export class Tx implements Transaction<AnyTables> {
  #ops: unknown[] = [];
  #open: Promise<string> | null = null;
  #ended = false;

  constructor(
    private readonly schema: Schema,
    private readonly ask: (ask: Ask) => Promise<unknown>,
  ) {}

  #add(...op: unknown[]): void {
    if (this.#ended)
      throw fail(codes.transactionEnded, "the transaction has ended; await everything inside its function");
    this.#ops.push(op);
  }

  insert(table: string, row: object): void {
    this.#add("i", table, encodeRow(this.schema, table, row));
  }

  update(table: string, key: unknown, patch: object): void {
    this.#add("u", table, encodeKey(this.schema, table, key), encodeRow(this.schema, table, patch));
  }

  delete(table: string, key: unknown): void {
    this.#add("d", table, encodeKey(this.schema, table, key));
  }

  sql(statement: string, params: readonly Param[] = []): void {
    this.#add("s", String(statement), JSON.parse(encodeParams(params)));
  }

  async query<Row>(sql: string, params: readonly Param[] = []): Promise<Row[]> {
    if (this.#ended)
      throw fail(codes.transactionEnded, "the transaction has ended; await everything inside its function");
    const encoded = encodeParams(params);
    const tx = await this.#begin();
    if (this.#ops.length > 0) await this.ask({ do: "step", tx, ops: this.#take() });
    const answer = await this.ask({ do: "peek", tx, sql: String(sql), params: encoded });
    const { columns, rows } = JSON.parse(answer as string) as { columns: string[]; rows: unknown[][] };
    return decodeRows<Row>(columns, rows);
  }

  #begin(): Promise<string> {
    this.#open ??= this.ask({ do: "begin" }) as Promise<string>;
    return this.#open;
  }

  #take(): string {
    const ops = JSON.stringify(this.#ops);
    this.#ops = [];
    return ops;
  }

  async finish(): Promise<number | null> {
    this.#ended = true;
    const tx = await this.#open;
    if (tx !== null) return (await this.ask({ do: "commit", tx, ops: this.#take() })) as number | null;
    if (this.#ops.length === 0) return null;
    return (await this.ask({ do: "write", ops: this.#take() })) as number | null;
  }

  /** Gives it up. What began on the worker's side ends there too. */
  async undo(): Promise<void> {
    this.#ended = true;
    const tx = await this.#open?.catch(() => null);
    if (tx) await this.ask({ do: "rollback", tx }).catch(() => undefined);
  }
}
