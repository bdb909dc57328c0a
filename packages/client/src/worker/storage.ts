// The origin private file system: whether it is there, and which folder is the database's.

import { files } from "./gather.js";

/** Where the folders of all databases are. */
const ROOT = "landfall";

export interface Place {
  directory: string;
  generation: number;
}

async function folderOf(name: string): Promise<FileSystemDirectoryHandle> {
  const origin = await navigator.storage.getDirectory();
  const root = await origin.getDirectoryHandle(ROOT, { create: true });
  return root.getDirectoryHandle(name, { create: true });
}

/**
 * The database's folder; `null` where the browser has no such storage, or denies it. A damaged database is left in its
 * folder, and the next generation begins in another one.
 */
export async function place(name: string): Promise<Place | null> {
  if (!files?.createSyncAccessHandle || !navigator.storage?.getDirectory) return null;
  let folder: FileSystemDirectoryHandle;
  try {
    folder = await folderOf(name);
  } catch (thrown) {
    if (thrown instanceof DOMException && isDenied(thrown.name)) return null;
    throw thrown;
  }
  const all: number[] = [];
  for await (const entry of folder.keys()) {
    if (/^\d+$/.test(entry)) all.push(Number(entry));
  }
  const generation = Math.max(0, ...all);
  // What is older than the last damaged one helps nobody any more. It may still be in use by a tab that is ending.
  for (const old of all) {
    if (old < generation - 1) await folder.removeEntry(`${old}`, { recursive: true }).catch(() => undefined);
  }
  return { directory: `${ROOT}/${name}/${generation}`, generation };
}

/** Puts the damaged generation aside: from now on the next one is the database's folder. */
export async function nextGeneration(name: string, damaged: number): Promise<void> {
  await (await folderOf(name)).getDirectoryHandle(`${damaged + 1}`, { create: true });
}

/** Whether the browser says that there is no such storage for this page, rather than that something is in its way. */
export function isDenied(exception: string | null | undefined): boolean {
  return /^(Security|NotAllowed|NotSupported|Unknown)Error$/.test(`${exception}`);
}

/** Whether another worker still holds the files. */
export function isInUse(exception: string | null | undefined): boolean {
  return /^(NoModificationAllowed|InvalidState)Error$/.test(`${exception}`);
}
