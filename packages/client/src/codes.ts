// The codes that the SDK itself gives. Each stands alone, so that a bundler leaves out what a script does not use.

export const wrongType = "LF-2001";
export const unknownName = "LF-2007";
export const badKey = "LF-2008";
export const overloaded = "LF-4009";
export const storage = "LF-5004";
export const full = "LF-5005";
export const damaged = "LF-5009";
export const transactionEnded = "LF-5024";
export const closed = "LF-5901";
export const noServer = "LF-5902";
export const panicked = "LF-5910";
export const ownerGone = "LF-5911";
export const ownerSilent = "LF-5912";
export const otherVersion = "LF-5913";
export const script = "LF-5914";
export const module = "LF-5915";
export const insecure = "LF-5916";
export const nothingStored = "LF-5917";
export const idle = "LF-5918";
export const inUse = "LF-5919";
export const notLandfall = "LF-5920";
export const unreachable = "LF-5921";
export const functions = "LF-5923";
export const notHere = "LF-5924";
export const other = "LF-5930";
