// Files that a person keeps, and brings back.

/** Offers a text as a file. */
export function download(name: string, text: string): void {
  const url = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  const link = Object.assign(document.createElement("a"), { href: url, download: name });
  link.click();
  // Not at once: the browser has yet to read it.
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

/** `journal-outbox-2026-11-22.json` */
export function dated(what: string, at = new Date()): string {
  return `journal-${what}-${at.toISOString().slice(0, 10)}.json`;
}
