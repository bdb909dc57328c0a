// Values on their way to the engine and back. What JSON has no form for is wrapped in an object of one key: `i` an
// integer beyond 2^53, `b` bytes in base64, `j` a JSON value, `t` an instant. crates/client-web/src/json.rs is the other
// side.

import { codes, fail } from "./error.js";
import type { Column, Schema } from "./types.js";

type Wire = null | boolean | number | string | { i: string } | { b: string } | { j: unknown } | { t: string };

interface Place {
  table?: string;
  column?: string;
}

/** Types that are strings of one form. */
const FORMS: { [type in Column["type"]]?: RegExp } = {
  uuid: /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i,
  decimal: /^-?\d+(\.\d+)?$/,
  date: /^\d{4}-\d{2}-\d{2}$/,
};

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
  if (value instanceof Date && Number.isNaN(value.getTime())) return "an invalid Date";
  if (typeof value === "object") return `an object (${value.constructor?.name ?? "without a class"})`;
  return `${/^[aeiou]/.test(typeof value) ? "an" : "a"} ${typeof value}`;
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
  if (value === null || typeof value === "boolean") return;
  if (typeof value === "number" && Number.isFinite(value)) return;
  if (typeof value === "string" && value.isWellFormed()) return;
  if (Array.isArray(value)) {
    for (const item of value) checkJson(item, place, what, depth + 1);
    return;
  }
  if (typeof value === "object" && [Object.prototype, null].includes(Object.getPrototypeOf(value))) {
    for (const [name, item] of Object.entries(value)) {
      checkJson(name, place, what, depth);
      if (item !== undefined) checkJson(item, place, what, depth + 1);
    }
    return;
  }
  refuse("JSON: plain objects, arrays, strings, finite numbers, booleans, null", value, place, what);
}

function integer(value: number | bigint): Wire | undefined {
  if (typeof value === "number") return Number.isSafeInteger(value) ? value : undefined;
  return BigInt.asIntN(64, value) === value ? { i: value.toString() } : undefined;
}

function instant(value: unknown): Wire | undefined {
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? undefined : { t: value.toISOString() };
  return typeof value === "string" ? value : undefined;
}

function bytes(value: unknown): Wire | undefined {
  if (value instanceof Uint8Array) return { b: toBase64(value) };
  return value instanceof ArrayBuffer ? { b: toBase64(new Uint8Array(value)) } : undefined;
}

function ofType({ type }: Column, value: unknown): Wire | undefined {
  const form = FORMS[type];
  if (form) return typeof value === "string" && form.test(value) ? value : undefined;
  switch (type) {
    case "text":
      return typeof value === "string" && value.isWellFormed() ? value : undefined;
    case "integer":
      return typeof value === "number" || typeof value === "bigint" ? integer(value) : undefined;
    case "float":
      return typeof value === "number" && Number.isFinite(value) ? value : undefined;
    case "boolean":
      return typeof value === "boolean" ? value : undefined;
    case "timestamp":
      return instant(value);
    case "bytes":
      return bytes(value);
  }
  return undefined;
}

const EXPECTED: Record<Column["type"], string> = {
  text: "a string of well-formed Unicode",
  uuid: 'a string such as "018f7c1e-0000-7000-8000-000000000000"',
  integer: "a whole number (a bigint beyond 2^53)",
  float: "a finite number",
  decimal: 'a string such as "12.50"',
  boolean: "true or false",
  timestamp: 'a Date, or a string such as "2026-11-21T08:30:00Z"',
  date: 'a string such as "2026-11-21"',
  bytes: "a Uint8Array",
  json: "JSON",
};

/** A cell of a column, checked before it leaves the page. */
export function encodeCell(column: Column, value: unknown, place: Place): Wire {
  const what = place.table ? `${place.table}.${place.column}` : `the parameter '${place.column}'`;
  if (value === null) return null;
  if (column.type === "json") {
    checkJson(value, place, what);
    return { j: value };
  }
  return ofType(column, value) ?? refuse(EXPECTED[column.type], value, place, what);
}

/** Parameters of plain SQL; only their form tells what they are. */
export function encodeParams(params: readonly unknown[]): string {
  const one = (value: unknown, at: number): Wire => {
    const what = `parameter ${at + 1}`;
    const wire = plain(value);
    if (wire !== undefined) return wire;
    if (typeof value === "object" && value !== null && !(value instanceof Date)) {
      checkJson(value, {}, what);
      return { j: value };
    }
    return refuse(
      "null, a boolean, a finite number, a bigint, a string, a valid Date, a Uint8Array or JSON",
      value,
      {},
      what,
    );
  };
  return JSON.stringify(params.map(one));
}

function plain(value: unknown): Wire | undefined {
  if (value === null || typeof value === "boolean") return value;
  if (typeof value === "number") return Number.isFinite(value) ? value : undefined;
  if (typeof value === "bigint") return integer(value);
  if (typeof value === "string") return value.isWellFormed() ? value : undefined;
  return bytes(value) ?? (value instanceof Date ? instant(value) : undefined);
}

/** A cell from the engine. */
function decode(wire: Wire): unknown {
  if (typeof wire !== "object" || wire === null) return wire;
  if ("j" in wire) return wire.j;
  if ("i" in wire) return BigInt(wire.i);
  return "b" in wire ? fromBase64(wire.b) : wire;
}

/** An answer of the engine, as objects. */
export function decodeRows<Row>(answer: unknown): Row[] {
  const { columns, rows } = JSON.parse(answer as string) as { columns: string[]; rows: unknown[][] };
  return rows.map((cells) => decodeRow<Row>(columns, cells));
}

export function decodeRow<Row>(columns: readonly string[], cells: readonly unknown[]): Row {
  const row: Record<string, unknown> = {};
  for (let at = 0; at < columns.length; at++) {
    const name = columns[at] as string;
    const value = decode(cells[at] as Wire);
    // An assignment to `__proto__` would not make a property.
    if (name === "__proto__")
      Object.defineProperty(row, name, { value, enumerable: true, configurable: true, writable: true });
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

/** The cells of a row or a patch; what is `undefined` is left out. */
export function encodeRow(schema: Schema, tableName: string, row: unknown): Record<string, Wire> {
  const table = tableOf(schema, tableName);
  if (typeof row !== "object" || row === null || Array.isArray(row)) {
    refuse("an object of columns", row, { table: tableName }, tableName);
  }
  const out: Record<string, Wire> = Object.create(null);
  for (const [name, value] of Object.entries(row)) {
    if (value === undefined) continue;
    const place = { table: tableName, column: name };
    const column = named(table.columns, name, `'${tableName}'`, "column", place);
    out[name] = encodeCell(column, value, place);
  }
  return out;
}

/** A key as the list of its parts: the value itself, or an object where the key has several columns. */
export function encodeKey(schema: Schema, tableName: string, key: unknown): Wire[] {
  const table = tableOf(schema, tableName);
  const parts =
    table.key.length === 1 ? [key] : table.key.map((name) => (key as Record<string, unknown> | null)?.[name]);
  return table.key.map((name, at) => {
    const value = parts[at];
    if (value === undefined || value === null) {
      const form = table.key.length === 1 ? `its '${name}'` : `an object of ${table.key.join(", ")}`;
      throw fail(codes.badKey, `the key of '${tableName}' is ${form}; '${name}' is missing`, {
        table: tableName,
        column: name,
      });
    }
    return encodeCell(table.columns[name] as Column, value, { table: tableName, column: name });
  });
}

/** A key from the engine, in the form in which the app gives keys. */
export function decodeKey(schema: Schema, tableName: string, parts: readonly unknown[]): unknown {
  const names = schema.tables[tableName]?.key ?? [];
  return names.length > 1 ? decodeRow(names, parts) : decode((parts[0] ?? null) as Wire);
}

/** A key as text, to compare by. A uuid in either case is the same. */
export function keyText(schema: Schema, tableName: string, key: unknown): string {
  const parts = encodeKey(schema, tableName, key);
  const { key: names, columns } = tableOf(schema, tableName);
  const isUuid = (at: number) => columns[names[at] as string]?.type === "uuid";
  const form = (wire: Wire, at: number) => (isUuid(at) ? String(wire).toLowerCase() : wire);
  return `${tableName} ${JSON.stringify(parts.map(form))}`;
}

/** The arguments of an action; what is `undefined` is left out, and NULL. Whether they will do is the engine's to say. */
export function encodeArgs(schema: Schema, name: string, args: object | undefined): Record<string, Wire> {
  const action = named(schema.actions ?? {}, name, "the schema", "action");
  const out: Record<string, Wire> = Object.create(null);
  for (const [arg, value] of Object.entries(args ?? {})) {
    if (value === undefined) continue;
    const column = named(action.args, arg, `the action '${name}'`, "argument", { column: arg });
    out[arg] = encodeCell(column, value, { column: arg });
  }
  return out;
}

/** A shape's parameters. */
export function encodeShapeParams(schema: Schema, name: string, params: object | undefined): string {
  const shape = named(schema.shapes, name, "the schema", "shape");
  const out: Record<string, Wire> = {};
  for (const [param, column] of Object.entries(shape.params)) {
    const value = (params as Record<string, unknown> | undefined)?.[param];
    if (value === undefined)
      throw fail(codes.wrongType, `the shape '${name}' needs its parameter '${param}'`, { column: param });
    out[param] = encodeCell(column, value, { column: param });
  }
  return JSON.stringify(out);
}
