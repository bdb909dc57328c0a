// The worker on a disk that is full from a write on that is told by name.
import "./patch-full.js";
import "/dist/worker.js";
