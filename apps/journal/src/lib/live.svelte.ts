// Live queries and observables as runes.

import type { LiveQuery, LiveSnapshot, Observable } from "@landfall/client";
import { untrack } from "svelte";

const NOTHING: LiveSnapshot<never> = { state: "loading", rows: [], complete: false };

/** The answer of the query that `make` gives; while a new query loads, the old answer stays. */
export class Live<Row, Tag = undefined> {
  #snapshot = $state.raw<LiveSnapshot<Row>>(NOTHING);
  #tag = $state.raw<Tag | undefined>(undefined);

  /** `tag` tells which query an answer belongs to: while another loads, the answer is still the old one's. */
  constructor(make: () => { query: LiveQuery<Row>; tag: Tag } | null) {
    $effect(() => {
      const made = make();
      if (made === null) {
        this.#snapshot = NOTHING;
        this.#tag = undefined;
        return;
      }
      const take = (snapshot: LiveSnapshot<Row>) => {
        if (snapshot.state === "loading" && this.#snapshot.state !== "loading") return;
        this.#snapshot = snapshot;
        this.#tag = made.tag;
      };
      // What an answer replaces must not ask for the query again.
      return untrack(() => {
        const end = made.query.subscribe(take);
        take(made.query.snapshot);
        return end;
      });
    });
  }

  get rows(): readonly Row[] {
    return this.#snapshot.rows;
  }

  get first(): Row | undefined {
    return this.#snapshot.rows[0];
  }

  get tag(): Tag | undefined {
    return this.#tag;
  }

  get state(): LiveSnapshot<Row>["state"] {
    return this.#snapshot.state;
  }

  get error(): Error | undefined {
    return this.#snapshot.error;
  }
}

/** A live query that is not exchanged for another. */
export function live<Row>(make: () => LiveQuery<Row> | null): Live<Row> {
  return new Live(() => {
    const query = make();
    return query === null ? null : { query, tag: undefined };
  });
}

/** The present state of an observable; `end` ends it. */
export class Watched<T> {
  #current: T;
  readonly end: () => void;

  constructor(observable: Observable<T>) {
    this.#current = $state.raw(observable.current);
    this.end = observable.subscribe((next) => {
      this.#current = next;
    });
  }

  get current(): T {
    return this.#current;
  }
}
