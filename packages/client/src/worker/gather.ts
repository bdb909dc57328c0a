// SQLite writes its log page by page, each in two pieces, and a call into a file costs ten times what the copying of its
// bytes does. Here writes that go on where the one before ended wait for each other and reach the file together, at the
// latest when it is flushed, which is when a commit becomes durable. What was never flushed was promised to nobody.

/** What waits at most. SQLite's largest write is a quarter of it. */
const MOST = 1 << 18;

/** What the pool of files calls. */
export interface Handle {
  read(into: Uint8Array, options: { at: number }): number;
  write(bytes: Uint8Array, options: { at: number }): number;
  truncate(size: number): void;
  getSize(): number;
  flush(): void;
  close(): void;
}

/**
 * The same handle, with writes that wait. When the disk does not take them they go on waiting, and the call that cannot go
 * on without them fails: SQLite counts on all that it wrote, whatever became of its transaction. Reading needs no room.
 */
export function gathering(handle: Handle): Handle {
  const waiting = new Uint8Array(MOST);
  let from = 0;
  let size = 0;
  const spill = () => {
    if (size && handle.write(waiting.subarray(0, size), { at: from }) < size) throw new Error("cut short");
    size = 0;
  };
  return {
    read(into, { at }) {
      const count = handle.read(into, { at });
      const start = Math.max(at, from);
      const end = Math.min(at + into.length, from + size);
      if (start >= end) return count;
      into.fill(0, count).set(waiting.subarray(start - from, end - from), start - at);
      return Math.max(count, end - at);
    },
    write(bytes, { at }) {
      if (at !== from + size || size + bytes.length > MOST) spill();
      if (!size) from = at;
      waiting.set(bytes, size);
      size += bytes.length;
      return bytes.length;
    },
    truncate(to) {
      spill();
      handle.truncate(to);
    },
    flush() {
      spill();
      handle.flush();
    },
    getSize: () => Math.max(handle.getSize(), size && from + size),
    close: () => handle.close(),
  };
}

/** Where a worker gets its files from; nothing where it gets none. */
export const files = globalThis.FileSystemFileHandle?.prototype as unknown as
  | { createSyncAccessHandle?(): Promise<Handle> }
  | undefined;

/** From now on the files that this worker opens gather what is written to them. */
export function gatherWrites(): void {
  if (!files?.createSyncAccessHandle) return;
  const make = files.createSyncAccessHandle;
  files.createSyncAccessHandle = async function () {
    return gathering(await make.call(this));
  };
}
