// The service worker: the page opens without a connection, and shows what it showed last.

/** Install the worker where the browser has such a thing. */
export function installWorker() {
  if (!("serviceWorker" in navigator)) return;
  navigator.serviceWorker.register("/sw.js").catch(() => {
    // Without TLS on a strange host there is none: everything else works.
  });
}

/** Have the worker forget the data that it kept: somebody logged out. */
export function forgetKept() {
  navigator.serviceWorker?.controller?.postMessage("forget");
}
