// Light, dark, or as the system says.

export type Theme = "system" | "light" | "dark";
const KEY = "journal.theme";

function stored(): Theme {
  try {
    const kept = localStorage.getItem(KEY);
    return kept === "light" || kept === "dark" ? kept : "system";
  } catch {
    return "system";
  }
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
    try {
      localStorage.setItem(KEY, next);
    } catch {
      // Not kept, then: it holds until the page is left.
    }
    apply();
  },
  apply,
};
