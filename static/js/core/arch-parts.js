/* arch-parts.js: the pieces of a network's drawing (css/arch.css): text, block(), join(), image(), heads, si(), spell(node);
   every step is a <g class="node"> made by nodeGroup(node), nodeOf(g) gives the step back (arch-card.js shows it on hover and focus) */
import { s } from "./dom.js";
import { isJoin, shapeWords, sizeOf } from "./arch-layout.js";

const CLASSES = {
  conv: "k-conv", sep: "k-sep", pool: "k-pool", dense: "k-dense", cell: "k-cell", drop: "k-plain", norm: "k-plain", act: "k-plain",
  zero: "k-zero", identity: "k-plain", input: "k-input", output: "k-input", other: "k-pool", add: "k-join", concat: "k-join", mul: "k-join",
  attention: "k-attention", embed: "k-embed", recurrent: "k-recurrent",
};
const JOINS = { add: ["sum", "M-4,0h8M0,-4v8"], concat: ["concatenation", "M-2.5,-4v8M2.5,-4v8"], mul: ["product", "M-3,-3l6,6M3,-3l-6,6"] };
export const classOf = (node) => {
  const kind = node.kind === "output" && /linear|dense/i.test(node.title || "") ? "k-dense" : CLASSES[node.kind] || "k-pool";
  return `${kind}${node.dashed ? " dashed" : ""}${node.idle ? " idle" : ""}`;
};

/** 5.01 M, 182.5 k, 528. */
export const si = (value) =>
  value >= 1e9 ? `${(value / 1e9).toFixed(2)} G` : value >= 1e6 ? `${(value / 1e6).toFixed(2)} M` : value >= 1e3 ? `${(value / 1e3).toFixed(1)} k` : String(value);

let measure = null;
/** Width of a text in the drawing's 12 px type. */
export function widthOf(text) {
  if (!measure) {
    measure = document.createElement("canvas").getContext("2d");
    measure.font = `12px ${getComputedStyle(document.documentElement).getPropertyValue("--font")}`;
  }
  return measure.measureText(text).width;
}

export const text = (x, y, words, cls = "", anchor = "middle") => s("text", { x: round(x), y: round(y), class: cls, "text-anchor": anchor }, words);
export const round = (v) => Math.round(v * 10) / 10;
export const path = (d, cls) => s("path", { d, class: cls });

/** One line on a node: what it is, what comes out, what it costs. */
export function spell(node) {
  const [channels, space] = shapeWords(node);
  const parts = [[node.title, node.detail].filter(Boolean).join(" ")];
  if (node.group) parts[0] = `${node.group}: ${parts[0]}`;
  if (channels) parts.push(`output ${space ? `${channels} × ${space}` : channels}`);
  if (node.n_params) parts.push(`${node.n_params.toLocaleString("en")} parameters`);
  if (node.n_macs) parts.push(`${node.n_macs.toLocaleString("en")} multiply-adds`);
  if (node.repeat > 1) parts.push(`${node.repeat} times`);
  if (node.dashed) parts.push("in training only");
  if (node.idle) parts.push("without effect: it does not lie between input and output");
  return parts.join(", ");
}

const known = new WeakMap();
/** The group of one step; it takes the focus by itself and is read out as `spell` says. */
export function nodeGroup(node, attributes = {}) {
  const said = isJoin(node) ? spell({ ...node, title: JOINS[node.kind][0], detail: "" }) : spell(node);
  const g = s("g", { class: `node${node.opens ? " opens" : ""}`, role: node.opens ? "button" : "img", "aria-label": said, tabindex: "-1", "data-id": node.id, ...attributes });
  known.set(g, node);
  return g;
}
export const nodeOf = (g) => known.get(g);

/** Height of a block by the spatial size of what it gives out, against the largest of the network. */
export function heights(nodes, tall = 68, low = 36, step = 13) {
  const most = Math.max(1, ...[...nodes].map(sizeOf));
  return (node) => (sizeOf(node) <= 1 ? low : Math.max(low, Math.round(tall - step * Math.log2(most / sizeOf(node)))));
}

function lines(x, y, list, titles) {
  return list.map((line, i) => text(x, y + 4 + (i - (list.length - 1) / 2) * 14, line, i < titles ? "t1" : "t2"));
}

/** A block centred on (x + w/2, y); `before` is the height of the node in front (pooling is a trapezoid). */
export function block(node, x, y, w, h, { before = h, words, titles = 1, cls = "", vertical = false, lift = 0 } = {}) {
  const group = nodeGroup(node);
  const op = `op ${classOf(node)} ${cls}`;
  const [left, top] = [round(x), round(y - h / 2)];
  if (node.repeat > 1) {
    for (const by of [6, 3]) group.append(s("rect", { x: left + by, y: top - by, width: w, height: h, rx: 3, class: op }));
  }
  if (node.kind === "pool" && before !== h && !vertical) {
    group.append(path(`M${left},${round(y - before / 2)}L${round(x + w)},${top}V${round(y + h / 2)}L${left},${round(y + before / 2)}Z`, op));
  } else if (node.kind === "attention") {
    const c = Math.min(7, h / 4);
    group.append(path(`M${left + c},${top}H${round(x + w - c)}l${c},${c}V${round(y + h / 2 - c)}l${-c},${c}H${left + c}l${-c},${-c}V${top + c}Z`, op));
  } else {
    group.append(s("rect", { x: left, y: top, width: round(w), height: round(h), rx: 3, class: op }));
    if (node.kind === "embed") group.append(path(`M${left + 4},${top}v${round(h)}`, `op-line ${classOf(node)}`));
    if (node.kind === "recurrent") group.append(path(`M${round(x + w - 6)},${top}c2,-9 -14,-9 -12,0`, `op-line ${classOf(node)}`));
  }
  group.append(...lines(x + w / 2 + (node.kind === "embed" ? 2 : 0), y - lift, words || [node.title], titles));
  return group;
}

/** The picture that comes in, as its pixels; a signal as one row of them. */
export function image(node, x, y, side, pixels = null) {
  const shape = node.shape || [];
  const group = nodeGroup(node);
  const flat = shape.length < 3;
  const cells = Math.min(8, Math.max(2, flat ? 8 : shape[1]));
  const rows = flat ? 1 : cells;
  const cell = side / cells;
  const top = y - (rows * cell) / 2;
  group.append(s("rect", { x: round(x), y: round(top), width: side, height: round(rows * cell), class: "op k-input" }));
  for (let i = 1; i < cells; i += 1) {
    let d = `M${round(x + i * cell)},${round(top)}v${round(rows * cell)}`;
    if (!flat) d += `M${round(x)},${round(top + i * cell)}h${side}`;
    group.append(path(d, "pix"));
  }
  const ink = pixels && pixels.length === cells * rows ? pixels : [];
  const most = Math.max(1e-9, ...ink);
  ink.forEach((value, i) => {
    if (value <= 0) return;
    group.append(s("rect", { x: round(x + (i % cells) * cell), y: round(top + Math.floor(i / cells) * cell), width: cell, height: cell, class: "ink", "fill-opacity": round(value / most) }));
  });
  return group;
}

/** Where lines meet: sum (+), concatenation (two bars) or product (×). */
export function join(node, x, y, cls = "") {
  const g = nodeGroup(node, { transform: `translate(${round(x)},${round(y)})` });
  g.append(s("circle", { r: 9, class: `joint ${node.idle ? "idle" : ""} ${node.dashed ? "dashed" : ""} ${cls}` }), path(JOINS[node.kind][1], `joint-sign ${cls}`));
  return g;
}

export const headRight = (x, y, cls = "") => path(`M${round(x - 6)},${round(y - 3.5)}l6,3.5l-6,3.5z`, `head ${cls}`);
export const headDown = (x, y, cls = "") => path(`M${round(x - 3.5)},${round(y - 6)}l3.5,6l3.5,-6z`, `head ${cls}`);
export const dot = (x, y, cls = "") => s("circle", { cx: round(x), cy: round(y), r: 2.5, class: `head ${cls}` });

export { isJoin };
