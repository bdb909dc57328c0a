// The worker, with a statement that makes the engine panic.
import "./patch-panic.js";
import "/dist/worker.js";
