import * as codes from "./codes.js";

export { codes };

/** What travels of an error between page, worker and tabs. */
export interface ErrorData {
  /** The stable code. */
  code: string;
  /** Cause and way out. */
  message: string;
  /** The table that it is about. */
  table?: string | undefined;
  /** The column that it is about. */
  column?: string | undefined;
  /** The name of the browser's own exception, when there was one. */
  exception?: string | null;
}

/** Every call that fails rejects with this. `code` is stable and listed in docs/errors.md. */
export class LandfallError extends Error {
  /** Tells it from errors of others. */
  override readonly name = "LandfallError";
  /** The stable code. */
  readonly code: string;
  /** The table that it is about, when it is about one. */
  readonly table: string | undefined;
  /** The column that it is about, when it is about one. */
  readonly column: string | undefined;

  /** @internal Made by the package. */
  constructor(data: ErrorData) {
    super(data.message.includes(data.code) ? data.message : `${data.message} [${data.code}]`);
    this.code = data.code;
    this.table = data.table;
    this.column = data.column;
  }
}

export function fail(
  code: string,
  message: string,
  at?: { table?: string | undefined; column?: string },
): LandfallError {
  return new LandfallError({ code, message, ...at });
}

/** The words of whatever was thrown; of an error its name and message. */
export const wordsOf: (thrown: unknown) => string = String;

export function errorOf(thrown: unknown): LandfallError {
  if (thrown instanceof LandfallError) return thrown;
  // A bundle may hold the package twice, each with a class of its own: what says that it is one of ours is.
  if (thrown instanceof Error && thrown.name === "LandfallError" && "code" in thrown) return thrown as LandfallError;
  return fail(codes.other, wordsOf(thrown));
}

export function dataOf(thrown: unknown): ErrorData {
  const { code, message, table, column } = errorOf(thrown);
  return { code, message, table, column };
}
