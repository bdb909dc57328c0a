// Where two lists are the same: what stays where one is made the other by edits.

/** A run that both have: from where in the one, from where in the other, and how long it is. */
export type Run = readonly [a: number, b: number, length: number];

/** With more that differs than this the search would take too long; then what lies between the same ends is one difference. */
const MOST_STEPS = 1_000;

/** The runs that two lists have in common, in order, so that as much as possible is in one. */
export function common(a: readonly string[], b: readonly string[]): Run[] {
  const [from, left] = ends(a, b);
  const inside = between(a.slice(from, a.length - left), b.slice(from, b.length - left));
  const runs: Run[] = [[0, 0, from], ...inside.map(([x, y, length]): Run => [x + from, y + from, length])];
  runs.push([a.length - left, b.length - left, left]);
  return runs.filter(([, , length]) => length > 0);
}

/** How many are the same at the beginning, and of the rest at the end. */
export function ends(a: readonly string[], b: readonly string[]): [from: number, left: number] {
  const most = Math.min(a.length, b.length);
  let from = 0;
  while (from < most && a[from] === b[from]) from++;
  let left = 0;
  while (left < most - from && a[a.length - 1 - left] === b[b.length - 1 - left]) left++;
  return [from, left];
}

/** E. W. Myers, An O(ND) Difference Algorithm: how far one comes along each diagonal, with ever more steps beside it. */
function between(a: readonly string[], b: readonly string[]): Run[] {
  if (a.length === 0 || b.length === 0) return [];
  const most = Math.min(a.length + b.length, MOST_STEPS);
  const reach = new Int32Array(2 * most + 3);
  const trace: Int32Array[] = [];
  for (let steps = 0; steps <= most; steps++) {
    for (let k = -steps; k <= steps; k += 2) {
      let x = down(reach, most, steps, k) ? at(reach, most, k + 1) : at(reach, most, k - 1) + 1;
      while (x < a.length && x - k < b.length && a[x] === b[x - k]) x++;
      reach[k + most + 1] = x;
      if (x >= a.length && x - k >= b.length) return walked(trace, most, a.length, b.length);
    }
    trace.push(reach.slice());
  }
  return [];
}

const at = (reach: Int32Array, most: number, k: number) => reach[k + most + 1] ?? 0;

/** Whether the way to a diagonal comes from the one above it. */
function down(reach: Int32Array, most: number, steps: number, k: number): boolean {
  return k === -steps || (k !== steps && at(reach, most, k - 1) < at(reach, most, k + 1));
}

/** The way back, from the end. */
function walked(trace: readonly Int32Array[], most: number, a: number, b: number): Run[] {
  const runs: Run[] = [];
  let [x, y] = [a, b];
  for (let steps = trace.length; steps >= 0; steps--) {
    const reach = trace[steps - 1];
    const k = x - y;
    const before = reach === undefined ? 0 : down(reach, most, steps, k) ? k + 1 : k - 1;
    const px = reach === undefined ? 0 : at(reach, most, before);
    const py = px - before;
    // What is the same comes after the step.
    const begin = reach === undefined ? 0 : before > k ? px : px + 1;
    if (x > begin) runs.push([begin, begin - k, x - begin]);
    [x, y] = [px, py];
  }
  return runs.reverse();
}
