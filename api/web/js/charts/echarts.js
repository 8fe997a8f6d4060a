// The chart library, loaded when the first chart is needed, and what all charts share.

import { language } from "../i18n.js";

const COMPACT_PX = 560;
let loading = null;

/** Load ECharts once. */
export function echarts() {
  loading ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = new URL("../../vendor/echarts/echarts.common.min.js", import.meta.url).href;
    script.addEventListener("load", () => resolve(globalThis.echarts));
    script.addEventListener("error", () => {
      loading = null;
      reject(new Error("echarts"));
    });
    document.head.append(script);
  });
  return loading;
}

/** The page's colours, as the present colour scheme has them. */
export function palette() {
  const style = getComputedStyle(document.documentElement);
  const of = (name) => style.getPropertyValue(`--${name}`).trim();
  return {
    text: of("text"), muted: of("muted"), line: of("line"), surface: of("surface"), accent: of("accent"),
    above: of("above"), night: of("night"), invalid: of("invalid"), band: of("band"), soft: of("chart-soft"),
    water: of("water"), waterBefore: of("water-before"), font: style.getPropertyValue("--font").trim(),
  };
}

/** A chart in a node that follows its size and the colour scheme. `option` gives the options for a palette and a width. */
export async function chart(node, signal, option) {
  const library = await echarts();
  if (signal.aborted) return null;
  // The names of months and days come from the library: it must speak the page's language, not that of its first chart.
  const locale = language().toUpperCase();
  const instance = library.init(node, null, { renderer: "canvas", useDirtyRect: false, locale });
  let update = option;
  let compact = false;
  const draw = (replace = true) => {
    compact = instance.getWidth() < COMPACT_PX;
    instance.setOption(update(palette(), compact), { notMerge: replace });
  };
  draw();
  const observer = new ResizeObserver(() => {
    instance.resize();
    if (compact !== instance.getWidth() < COMPACT_PX) draw();
  });
  observer.observe(node);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => draw(), { signal });
  signal.addEventListener("abort", () => {
    observer.disconnect();
    instance.dispose();
  });
  return {
    instance,
    set(next, replace = true) {
      update = next;
      if (!signal.aborted) draw(replace);
    },
  };
}

/** A node for a tooltip: head and lines of [colour class, name, value]. No markup is made from data. */
export function tooltipNode(head, lines) {
  const node = document.createElement("div");
  node.className = "tip";
  const title = document.createElement("p");
  title.className = "tip-head";
  title.textContent = head;
  node.append(title);
  for (const [kind, name, value] of lines) {
    const row = document.createElement("p");
    row.className = "tip-row";
    const key = document.createElement("span");
    key.className = `tip-key tip-${kind}`;
    const words = document.createElement("span");
    words.textContent = name;
    const number = document.createElement("strong");
    number.textContent = value;
    row.append(key, words, number);
    node.append(row);
  }
  return node;
}

/** What every tooltip of the page has in common. */
export function tooltipStyle(colours) {
  return {
    trigger: "axis", confine: true, appendTo: undefined, className: "tip-box", backgroundColor: colours.surface, borderColor: colours.line,
    borderWidth: 1, padding: 0, transitionDuration: 0, textStyle: { color: colours.text, fontFamily: colours.font },
    axisPointer: { type: "line", lineStyle: { color: colours.muted, width: 1, type: "solid" } },
  };
}
