import { codes, fail } from "./error.js";
import type { Ask } from "./protocol.js";
import type { AnyTables, ListCell, MapCell, Param, Path, Resolution, Schema, SetCell, Transaction } from "./types.js";
import { checkWhole, decodeRows, encodeArgs, encodeKey, encodeParams, encodeRow, refuse } from "./values.js";

/** A JSON pointer (RFC 6901). */
const pointer = (path: Path): string =>
  [path]
    .flat()
    .map((name) => `/${name.replaceAll("~", "~0").replaceAll("/", "~1")}`)
    .join("");

/**
 * A transaction as the app's function sees it. Writes are gathered; unless the function reads, the whole of it is one
 * message, and one turn of the engine.
 */
export class Tx implements Transaction<AnyTables> {
  #ops: unknown[] = [];
  #open: Promise<string> | null = null;
  #ended = false;
  readonly #schema: Schema;
  readonly #ask: (ask: Ask) => Promise<unknown>;

  constructor(schema: Schema, ask: (ask: Ask) => Promise<unknown>) {
    this.#schema = schema;
    this.#ask = ask;
  }

  #check(): void {
    if (this.#ended)
      throw fail(codes.transactionEnded, "the transaction has ended; await everything inside its function");
  }

  #add(...op: unknown[]): void {
    this.#check();
    this.#ops.push(op);
  }

  insert(table: string, row: object): void {
    this.#add("i", table, encodeRow(this.#schema, table, row));
  }

  update(table: string, key: unknown, patch: object): void {
    this.#add("u", table, encodeKey(this.#schema, table, key), encodeRow(this.#schema, table, patch));
  }

  add(table: string, key: unknown, by: object): void {
    this.#add("+", table, encodeKey(this.#schema, table, key), encodeRow(this.#schema, table, by));
  }

  set(table: string, key: unknown, column: string): SetCell {
    const edit = this.#editor(table, key, column);
    return { add: (...add) => edit({ add }), remove: (...remove) => edit({ remove }) };
  }

  map(table: string, key: unknown, column: string): MapCell {
    const edit = this.#editor(table, key, column);
    return {
      set: (path, value) => edit({ set: { [pointer(path)]: value } }),
      remove: (path) => edit({ cut: [pointer(path)] }),
    };
  }

  list(table: string, key: unknown, column: string, within: readonly string[] = []): ListCell<unknown> {
    const schema = this.#schema;
    return {
      move: (to) => {
        const [side, other] =
          typeof to === "string" ? [to] : "after" in to ? ["after", to.after] : ["before", to.before];
        const spot = other === undefined ? [side] : [side, encodeKey(schema, table, other)];
        this.#add("l", table, encodeKey(schema, table, key), column, within, ...spot);
      },
    };
  }

  resolve(table: string, conflict: string, how: Resolution): void {
    const with_ = how === "keep" ? [] : how === "take" ? [null] : [encodeRow(this.#schema, table, how)];
    this.#add("v", table, String(conflict), ...with_);
  }

  #editor(table: string, key: unknown, column: string): (change: object) => void {
    const schema = this.#schema;
    return (change) =>
      this.#add("~", table, encodeKey(schema, table, key), encodeRow(schema, table, { [column]: change }));
  }

  delete(table: string, key: unknown): void {
    this.#add("d", table, encodeKey(this.#schema, table, key));
  }

  sql(statement: string, params: readonly Param[] = []): void {
    this.#add("s", String(statement), JSON.parse(encodeParams(params)));
  }

  setPriority(priority: number): void {
    this.#add("p", checkWhole("setPriority", priority, 0, 100));
  }

  follow(rseq: number): void {
    this.#add("f", checkWhole("follow", rseq));
  }

  require(rseq: number): void {
    this.#add("r", checkWhole("require", rseq));
  }

  action(name: string, args?: object): void {
    this.#add("a", name, encodeArgs(this.#schema, name, args));
  }

  edit(rseq: number): void {
    this.#add("x", checkWhole("edit", rseq));
  }

  retry(rseq: number): void {
    this.#add("t", checkWhole("retry", rseq));
  }

  supersede(rseq: number): void {
    this.#add("c", checkWhole("supersede", rseq));
  }

  expireAt(at: Date): void {
    const ms = at instanceof Date ? at.getTime() : Number.NaN;
    if (Number.isNaN(ms)) refuse("a valid Date", at, {}, "expireAt");
    this.#add("e", Math.max(0, ms));
  }

  leaveOutOfUndo(): void {
    this.#add("n", 0);
  }

  async query<Row>(sql: string, params: readonly Param[] = []): Promise<Row[]> {
    this.#check();
    const encoded = encodeParams(params);
    this.#open ??= this.#ask({ do: "begin" }) as Promise<string>;
    const tx = await this.#open;
    if (this.#ops.length > 0) await this.#ask({ do: "step", tx, ops: this.#take() });
    return decodeRows(await this.#ask({ do: "peek", tx, sql: String(sql), params: encoded }));
  }

  #take(): string {
    const ops = JSON.stringify(this.#ops);
    this.#ops = [];
    return ops;
  }

  /** Its number, then those of entries that are gone for it. */
  async finish(): Promise<(number | null)[]> {
    this.#ended = true;
    const tx = await this.#open;
    if (tx === null && this.#ops.length === 0) return [null];
    const ops = this.#take();
    return [await this.#ask(tx === null ? { do: "write", ops } : { do: "commit", tx, ops })].flat() as (
      | number
      | null
    )[];
  }

  /** Gives it up. What began on the worker's side ends there too. */
  async undo(): Promise<void> {
    this.#ended = true;
    const tx = await this.#open?.catch(() => null);
    if (tx) await this.#ask({ do: "rollback", tx }).catch(() => undefined);
  }
}
