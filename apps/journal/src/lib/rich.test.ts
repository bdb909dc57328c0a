import { expect, test } from "vitest";
import { asLink, isLink } from "./rich";

test("a link is what a page may open, and nothing that runs", () => {
  expect(["https://a.example", "HTTP://a", "mailto:a@b.example", "tel:+49", " https://a"].every(isLink)).toBe(true);
  expect(["javascript:alert(1)", "data:text/html,x", "a.example", "", "vbscript:x"].some(isLink)).toBe(false);
});

test("what is typed as an address becomes one", () => {
  expect(asLink("ferry.example/times")).toBe("https://ferry.example/times");
  expect(asLink("localhost:8080")).toBe("https://localhost:8080");
  expect(asLink("bea@ferry.example")).toBe("mailto:bea@ferry.example");
  expect(asLink("http://ferry.example")).toBe("http://ferry.example");
  for (const none of ["", "  ", "two words", "javascript:alert(1)", "data:text/html,x"]) expect(asLink(none)).toBe("");
});
