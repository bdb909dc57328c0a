// From what a person types to a full-text query, and from its snippets to pieces of text.

/** Characters that no text holds: the borders of what was found. */
export const FOUND_FROM = "\u0002";
export const FOUND_TO = "\u0003";

/** Every word must occur; the last may be unfinished. Empty when there is no word at all. */
export function matchExpression(typed: string): string {
  const words = typed.match(/[\p{L}\p{N}\p{M}]+/gu) ?? [];
  return words.map((word, index) => `"${word}"${index === words.length - 1 ? "*" : ""}`).join(" ");
}

export interface Piece {
  readonly text: string;
  readonly found: boolean;
}

export function pieces(snippet: string): Piece[] {
  const parts: Piece[] = [];
  for (const [index, part] of snippet.split(FOUND_FROM).entries()) {
    const [first = "", ...rest] = index === 0 ? ["", part] : part.split(FOUND_TO);
    if (first !== "") parts.push({ text: first, found: true });
    const plain = rest.join("");
    if (plain !== "") parts.push({ text: plain, found: false });
  }
  return parts;
}
