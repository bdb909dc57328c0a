// The worker on a device whose clock is ten years ahead.
import "./patch-clock.js";
import "/dist/worker.js";
