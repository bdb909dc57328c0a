// The public face of the SDK.

export { openDatabase } from "./client.js";
export { LandfallError } from "./error.js";
export type * from "./types.js";
