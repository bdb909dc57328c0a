// The worker in a browser that lets the page store nothing.
import "./patch-denied.js";
import "/dist/worker.js";
