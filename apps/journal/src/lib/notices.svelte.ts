// Short messages at the edge of the page: what was done, with the way back; what did not work, with the cause.

import { LandfallError } from "@landfall/client";

export interface Notice {
  readonly id: number;
  readonly text: string;
  readonly kind: "done" | "problem";
  readonly code?: string;
  readonly action?: { readonly label: string; readonly run: () => unknown };
}

/** Long enough to read it, and to reach the button by keyboard. */
const SHOWN_MS = 10_000;

let list = $state.raw<readonly Notice[]>([]);
let next = 1;
/** How many drawers lie over the page. */
let drawers = $state(0);

export const notices = {
  get list(): readonly Notice[] {
    return list;
  },
  /** Whether a drawer lies over the page: what is beneath it can be neither seen nor heard. */
  get covered(): boolean {
    return drawers > 0;
  },
  /** A drawer opens; gives what ends that. */
  cover(): () => void {
    drawers += 1;
    return () => {
      drawers -= 1;
    };
  },
  show(notice: Omit<Notice, "id">): void {
    const id = next++;
    // The newest replaces what was done before: only the last act can be undone from here.
    list = [...list.filter((one) => one.kind === "problem" && notice.kind === "done"), { ...notice, id }];
    // What has the focus is about to be used.
    const end = () => {
      if (document.activeElement?.closest(".notices")) setTimeout(end, SHOWN_MS);
      else notices.drop(id);
    };
    if (notice.kind === "done") setTimeout(end, SHOWN_MS);
  },
  problem(problem: unknown): void {
    const text = problem instanceof Error ? problem.message : String(problem);
    notices.show({ kind: "problem", text, ...(problem instanceof LandfallError ? { code: problem.code } : {}) });
  },
  drop(id: number): void {
    list = list.filter((one) => one.id !== id);
  },
};

/** Runs `act`; a failure is shown and not thrown. */
export async function attempt<T>(act: () => Promise<T>): Promise<T | undefined> {
  try {
    return await act();
  } catch (problem) {
    notices.problem(problem);
    return undefined;
  }
}
