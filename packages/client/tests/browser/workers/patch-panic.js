import { Client, initSync } from "/wasm/landfall_client_web.js";

const query = Client.prototype.query;
Client.prototype.query = function (sql, params) {
  // No allocator has such a piece of memory: the module aborts, as it does at the end of every panic.
  if (sql.includes("panic please")) initSync().__wbindgen_malloc(2 ** 32 - 16, 8);
  return query.call(this, sql, params);
};
