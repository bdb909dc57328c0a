// The SDK's worker as it is, and beside it what tells how long the engine's own part takes.

import "@landfall/client/worker";
import { Client, initSync } from "../../wasm/landfall_client_web.js";

let writes = [];
/** The longest call into the engine: no other call is answered meanwhile. */
let longest = 0;

for (const name of Object.getOwnPropertyNames(Client.prototype)) {
  const call = Client.prototype[name];
  if (name === "constructor" || typeof call !== "function") continue;
  Client.prototype[name] = function (...args) {
    const start = performance.now();
    const value = call.apply(this, args);
    const ms = performance.now() - start;
    longest = Math.max(longest, ms);
    if (name === "write") writes.push(ms);
    return value;
  };
}

const line = new BroadcastChannel("measured");
line.onmessage = () => {
  // The module was made by the SDK; asked again it hands out what it made.
  line.postMessage({ writes, longest, bytes: initSync().memory.buffer.byteLength });
  [writes, longest] = [[], 0];
};
