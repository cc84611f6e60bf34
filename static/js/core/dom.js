/* dom.js: small helpers; text from people only ever goes through textContent.
   $(selector, root), $$(selector, root) -> Array, h(tag, attributes, ...children), s(tag, attributes, ...children) for SVG,
   icon(name, size), state(state, word) -> the state chip, toast(text), setText(node, text) (writes only what changed) */
const SVG = "http://www.w3.org/2000/svg";

export const $ = (selector, root = document) => root.querySelector(selector);
export const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];

function fill(node, attributes, children) {
  for (const [key, value] of Object.entries(attributes || {})) {
    if (value === false || value === null || value === undefined) continue;
    if (key.startsWith("on") && typeof value === "function") node.addEventListener(key.slice(2), value);
    else if (key === "dataset") Object.assign(node.dataset, value);
    else if (key === "css") for (const [name, v] of Object.entries(value)) node.style.setProperty(name, v);
    else node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}
export const h = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);
export const s = (tag, attributes, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);

export const icon = (name, size = 16) =>
  s("svg", { class: "icon", width: size, height: size, "aria-hidden": "true" }, s("use", { href: `#i-${name}` }));

const MARKS = { completed: "done", queued: "waiting", finishing: "running", stopped: "cancelled" };
const WORDS = { pruned: "stopped early" };

/** The chip of templates/_components/state.html. Give an existing chip as `into` to change it in place. */
export function state(name, word = WORDS[name] || name, into = null) {
  const chip = into || h("span", { class: "state" }, icon(name, 12), h("span", { class: "state-word" }));
  chip.dataset.state = name;
  $("use", chip).setAttribute("href", `#i-${MARKS[name] || name}`);
  setText($(".state-word", chip), word);
  return chip;
}

export function setText(node, text) {
  if (node && node.textContent !== String(text)) node.textContent = text;
}

export function toast(text, milliseconds = 4000) {
  const node = h("div", { class: "toast" }, text);
  $("#toasts")?.append(node);
  setTimeout(() => node.remove(), milliseconds);
}
