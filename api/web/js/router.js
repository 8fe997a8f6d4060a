// Addresses of the page: everything after "#", so that any view can be linked to.

/** The address of a view: path("site", "quiet-garden", "noise") gives "#/site/quiet-garden/noise". */
export function path(...parts) {
  return `#/${parts.filter((one) => one !== null && one !== undefined && one !== "").map(encodeURIComponent).join("/")}`;
}

/** The parts and the query of the present address. */
export function here() {
  const [way, search = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const parts = way.split("/").filter(Boolean).map((one) => {
    try {
      return decodeURIComponent(one);
    } catch {
      return one;
    }
  });
  return { parts, query: new URLSearchParams(search) };
}

/**
 * Change the address without a new entry in the history and without showing the view anew. Nothing happens where the
 * address has left `within` meanwhile: a view that is just going must not write into the history of the next one.
 */
export function rewrite(address, within) {
  if (`${location.hash}/`.startsWith(`${within}/`)) history.replaceState(null, "", address);
}

/** Go to an address. */
export function go(address) {
  location.hash = address.replace(/^#/, "");
}
