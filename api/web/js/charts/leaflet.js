// The map library, loaded when the first map is needed.

let loading = null;

/** Load Leaflet and its styles once. */
export function leaflet() {
  loading ??= Promise.all([style("leaflet.css"), script("leaflet.js")]).then(
    () => globalThis.L,
    (error) => {
      loading = null;
      throw error;
    },
  );
  return loading;
}

function script(name) {
  return loaded("script", (node, address) => { node.src = address; }, name);
}

function style(name) {
  return loaded("link", (node, address) => { node.rel = "stylesheet"; node.href = address; }, name);
}

function loaded(tag, point, name) {
  return new Promise((resolve, reject) => {
    const node = document.createElement(tag);
    point(node, new URL(`../../vendor/leaflet/${name}`, import.meta.url).href);
    node.addEventListener("load", resolve);
    node.addEventListener("error", () => reject(new Error(name)));
    document.head.append(node);
  });
}
