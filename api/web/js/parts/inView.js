// Which of many nodes are on the screen, or nearly: of a thousand quarters only those need to be kept up to date.

/** Watch nodes as long as the signal lasts. `watch(node, changed)` calls `changed(whether it is on the screen)`. */
export function inView(signal, margin = "200px") {
  const watched = new WeakMap();
  const observer = new IntersectionObserver((entries) => {
    for (const one of entries) watched.get(one.target)?.(one.isIntersecting);
  }, { rootMargin: margin });
  signal.addEventListener("abort", () => observer.disconnect());
  return {
    watch(node, changed) {
      watched.set(node, changed);
      observer.observe(node);
    },
    leave(node) {
      watched.delete(node);
      observer.unobserve(node);
    },
  };
}
