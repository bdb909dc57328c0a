// The SDK's worker as it is, and beside it what tells how long the engine's own part of a write takes.

import "@landfall/client/worker";
import { Client, initSync } from "../../wasm/landfall_client_web.js";

let writes = [];
const write = Client.prototype.write;
Client.prototype.write = function (...args) {
  const start = performance.now();
  const value = write.apply(this, args);
  writes.push(performance.now() - start);
  return value;
};

const line = new BroadcastChannel("measured");
line.onmessage = () => {
  // The module was made by the SDK; asked again it hands out what it made.
  line.postMessage({ writes, bytes: initSync().memory.buffer.byteLength });
  writes = [];
};
