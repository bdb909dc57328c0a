// The service worker's life, as the page sees it: a new version waits until the person takes it, and then every tab
// takes it at once, so that no tab runs one version's page with another one's files.

const HOURLY_MS = 3_600_000;

let waiting = $state.raw<ServiceWorker | null>(null);
let leaving = false;

export const updates = {
  get ready(): boolean {
    return waiting !== null;
  },
  take(): void {
    waiting?.postMessage("take-over");
  },
};

/** `beforeReload` keeps what is being typed. */
export async function watchUpdates(beforeReload: () => Promise<void>): Promise<void> {
  // While developing there is no build, and in some private windows there are no service workers: then without.
  if (!import.meta.env.PROD || !("serviceWorker" in navigator)) return;
  const container = navigator.serviceWorker;
  // The first one only begins to serve the page that fetched it; it changes nothing.
  const controlled = container.controller !== null;
  container.addEventListener("controllerchange", async () => {
    if (!controlled || leaving) return;
    leaving = true;
    await beforeReload();
    location.reload();
  });
  try {
    const registration = await container.register("/sw.js", { updateViaCache: "none" });
    const found = (worker: ServiceWorker | null) => {
      if (worker === null) return;
      const look = () => {
        if (worker.state === "installed" && container.controller !== null) waiting = worker;
      };
      worker.addEventListener("statechange", look);
      look();
    };
    found(registration.waiting ?? registration.installing);
    registration.addEventListener("updatefound", () => found(registration.installing));
    const look = () => void registration.update().catch(() => undefined);
    setInterval(look, HOURLY_MS);
    window.addEventListener("online", look);
  } catch (problem) {
    // The app works all the same, only not from a cold start without a network; settings say so.
    console.warn("no service worker:", problem);
  }
}
