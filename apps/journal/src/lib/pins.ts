// Pinned notes in the order that a person gives them, by drag and drop.

import { combine } from "@atlaskit/pragmatic-drag-and-drop/combine";
import { draggable, dropTargetForElements } from "@atlaskit/pragmatic-drag-and-drop/element/adapter";
import { attachClosestEdge, extractClosestEdge } from "@atlaskit/pragmatic-drag-and-drop-hitbox/closest-edge";
import type { Spot } from "./notes";

export interface Pin {
  readonly id: string;
  readonly title: string;
}

/** Where a note goes that is moved by so many places, up or down; `null` when it stays where it is. */
export function spotFor(pins: readonly Pin[], id: string, steps: number): Spot | null {
  const at = pins.findIndex((pin) => pin.id === id);
  const to = Math.min(Math.max(at + steps, 0), pins.length - 1);
  const other = pins[to];
  if (at < 0 || to === at || other === undefined) return null;
  return to < at ? { before: other.id } : { after: other.id };
}

/** `“Bread” is 2 of 3 pinned notes now.`: where it stands, for those who do not see it. */
export function standsWhere(pins: readonly Pin[], id: string): string {
  const at = pins.findIndex((pin) => pin.id === id);
  const title = pins[at]?.title.trim() || "Untitled";
  return at < 0 ? "" : `“${title}” is ${at + 1} of ${pins.length} pinned notes now.`;
}

/** Over which note a dragged one is, and at which edge of it. */
export interface Over {
  readonly id: string;
  readonly edge: "top" | "bottom";
}

/** Makes an element the handle of a pinned note, and a place for others beside it. Gives what ends that. */
export function pinned(
  element: HTMLElement,
  id: string,
  over: (over: Over | null) => void,
  drop: (id: string, to: Spot) => void,
) {
  const edgeOf = (data: Record<string | symbol, unknown>) => (extractClosestEdge(data) === "top" ? "top" : "bottom");
  return combine(
    draggable({
      element,
      getInitialData: () => ({ pin: id }),
      onDragStart: () => element.setAttribute("data-dragged", ""),
      onDrop: () => element.removeAttribute("data-dragged"),
    }),
    dropTargetForElements({
      element,
      canDrop: ({ source }) => typeof source.data.pin === "string" && source.data.pin !== id,
      getData: ({ input }) => attachClosestEdge({}, { element, input, allowedEdges: ["top", "bottom"] }),
      onDrag: ({ self }) => over({ id, edge: edgeOf(self.data) }),
      onDragLeave: () => over(null),
      onDrop: ({ self, source }) => {
        over(null);
        drop(String(source.data.pin), edgeOf(self.data) === "top" ? { before: id } : { after: id });
      },
    }),
  );
}
