// Files as the worker gets them, beside what they should hold: thousands of calls in any order, and what is on the disk
// after each flush.
import { gatherWrites } from "/dist/worker/gather.js";

const real = FileSystemSyncAccessHandle.prototype.write;
let calls = 0;
let isFull = false;
FileSystemSyncAccessHandle.prototype.write = function (...args) {
  calls += 1;
  if (isFull) throw new DOMException("No space.", "QuotaExceededError");
  return real.apply(this, args);
};
gatherWrites();

/** Numbers that look random, the same in each run. */
function dice(seed) {
  let state = seed;
  return (most) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * most);
  };
}

const same = (a, b) => a.length === b.length && a.every((byte, at) => byte === b[at]);

async function run(seed) {
  const folder = await navigator.storage.getDirectory();
  const file = await folder.getFileHandle(`gather-${seed}`, { create: true });
  const handle = await file.createSyncAccessHandle();
  const draw = dice(seed);
  let model = new Uint8Array(0);
  let at = 0;
  let written = 0;
  /** Whether the disk took it: what it did not take never happened, and takes nothing from what did. */
  const taken = (call) => {
    try {
      call();
      return true;
    } catch {
      return false;
    }
  };
  for (let step = 0; step < 3_000; step++) {
    // The disk is full now and then, for a while.
    if (draw(isFull ? 10 : 100) === 0) isFull = !isFull;
    const what = draw(100);
    if (what < 80) {
      // Mostly on where the last one ended, as SQLite writes its log.
      if (draw(8) === 0) at = draw(model.length + 1);
      const bytes = new Uint8Array(draw(10) === 0 ? 65_536 : 1 + draw(4_096)).fill(draw(256));
      if (!taken(() => handle.write(bytes, { at }))) continue;
      const grown = new Uint8Array(Math.max(model.length, at + bytes.length));
      grown.set(model);
      grown.set(bytes, at);
      model = grown;
      at += bytes.length;
      written += 1;
    } else if (what < 88) {
      const from = draw(model.length + 1);
      const into = new Uint8Array(1 + draw(8_192)).fill(1);
      const count = handle.read(into, { at: from });
      if (!same(into.subarray(0, count), model.subarray(from, from + into.length)))
        return `wrong bytes at step ${step}`;
    } else if (what < 92) {
      if (handle.getSize() !== model.length) return `wrong size at step ${step}`;
    } else if (what < 95) {
      const size = draw(Math.min(model.length, 1 << 20) + 1);
      if (!taken(() => handle.truncate(size))) continue;
      model = model.slice(0, size);
      at = Math.min(at, size);
    } else if (taken(() => handle.flush())) {
      const stored = new Uint8Array(await (await file.getFile()).arrayBuffer());
      if (!same(stored, model)) return `not on the disk after the flush of step ${step}`;
    }
  }
  isFull = false;
  handle.flush();
  handle.close();
  await folder.removeEntry(`gather-${seed}`);
  return { written };
}

self.onmessage = async () => {
  const found = [];
  for (const seed of [1, 2, 3]) found.push(await run(seed));
  const written = found.reduce((sum, { written }) => sum + written, 0);
  self.postMessage({ problems: found.filter((one) => typeof one === "string"), written, calls });
};
