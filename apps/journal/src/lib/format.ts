// Dates and sizes, in the words of the person's own language settings.

const DAY = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
const DAY_AND_YEAR = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", year: "numeric" });
const LONG = new Intl.DateTimeFormat(undefined, { weekday: "long", day: "numeric", month: "long", year: "numeric" });
const TIME = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const MOMENT = new Intl.DateTimeFormat(undefined, {
  weekday: "short",
  day: "numeric",
  month: "short",
  hour: "2-digit",
  minute: "2-digit",
});
const COUNT = new Intl.NumberFormat();

/** `14:05` today, `21 Nov` this year, `21 Nov 2025` before. */
export function short(at: string | Date, now = new Date()): string {
  const date = new Date(at);
  if (Number.isNaN(date.getTime())) return "";
  if (date.toDateString() === now.toDateString()) return TIME.format(date);
  return (date.getFullYear() === now.getFullYear() ? DAY : DAY_AND_YEAR).format(date);
}

export function long(at: string | Date): string {
  const date = new Date(at);
  return Number.isNaN(date.getTime()) ? "" : LONG.format(date);
}

/** `Sat, 21 Nov, 14:05`, with the year when it is another one. */
export function moment(at: string | Date, now = new Date()): string {
  const date = new Date(at);
  if (Number.isNaN(date.getTime())) return "";
  const year = date.getFullYear() === now.getFullYear() ? "" : ` ${date.getFullYear()}`;
  return MOMENT.format(date) + year;
}

export function count(number: number): string {
  return COUNT.format(number);
}

export function plural(number: number, one: string, many: string): string {
  return `${count(number)} ${number === 1 ? one : many}`;
}

export function bytes(size: number): string {
  const units = ["byte", "kilobyte", "megabyte", "gigabyte"];
  const power = size < 1 ? 0 : Math.min(Math.floor(Math.log10(size) / 3), units.length - 1);
  const unit = units[power] ?? "byte";
  // The short form of bytes has no plural.
  const unitDisplay = power === 0 ? "long" : "short";
  return new Intl.NumberFormat(undefined, { style: "unit", unit, unitDisplay, maximumFractionDigits: 1 }).format(
    size / 1000 ** power,
  );
}

/** An error's words as a sentence of their own; their code stands elsewhere. */
export function sentence(words: string): string {
  const bare = words.replace(/\s*\[LF-\d{4}\]$/, "");
  const whole = /[.!?]$/.test(bare) ? bare : `${bare}.`;
  return whole.charAt(0).toUpperCase() + whole.slice(1);
}
