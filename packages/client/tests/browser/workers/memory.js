// The worker in a browser that has no files for pages, as private windows of some browsers have none.
import "./patch-memory.js";
import "/dist/worker.js";
