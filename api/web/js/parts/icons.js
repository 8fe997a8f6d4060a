// Small pictures, drawn here. They carry no meaning alone: words stand beside them.

import { s } from "../dom.js";

const PATHS = {
  drop: "M8 1.8c3 3.700 4.700 6 4.700 8.300a4.700 4.700 0 0 1-9.400 0C3.300 7.800 5 5.500 8 1.800z",
  sound: "M1.500 8h2l1.500-3.500L7.500 12 10 4l1.500 4h3",
  bell: "M8 2a4 4 0 0 0-4 4v3l-1.300 2.200h10.600L12 9V6a4 4 0 0 0-4-4zM6.500 13.200a1.600 1.600 0 0 0 3 0",
  device: "M3 3.500h10v7H3zM6 13.500h4M8 10.500v3",
  user: "M8 8.200a3 3 0 1 0 0-6 3 3 0 0 0 0 6zM2.500 14c.6-2.900 2.800-4.300 5.500-4.300s4.900 1.400 5.500 4.300",
  cards: "M2.500 3h4.500v4.500H2.500zM9 3h4.500v4.500H9zM2.500 9.500h4.500V14H2.500zM9 9.500h4.500V14H9z",
  table: "M2 3.500h12v9.500H2zM2 6.700h12M2 9.900h12M6.500 3.500V13",
  map: "M2 4l4-1.500 4 1.500 4-1.500v9.500l-4 1.500-4-1.500-4 1.500zM6 2.500v9.500M10 4v9.500",
  photo: "M2 5h3l1-1.700h4l1 1.700h3v8H2zM8 11.500a2.300 2.300 0 1 0 0-4.600 2.300 2.300 0 0 0 0 4.600z",
  check: "M3 8.500l3.200 3.200L13 4.800",
  note: "M3 3h10v7.500l-3 3H3zM10 13.300v-3h3",
  arrow: "M6 3.500L10.500 8 6 12.500",
  back: "M10 3.500L5.500 8 10 12.500",
  refresh: "M13 8a5 5 0 1 1-1.500-3.500M13 2.500v3h-3",
  bars: "M2.500 13.500V8h2.500v5.500M6.800 13.500v-9h2.500v9M11 13.500V6.500h2.500v7",
};

/** A picture of a name; screen readers pass over it. */
export function icon(name) {
  return s(
    "svg",
    { class: "icon", viewBox: "0 0 16 16", "aria-hidden": "true", focusable: "false" },
    s("path", {
      d: PATHS[name], fill: "none", stroke: "currentColor", "stroke-width": 1.5, "stroke-linecap": "round",
      "stroke-linejoin": "round",
    }),
  );
}
