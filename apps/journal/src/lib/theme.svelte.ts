// Light, dark, or as the system says.

import { keep, kept } from "./kept";

export type Theme = "system" | "light" | "dark";

function stored(): Theme {
  const chosen = kept("theme");
  return chosen === "light" || chosen === "dark" ? chosen : "system";
}

let current = $state<Theme>(stored());

function apply(): void {
  if (current === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = current;
}

export const theme = {
  get current(): Theme {
    return current;
  },
  set current(next: Theme) {
    current = next;
    keep("theme", next);
    apply();
  },
  apply,
};
