// The worker's script: nothing but a tab and its page.

import type { ToPage, ToWorker } from "./protocol.js";
import { dataOf } from "./worker/failure.js";
import { gatherWrites } from "./worker/gather.js";
import { Tab } from "./worker/tab.js";

const scope = self as unknown as {
  postMessage(message: ToPage): void;
  onmessage: ((event: MessageEvent<ToWorker>) => void) | null;
};
gatherWrites();
const tab = new Tab((message) => scope.postMessage(message));
scope.onmessage = (event) => void tab.hear(event.data);

// What nobody expected must not pass without a word.
self.addEventListener("unhandledrejection", (event) => {
  console.error(`landfall: ${dataOf((event as PromiseRejectionEvent).reason).message}`);
});
