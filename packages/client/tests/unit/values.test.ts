// What JavaScript gives is checked on the page, and comes back exactly as it was.

import { describe, expect, test } from "vitest";
import { LandfallError } from "../../src/error.js";
import type { Schema } from "../../src/types.js";
import {
  decodeKey,
  decodeRow,
  encodeArgs,
  encodeCell,
  encodeKey,
  encodeParams,
  encodeRow,
  keyText,
} from "../../src/values.js";

const schema: Schema = {
  name: "test",
  version: 1,
  tables: {
    notes: {
      key: ["id"],
      sync: true,
      columns: { id: { type: "uuid" }, count: { type: "integer" }, extra: { type: "json", nullable: true } },
    },
    tags: { key: ["note", "tag"], sync: true, columns: { note: { type: "uuid" }, tag: { type: "text" } } },
  },
  shapes: {},
  actions: {
    order: { args: { note: { type: "uuid" }, price: { type: "decimal", scale: 2, nullable: true } } },
    close: { args: {} },
  },
  compiled: "{}",
};
const ID = "018f7c1e-0000-7000-8000-00000000000a";

function refusal(f: () => unknown): LandfallError {
  try {
    f();
  } catch (thrown) {
    if (thrown instanceof LandfallError) return thrown;
    throw thrown;
  }
  throw new Error("nothing was refused");
}

describe("values of the wrong type", () => {
  const wrong: [Parameters<typeof encodeCell>[0]["type"], unknown[]][] = [
    ["text", [1, true, {}, "\ud800", Symbol("s")]],
    ["uuid", ["", "not one", 7]],
    ["integer", [1.5, 2 ** 53, Number.NaN, "1", 2n ** 63n, true]],
    ["float", [Number.NaN, Number.POSITIVE_INFINITY, "1.5", 1n]],
    ["decimal", [1.5, "1,50", "1.", ""]],
    ["boolean", [0, 1, "true"]],
    ["timestamp", [new Date(Number.NaN), 0]],
    ["date", [new Date(), "21.11.2026"]],
    ["bytes", ["AA==", [1, 2]]],
    ["json", [() => 1, 1n, new Map(), { a: Number.NaN }, { a: new Date() }]],
  ];
  for (const [type, values] of wrong) {
    test.each(values.map((value) => [value]))(`${type} refuses %s`, (value) => {
      const error = refusal(() => encodeCell({ type }, value, { table: "notes", column: "c" }));
      expect(error).toMatchObject({ code: "LF-2001", table: "notes", column: "c" });
      expect(error.message).toContain("notes.c takes");
    });
  }

  test("a circle is refused, not followed for ever", () => {
    const circle: { self?: unknown } = {};
    circle.self = circle;
    expect(refusal(() => encodeCell({ type: "json" }, circle, {})).code).toBe("LF-2001");
  });

  test("names that the schema does not have", () => {
    expect(refusal(() => encodeRow(schema, "note", {})).code).toBe("LF-2007");
    expect(refusal(() => encodeRow(schema, "constructor", {})).code).toBe("LF-2007");
    expect(refusal(() => encodeRow(schema, "notes", { toString: 1 }))).toMatchObject({
      code: "LF-2007",
      column: "toString",
    });
    expect(refusal(() => encodeRow(schema, "notes", null)).code).toBe("LF-2001");
    expect(refusal(() => encodeKey(schema, "tags", { note: ID }))).toMatchObject({ code: "LF-2008", column: "tag" });
    expect(refusal(() => encodeKey(schema, "tags", null)).code).toBe("LF-2008");
  });

  test("arguments of an action", () => {
    expect(refusal(() => encodeArgs(schema, "other", {})).message).toContain("no action 'other'");
    expect(refusal(() => encodeArgs(schema, "order", { cost: 1 })).message).toContain("no argument 'cost'");
    expect(refusal(() => encodeArgs(schema, "order", { price: 1.5 }))).toMatchObject({
      code: "LF-2001",
      column: "price",
    });
    expect(encodeArgs(schema, "order", { note: ID, price: undefined })).toEqual({ note: ID });
    expect(encodeArgs(schema, "close", undefined)).toEqual({});
  });

  test("parameters", () => {
    for (const value of [undefined, Number.NaN, () => 1, new Date(Number.NaN)]) {
      expect(refusal(() => encodeParams([1, value])).message).toContain("parameter 2");
    }
  });
});

describe("values as they travel", () => {
  test("there and back", () => {
    const there = { a: { i: "9007199254740993" }, b: { b: "AP8=" }, c: { j: { i: "x" } }, d: 1.5, e: null };
    const back = decodeRow<Record<string, unknown>>(Object.keys(there), Object.values(there));
    expect(back).toEqual({ a: 9007199254740993n, b: new Uint8Array([0, 255]), c: { i: "x" }, d: 1.5, e: null });
  });

  test("what is undefined is left out, and a column may have any name", () => {
    expect(encodeRow(schema, "notes", { id: ID, count: 7n, extra: undefined })).toEqual({ id: ID, count: { i: "7" } });
    expect(Object.entries(decodeRow(["__proto__"], [1]) as object)).toEqual([["__proto__", 1]]);
  });

  test("keys", () => {
    const key = { note: ID, tag: "a" };
    expect(encodeKey(schema, "tags", key)).toEqual([ID, "a"]);
    expect(decodeKey(schema, "tags", [ID, "a"])).toEqual(key);
    expect(keyText(schema, "notes", ID.toUpperCase())).toBe(keyText(schema, "notes", ID));
  });
});
