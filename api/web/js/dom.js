// Elements without a framework: make them, and change in place only what differs.

const SVG = "http://www.w3.org/2000/svg";

/** Make an element. `props`: class, on: {event: handler}, data: {key: value}, any attribute; null and false are left out. */
export function h(tag, props = {}, ...children) {
  return build(document.createElement(tag), props, children);
}

/** Make an SVG element. */
export function s(tag, props = {}, ...children) {
  return build(document.createElementNS(SVG, tag), props, children);
}

function build(node, props, children) {
  for (const [key, value] of Object.entries(props ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (key === "class") node.setAttribute("class", value);
    else if (key === "on") for (const [event, handler] of Object.entries(value)) node.addEventListener(event, handler);
    else if (key === "data") for (const [name, item] of Object.entries(value)) node.dataset[name] = item;
    else node.setAttribute(key, value === true ? "" : String(value));
  }
  append(node, children);
  return node;
}

function append(node, children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    node.append(child instanceof Node ? child : String(child));
  }
}

/** Replace everything inside a node. */
export function fill(node, ...children) {
  node.replaceChildren();
  append(node, children);
  return node;
}

/** Set a text only where it differs, so that nothing is laid out for nothing. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Set or remove an attribute only where it differs. */
export function setAttr(node, name, value) {
  if (value === null || value === undefined || value === false) {
    if (node.hasAttribute(name)) node.removeAttribute(name);
  } else if (node.getAttribute(name) !== String(value)) {
    node.setAttribute(name, String(value));
  }
}

/** Words that only a screen reader says. */
export function spoken(...children) {
  return h("span", { class: "spoken" }, ...children);
}

/** Run a task again and again until the signal aborts; at once when the page becomes visible again. */
export function every(milliseconds, signal, task) {
  const timer = setInterval(() => document.visibilityState === "visible" && task(), milliseconds);
  const seen = () => document.visibilityState === "visible" && task();
  document.addEventListener("visibilitychange", seen, { signal });
  signal.addEventListener("abort", () => clearInterval(timer));
}
