import { Client } from "/wasm/landfall_client_web.js";

const query = Client.prototype.query;
Client.prototype.query = function (sql, params) {
  if (sql.includes("panic please")) this.panicForTests();
  return query.call(this, sql, params);
};
