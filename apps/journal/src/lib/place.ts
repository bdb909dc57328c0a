// Which database is whose.

/** The longest escaped name that is used as it is; longer ones are told apart by their digest. */
const LONGEST = 80;

const hex = (bytes: Uint8Array) => [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");

/**
 * The name of a person's database. A database belongs to one person: another one's writes must never leave under this
 * name. Subjects are any text (addresses, names with blanks), names of databases are letters, digits, `-`, `_` and `.`.
 */
export async function databaseOf(subject: string): Promise<string> {
  const encoder = new TextEncoder();
  const escaping = (char: string) => [...encoder.encode(char)].map((byte) => `_${hex(Uint8Array.of(byte))}`).join("");
  const escaped = subject.replace(/[^A-Za-z0-9.-]/gu, escaping);
  if (escaped.length <= LONGEST) return `journal-${escaped}`;
  return `journal-_${hex(new Uint8Array(await crypto.subtle.digest("SHA-256", encoder.encode(subject))))}`;
}
