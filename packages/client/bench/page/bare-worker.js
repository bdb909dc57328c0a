// The bare module's worker: one call at a time, answered with what it took.

import init, { open } from "bare-module";

let bare;
let memory;

/** One tab holds the files, as the engine's tabs have it; the next one gets them when they are free. */
async function opened(directory) {
  await new Promise((resolve) => {
    // Held until this worker ends.
    navigator.locks.request(directory, () => {
      resolve();
      return new Promise(() => undefined);
    });
  });
  for (;;) {
    try {
      bare = await open(directory);
      return null;
    } catch (error) {
      if (!String(error).includes("NoModificationAllowed")) throw error;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }
}

async function carryOut(name, args) {
  if (name === "open") {
    ({ memory } = await init());
    return opened(...args);
  }
  if (name === "memory") return memory.buffer.byteLength;
  return bare[name](...args) ?? null;
}

self.onmessage = async ({ data: { id, name, args } }) => {
  const start = performance.now();
  try {
    const value = await carryOut(name, args);
    self.postMessage({ id, value, ms: performance.now() - start });
  } catch (error) {
    self.postMessage({ id, error: String(error) });
  }
};
