// The service worker: keeps one whole version of the app, so that it starts without a network. Data is none of its
// business: what the app stores is in its database, and what it syncs never passes here.

const scope = self as unknown as ServiceWorkerGlobalScope;

/** Every file of this version and its digest; written here by the build. */
const KEPT = "@@PRECACHE@@" as unknown as readonly (readonly [path: string, integrity: string])[];
const PREFIX = "journal-";
/** The digests name the version: the same files are the same version. */
const VERSION = PREFIX + fingerprint(KEPT.map(([path, integrity]) => path + integrity).join());
const PATHS = new Set(KEPT.map(([path]) => path));

/** 53 bits are plenty to tell the versions of one app apart. */
function fingerprint(text: string): string {
  let [a, b] = [0xdeadbeef, 0x41c6ce57];
  for (let i = 0; i < text.length; i++) {
    a = Math.imul(a ^ text.charCodeAt(i), 2654435761);
    b = Math.imul(b ^ text.charCodeAt(i), 1597334677);
  }
  return ((a ^ (b >>> 15)) >>> 0).toString(36) + ((b ^ (a >>> 13)) >>> 0).toString(36);
}

/**
 * All files or none. A digest that does not fit means that the server changed versions meanwhile: then this version is not
 * installed, the one that is there goes on, and the browser tries again later.
 */
async function install(): Promise<void> {
  const cache = await caches.open(VERSION);
  const requests = KEPT.map(([path, integrity]) => new Request(path, { integrity, cache: "no-cache" }));
  try {
    await cache.addAll(requests);
  } catch (problem) {
    await caches.delete(VERSION);
    throw problem;
  }
}

/** Pages go on with the version that they began with: a new one waits here until a page asks for it. */
async function activate(): Promise<void> {
  const names = await caches.keys();
  await Promise.all(
    names.filter((name) => name.startsWith(PREFIX) && name !== VERSION).map((name) => caches.delete(name)),
  );
  await scope.clients.claim();
}

/** What is kept is answered from the cache alone; everything else is not touched. */
function keptPath(request: Request): string | null {
  const url = new URL(request.url);
  if (request.method !== "GET" || url.origin !== scope.location.origin) return null;
  if (PATHS.has(url.pathname)) return url.pathname;
  // The page is one, whatever the path; what names a file, or belongs to the server, is no page.
  const page = request.mode === "navigate" && !/^\/(v1|health|metrics)(\/|$)|\.[^/]*$/.test(url.pathname);
  return page ? "/index.html" : null;
}

async function answer(path: string, request: Request): Promise<Response> {
  const cache = await caches.open(VERSION);
  // Without the cache, which a person may have emptied, the network is the next best.
  return (await cache.match(path)) ?? fetch(request);
}

scope.addEventListener("install", (event) => event.waitUntil(install()));
scope.addEventListener("activate", (event) => event.waitUntil(activate()));
scope.addEventListener("fetch", (event) => {
  const path = keptPath(event.request);
  if (path !== null) event.respondWith(answer(path, event.request));
});
scope.addEventListener("message", (event) => {
  if (event.data === "take-over") event.waitUntil(scope.skipWaiting());
});
