import { expect, test } from "vitest";
import { errorOf, fail } from "../../src/error.js";

test("an error of another copy of the package keeps its code, and others get one", () => {
  const ours = fail("LF-2003", "too large");
  expect(errorOf(ours)).toBe(ours);
  const theirs = Object.assign(new Error("too large [LF-2003]"), { name: "LandfallError", code: "LF-2003" });
  expect(errorOf(theirs).code).toBe("LF-2003");
  expect(errorOf(new TypeError("x")).code).toBe("LF-5930");
});
