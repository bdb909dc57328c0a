import type { LandfallError } from "./error.js";
import { State } from "./observable.js";
import type { LiveQuery, LiveSnapshot } from "./types.js";
import { decodeRow, print } from "./values.js";

type Cells = readonly unknown[];

interface First {
  columns: string[];
  rows: Cells[];
  complete: boolean;
}

interface Diff {
  removed: number[];
  inserted: [number, Cells][];
  updated: [number, Cells][];
  complete: boolean;
}

/** Takes out what stands at old indexes, puts in what is to stand at new ones; both ascend. */
export function splice<T>(
  rows: readonly T[],
  removed: readonly number[],
  inserted: readonly (readonly [number, T])[],
): T[] {
  if (removed.length === 0 && inserted.length === 0) return [...rows];
  const out: T[] = [];
  let [gone, come] = [0, 0];
  rows.forEach((row, at) => {
    if (removed[gone] === at) {
      gone++;
      return;
    }
    for (let next = inserted[come]; next && next[0] <= out.length; next = inserted[++come]) out.push(next[1]);
    out.push(row);
  });
  for (; come < inserted.length; come++) out.push((inserted[come] as readonly [number, T])[1]);
  return out;
}

/** A live query on the page. */
export class Live<Row> implements LiveQuery<Row> {
  readonly #state: State<LiveSnapshot<Row>>;
  #columns: string[] = [];

  constructor(
    readonly sub: number,
    readonly sql: string,
    readonly params: string,
    watched: (live: Live<Row>, on: boolean) => void,
  ) {
    const loading: LiveSnapshot<Row> = { state: "loading", rows: [], complete: false };
    this.#state = new State(loading, (on) => {
      watched(this, on);
      // What nobody watches is not kept true.
      if (!on) this.#state.set(loading);
    });
  }

  get snapshot(): LiveSnapshot<Row> {
    return this.#state.current;
  }

  subscribe(listener: (snapshot: LiveSnapshot<Row>) => void): () => void {
    return this.#state.subscribe(listener);
  }

  get isWatched(): boolean {
    return this.#state.isWatched;
  }

  /** A first answer, or a whole one after the engine started anew: rows that are what they were keep their identity. */
  first(answer: string): void {
    const { columns, rows, complete } = JSON.parse(answer) as First;
    this.#columns = columns;
    const known = new Map(this.snapshot.rows.map((row) => [print(row), row]));
    this.#ready(
      rows.map((cells) => {
        const row = decodeRow<Row>(columns, cells);
        return known.size ? (known.get(print(row)) ?? row) : row;
      }),
      complete,
    );
  }

  diff(text: string): void {
    const { removed, inserted, updated, complete } = JSON.parse(text) as Diff;
    const decoded = inserted.map(([at, cells]) => [at, decodeRow<Row>(this.#columns, cells)] as const);
    const rows = splice(this.snapshot.rows, removed, decoded);
    for (const [at, cells] of updated) rows[at] = decodeRow<Row>(this.#columns, cells);
    this.#ready(rows, complete);
  }

  #ready(rows: Row[], complete: boolean): void {
    this.#state.set({ state: "ready", rows, complete });
  }

  /** The query could not be run; what was shown stays. */
  failed(error: LandfallError): void {
    this.#state.set({ ...this.snapshot, state: "error", error });
  }
}
