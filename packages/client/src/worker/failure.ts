// In the worker an error is what travels of it: nobody here asks for its class or for where it was thrown, and the page
// makes a LandfallError of it.

import * as codes from "../codes.js";
import type { ErrorData } from "../error.js";

export { codes, type ErrorData };

export function fail(code: string, message: string): ErrorData {
  return { code, message };
}

/** What the worker throws, and the engine's own error, which comes as JSON text; `null` for anything else: a panic. */
export function failureOf(thrown: unknown): ErrorData | null {
  if (typeof thrown === "string") {
    try {
      return JSON.parse(thrown) as ErrorData;
    } catch {
      return fail(codes.other, thrown);
    }
  }
  return typeof (thrown as ErrorData | null)?.code === "string" ? (thrown as ErrorData) : null;
}

export function dataOf(thrown: unknown): ErrorData {
  return failureOf(thrown) ?? fail(codes.other, String(thrown));
}
