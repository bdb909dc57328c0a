// Small choices of this device, in `localStorage`: read before the first picture, without waiting for a database.

/** What is kept under this name; `null` when nothing is, or the browser keeps nothing. */
export function kept(name: string): string | null {
  try {
    return localStorage.getItem(`journal.${name}`);
  } catch {
    return null;
  }
}

/** Keeps it; `null` forgets. Where the browser keeps nothing it holds until the page is left. */
export function keep(name: string, value: string | null): void {
  try {
    if (value === null) localStorage.removeItem(`journal.${name}`);
    else localStorage.setItem(`journal.${name}`, value);
  } catch {
    // Storage is denied or full. Nothing of these is worth an error.
  }
}

/** Calls `hear` when another tab keeps something else under this name. Gives what ends that. */
export function whenKeptElsewhere(name: string, hear: (value: string | null) => void): () => void {
  const listener = (event: StorageEvent) => {
    if (event.key === `journal.${name}`) hear(event.newValue);
  };
  addEventListener("storage", listener);
  return () => removeEventListener("storage", listener);
}
