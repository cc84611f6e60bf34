/* arch-card.js: explains(figure, svg, graph, {open, whole}) gives every step of a drawing a card on hover and on keyboard focus, and lights its lines.
   One step of a drawing is in the tab order; arrow keys go on: right and left in the order of the network, up and down to what lies there;
   Home and End; Enter opens the inside of a step (open(title)); Escape hides the card. whole: what shares are of ("the network"; "" leaves them out). */
import { h } from "./dom.js";
import { litOf } from "./arch-graph.js";
import { isJoin, shapeWords } from "./arch-layout.js";
import { nodeOf } from "./arch-parts.js";

const NAMES = { add: "sum", concat: "concatenation", mul: "product" };
const share = (part, whole) => (whole > 0 && part ? `${((100 * part) / whole).toFixed(part / whole < 0.0995 ? 1 : 0)} %` : "");

function facts(node, graph, whole) {
  const [channels, space] = shapeWords(node);
  const total = (name) => graph[name] ?? graph.nodes.reduce((sum, other) => sum + (other[name] || 0), 0);
  const rows = [];
  if (channels) rows.push(["output", space ? `${channels} × ${space}` : channels, ""]);
  for (const [name, words] of [["n_params", "parameters"], ["n_macs", "multiply-adds"]]) {
    if (node[name]) rows.push([words, node[name].toLocaleString("en"), whole && total(name) ? `${share(node[name], total(name))} of ${whole}` : ""]);
  }
  const notes = [];
  if (node.repeat > 1) notes.push(`${node.repeat} equal ones after each other`);
  if (node.n_nodes > 1) notes.push(`stands for ${node.n_nodes} operations`);
  if (node.dashed) notes.push("acts in training only");
  if (node.idle) notes.push("without effect: it does not lie between input and output");
  return { rows, notes };
}

function fill(card, node, graph, { open, whole }) {
  const { rows, notes } = facts(node, graph, whole);
  if (node.opens && open) notes.push("Enter or click shows its inside");
  card.replaceChildren(...[
    h("p", {}, h("b", {}, isJoin(node) ? NAMES[node.kind] : [node.title || node.kind, node.detail].filter(Boolean).join(" ")), node.group ? h("span", { class: "muted" }, `  ${node.group}`) : null),
    rows.length ? h("table", {}, h("tbody", {}, rows.map(([name, value, part]) => h("tr", {}, h("th", { scope: "row" }, name), h("td", { class: "num" }, value), h("td", { class: "num muted" }, part))))) : null,
    notes.length ? h("p", { class: "muted" }, notes.join("; ")) : null,
  ].filter(Boolean));
}

/** Under the step, or over it where there is no room; never outside the figure. */
function put(card, figure, g) {
  const base = figure.getBoundingClientRect();
  const at = g.getBoundingClientRect();
  card.hidden = false;
  const box = card.getBoundingClientRect();
  const left = Math.min(Math.max(0, at.left + at.width / 2 - base.left - box.width / 2), Math.max(0, base.width - box.width));
  const over = at.bottom + box.height + 14 > window.innerHeight && at.top > box.height + 14;
  card.style.setProperty("left", `${Math.round(left)}px`);
  card.style.setProperty("top", `${Math.round(over ? at.top - base.top - box.height - 8 : at.bottom - base.top + 8)}px`);
}

export function explains(figure, svg, graph, options = {}) {
  const { open = null, whole = "the network" } = options;
  const steps = [...svg.querySelectorAll("g.node")];
  const lines = [...svg.querySelectorAll(".wire")].map((line) => [line, litOf(line)]).filter(([, wire]) => wire);
  if (!steps.length) return;
  let card = figure.querySelector(":scope > .arch-card");
  if (!card) {
    card = h("div", { class: "arch-card", role: "tooltip", hidden: true });
    figure.append(card);
  }
  steps[0].setAttribute("tabindex", "0");
  const light = (node) => {
    svg.classList.toggle("lights", Boolean(node) && lines.length > 0);
    for (const [line, wire] of lines) line.classList.toggle("lit", Boolean(node) && (wire.source === node.id || wire.targets.has(node.id)));
  };
  const show = (g) => {
    const node = nodeOf(g);
    fill(card, node, graph, { open, whole });
    put(card, figure, g);
    light(node);
  };
  const hide = () => {
    card.hidden = true;
    light(null);
  };
  const enter = (g) => {
    const node = nodeOf(g);
    if (!node?.opens || !open) return false;
    hide();
    open(node.opens);
    return true;
  };
  const near = (g, down) => {
    const from = g.getBoundingClientRect();
    const [x, y] = [from.left + from.width / 2, from.top + from.height / 2];
    let best = null;
    for (const other of steps) {
      const box = other.getBoundingClientRect();
      const [dx, dy] = [Math.abs(box.left + box.width / 2 - x), (box.top + box.height / 2 - y) * (down ? 1 : -1)];
      if (other === g || dy < 6) continue;
      if (!best || dy + 2 * dx < best.far) best = { far: dy + 2 * dx, other };
    }
    return best?.other;
  };
  const go = (g, next) => {
    if (!next) return;
    g.setAttribute("tabindex", "-1");
    next.setAttribute("tabindex", "0");
    next.focus();
  };

  const host = svg.parentElement; // an svg that listens for focus would take it itself
  host.addEventListener("mouseover", (event) => {
    const g = event.target.closest("g.node");
    if (g) show(g);
  });
  host.addEventListener("mouseout", (event) => {
    const g = event.target.closest("g.node");
    if (g && !g.contains(event.relatedTarget)) hide();
  });
  host.addEventListener("focusin", (event) => {
    const g = event.target.closest("g.node");
    if (g) show(g);
  });
  host.addEventListener("focusout", hide);
  host.addEventListener("click", (event) => {
    const g = event.target.closest("g.node");
    if (g) enter(g);
  });
  host.addEventListener("keydown", (event) => {
    const g = event.target.closest("g.node");
    if (!g || event.ctrlKey || event.metaKey || event.altKey) return;
    const i = steps.indexOf(g);
    const moves = { ArrowRight: () => steps[i + 1], ArrowLeft: () => steps[i - 1], Home: () => steps[0], End: () => steps.at(-1), ArrowDown: () => near(g, true), ArrowUp: () => near(g, false) };
    if (moves[event.key]) go(g, moves[event.key]());
    else if (event.key === "Enter" || event.key === " ") {
      if (!enter(g)) return;
    } else if (event.key === "Escape" && !card.hidden) hide();
    else return;
    event.preventDefault();
  });
}
