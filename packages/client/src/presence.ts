// Who is at a row, without a document: in a chat, at a task, on a page that only one may write. Nothing of it is stored.

import { Awareness } from "y-protocols/awareness";
import * as Y from "yjs";
import { Line } from "./awareness.js";
import { State } from "./observable.js";
import type { Database, KeyOf, Observable } from "./types.js";

/** Somebody else, or another of this person's devices. */
export interface Other<Mine> {
  /** Names the device, as long as it is there. */
  readonly id: number;
  /** What it says of itself. */
  readonly says: Mine;
}

/** Who is there. */
export interface Company<Mine> {
  /** The others see who is here, and their list is current; false without a connection, when it is empty. */
  readonly present: boolean;
  /** In no order that means something. */
  readonly others: readonly Other<Mine>[];
}

/** A place in a room. */
export interface Presence<Mine> extends Observable<Company<Mine>> {
  /** Says these fields anew, and leaves the others as they are: `{ typing: true }`. All of it is at most 16 KiB of JSON. */
  say(fields: Partial<Mine>): void;
  /** Goes; the others see that at once. */
  leave(): void;
}

/**
 * Goes to a row: whoever may read it and is there sees what is said (a name, a cursor, "is typing": any JSON), and is seen. Who
 * says nothing more, because the device sleeps or the connection is gone, is gone for the others within half a minute; who
 * comes back is there again by itself.
 * @example
 * ```ts
 * const here = presence(db, "pages", id, { name: "Ada", typing: false });
 * const stop = here.subscribe(({ others }) => show(others.map(({ says }) => says.name)));
 * here.say({ typing: true });
 * here.leave();
 * stop();
 * ```
 */
export function presence<
  Tables,
  Shapes,
  Actions,
  T extends keyof Tables & string,
  Mine extends Record<string, unknown>,
>(db: Database<Tables, Shapes, Actions>, table: T, key: KeyOf<Tables, T>, mine: Mine): Presence<Mine> {
  const awareness = new Awareness(new Y.Doc());
  awareness.setLocalState(mine);
  const state = new State<Company<Mine>>({ present: false, others: [] });
  const tell = () => {
    const known = [...awareness.getStates()].filter(([id]) => id !== awareness.clientID);
    state.set({ ...state.current, others: known.map(([id, says]) => ({ id, says: says as Mine })) });
  };
  awareness.on("change", tell);
  const address = `rooms/${encodeURIComponent(table)}/${encodeURIComponent(key as string | number)}`;
  const line = new Line(
    db as never,
    address,
    awareness,
    (present) => state.set({ ...state.current, present }),
    () => {},
  );
  return {
    get current() {
      return state.current;
    },
    subscribe: (listener) => state.subscribe(listener),
    say: (fields) => awareness.setLocalState({ ...awareness.getLocalState(), ...fields }),
    leave() {
      awareness.off("change", tell);
      line.close();
      awareness.destroy();
      state.set({ present: false, others: [] });
    },
  };
}
