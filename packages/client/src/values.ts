// Values on their way to the engine and back. What JSON has no form for is wrapped in an object of one key: `i` an
// integer beyond 2^53, `b` bytes in base64, `j` a JSON value, `t` an instant. crates/client-web/src/json.rs is the other
// side.

import { codes, fail } from "./error.js";
import type { Column, Schema } from "./types.js";

type Wire = null | boolean | number | string | { i: string } | { b: string } | { j: unknown } | { t: string };

interface Place {
  table?: string | undefined;
  column?: string;
  /** What it is, where it is neither a column nor a parameter. */
  what?: string;
}

export function toBase64(bytes: Uint8Array): string {
  let text = "";
  for (let at = 0; at < bytes.length; at += 0x8000) {
    text += String.fromCharCode(...bytes.subarray(at, at + 0x8000));
  }
  return btoa(text);
}

function fromBase64(text: string): Uint8Array {
  return Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
}

/** A value as a person would name it, in an error. */
function nameOf(value: unknown): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "an array";
  if (typeof value === "number") return `the number ${value}`;
  if (typeof value === "string") return JSON.stringify(value.length > 40 ? `${value.slice(0, 40)}…` : value);
  if (value instanceof Date && !isDate(value)) return "an invalid Date";
  if (typeof value === "object") return `an object (${value.constructor?.name ?? "without a class"})`;
  return value === undefined ? "undefined" : `a ${typeof value}`;
}

export function refuse(expected: string, value: unknown, place: Place, what: string): never {
  throw fail(codes.wrongType, `${what} takes ${expected}, and was given ${nameOf(value)}`, place);
}

/** A whole number of this range, the number of an entry of the outbox unless it is said otherwise. */
export function checkWhole(what: string, value: number, least = 1, most = Number.MAX_SAFE_INTEGER): number {
  if (Number.isInteger(value) && value >= least && value <= most) return value;
  return refuse(least ? "the number of an entry" : `a whole number from ${least} to ${most}`, value, {}, what);
}

/** What JSON cannot hold would be lost in silence by `JSON.stringify`. */
function checkJson(value: unknown, place: Place, what: string, depth = 0): void {
  if (depth > 120) refuse("JSON of at most 120 levels", value, place, what);
  if (isScalar(value)) return;
  if (Array.isArray(value)) {
    for (const item of value) checkJson(item, place, what, depth + 1);
  } else if (typeof value === "object" && [Object.prototype, null].includes(Object.getPrototypeOf(value))) {
    for (const [name, item] of Object.entries(value as object)) {
      checkJson(name, place, what, depth);
      if (item !== undefined) checkJson(item, place, what, depth + 1);
    }
  } else {
    refuse("JSON: plain objects, arrays, strings, finite numbers, booleans, null", value, place, what);
  }
}

type Test = (value: unknown) => boolean;

const isText: Test = (value) => typeof value === "string" && value.isWellFormed();
const isBoolean: Test = (value) => typeof value === "boolean";
const isBytes: Test = (value) => value instanceof Uint8Array || value instanceof ArrayBuffer;
const isInteger: Test = (value) =>
  Number.isSafeInteger(value) || (typeof value === "bigint" && BigInt.asIntN(64, value) === value);
/** What JSON has a form for. */
const isScalar: Test = (value) => value === null || isBoolean(value) || Number.isFinite(value) || isText(value);
const hasForm =
  (form: RegExp): Test =>
  (value) =>
    typeof value === "string" && form.test(value);

export function isDate(value: unknown): value is Date {
  return value instanceof Date && !Number.isNaN(value.getTime());
}

/** What each type takes, in words and as a test. */
const TYPES: Record<Column["type"], [expected: string, test?: Test]> = {
  text: ["a string of well-formed Unicode", isText],
  uuid: [
    'a string such as "018f7c1e-0000-7000-8000-000000000000"',
    hasForm(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i),
  ],
  integer: ["a whole number (a bigint beyond 2^53)", isInteger],
  float: ["a finite number", Number.isFinite],
  decimal: ['a string such as "12.50"', hasForm(/^-?\d+(\.\d+)?$/)],
  boolean: ["true or false", isBoolean],
  timestamp: [
    'a Date, or a string such as "2026-11-21T08:30:00Z"',
    (value) => typeof value === "string" || isDate(value),
  ],
  date: ['a string such as "2026-11-21"', hasForm(/^\d{4}-\d{2}-\d{2}$/)],
  bytes: ["a Uint8Array", isBytes],
  json: ["JSON"],
};

/** A value that was tested, as it travels. */
function encode(value: unknown): Wire {
  if (typeof value === "bigint") return { i: `${value}` };
  if (value instanceof Date) return { t: value.toISOString() };
  if (value instanceof Uint8Array) return { b: toBase64(value) };
  return value instanceof ArrayBuffer ? encode(new Uint8Array(value)) : (value as Wire);
}

function encodeJson(value: unknown, place: Place, what: string): Wire {
  checkJson(value, place, what);
  return { j: value };
}

/** A cell of a column, checked before it leaves the page. */
export function encodeCell(column: Column, value: unknown, place: Place): Wire {
  const what = place.table ? `${place.table}.${place.column}` : (place.what ?? `the parameter '${place.column}'`);
  if (value === null) return null;
  const [expected, test] = TYPES[column.type];
  if (!test) return encodeJson(value, place, what);
  return test(value) ? encode(value) : refuse(expected, value, place, what);
}

/** Parameters of plain SQL; only their form tells what they are. */
export function encodeParams(params: readonly unknown[]): string {
  const one = (value: unknown, at: number): Wire => {
    const what = `parameter ${at + 1}`;
    if ([isScalar, isInteger, isBytes, isDate].some((test) => test(value))) return encode(value);
    if (typeof value === "object" && !(value instanceof Date)) return encodeJson(value, {}, what);
    const expected = "JSON, a bigint, a valid Date or a Uint8Array";
    return refuse(expected, value, {}, what);
  };
  return JSON.stringify(params.map(one));
}

/** A cell from the engine. */
function decode(wire: Wire): unknown {
  if (typeof wire !== "object" || wire === null) return wire;
  if ("j" in wire) return wire.j;
  if ("i" in wire) return BigInt(wire.i);
  return "b" in wire ? fromBase64(wire.b) : wire;
}

/** Values from the engine, one beside the other. */
export function decodeList(list: string): unknown[] {
  return (JSON.parse(list) as Wire[]).map(decode);
}

/** An answer of the engine, as objects. */
export function decodeRows<Row>(answer: unknown): Row[] {
  const { columns, rows } = JSON.parse(answer as string) as { columns: string[]; rows: unknown[][] };
  return rows.map((cells) => decodeRow<Row>(columns, cells));
}

export function decodeRow<Row>(columns: readonly string[], cells: readonly unknown[]): Row {
  let row: Record<string, unknown> = {};
  for (let at = 0; at < columns.length; at++) {
    const name = columns[at] as string;
    const value = decode(cells[at] as Wire);
    // An assignment to `__proto__` would not make a property.
    if (name === "__proto__") row = { ...row, [name]: value };
    else row[name] = value;
  }
  return row as Row;
}

/** What a name stands for in the schema; `owner` is who has it. */
function named<T>(all: Record<string, T>, name: string, owner: string, what: string, place: Place = {}): T {
  const found = Object.hasOwn(all, name) ? all[name] : undefined;
  if (!found) {
    throw fail(codes.unknownName, `${owner} has no ${what} '${name}'; check the spelling and landfall.toml`, place);
  }
  return found;
}

function tableOf(schema: Schema, name: string): Schema["tables"][string] {
  return named(schema.tables, name, "the schema", "table");
}

/** Cells by the names of their columns; what is `undefined` is left out. */
function encodeCells(
  columns: Record<string, Column>,
  cells: object,
  owner: string,
  what: string,
  table?: string,
): Record<string, Wire> {
  const out: Record<string, Wire> = Object.create(null);
  for (const [column, value] of Object.entries(cells)) {
    const place = { table, column };
    if (value !== undefined) out[column] = encodeCell(named(columns, column, owner, what, place), value, place);
  }
  return out;
}

/** The cells of a row or a patch. */
export function encodeRow(schema: Schema, table: string, row: unknown): Record<string, Wire> {
  const { columns } = tableOf(schema, table);
  if (typeof row !== "object" || row === null || Array.isArray(row)) {
    return refuse("an object of columns", row, { table }, table);
  }
  return encodeCells(columns, row, `'${table}'`, "column", table);
}

/** A key as the list of its parts: the value itself, or an object where the key has several columns. */
export function encodeKey(schema: Schema, table: string, key: unknown): Wire[] {
  const { key: names, columns } = tableOf(schema, table);
  const isOne = names.length === 1;
  return names.map((column) => {
    const value = isOne ? key : (key as Record<string, unknown> | null)?.[column];
    const place = { table, column };
    if (value === undefined || value === null) {
      const form = isOne ? `its '${column}'` : `an object of ${names.join(", ")}`;
      throw fail(codes.badKey, `the key of '${table}' is ${form}; '${column}' is missing`, place);
    }
    return encodeCell(columns[column] as Column, value, place);
  });
}

/** A key from the engine, in the form in which the app gives keys. */
export function decodeKey(schema: Schema, tableName: string, parts: readonly unknown[]): unknown {
  const names = schema.tables[tableName]?.key ?? [];
  return names.length > 1 ? decodeRow(names, parts) : decode((parts[0] ?? null) as Wire);
}

/** A key as text, to compare by. A uuid in either case is the same. */
export function keyText(schema: Schema, table: string, key: unknown): string {
  const { key: names, columns } = tableOf(schema, table);
  const parts = encodeKey(schema, table, key).map((wire, at) =>
    columns[names[at] as string]?.type === "uuid" ? String(wire).toLowerCase() : wire,
  );
  return `${table} ${JSON.stringify(parts)}`;
}

/** The arguments of an action; what is `undefined` is left out, and NULL. Whether they will do is the engine's to say. */
export function encodeArgs(schema: Schema, name: string, args: object | undefined): Record<string, Wire> {
  const action = named(schema.actions ?? {}, name, "the schema", "action");
  return encodeCells(action.args, args ?? {}, `the action '${name}'`, "argument");
}

/** A shape's parameters. */
export function encodeShapeParams(schema: Schema, name: string, params: object | undefined): string {
  const shape = named(schema.shapes, name, "the schema", "shape");
  const out: Record<string, Wire> = {};
  for (const [param, column] of Object.entries(shape.params)) {
    const value = (params as Record<string, unknown> | undefined)?.[param];
    const place = { column: param };
    if (value === undefined) throw fail(codes.wrongType, `the shape '${name}' needs its parameter '${param}'`, place);
    out[param] = encodeCell(column, value, place);
  }
  return JSON.stringify(out);
}

/** A row, or a value of one, as text, to tell whether it is what it was. */
export function print(value: unknown): string {
  return JSON.stringify(value, (_, inner) => (typeof inner === "bigint" ? `${inner}n` : inner));
}
