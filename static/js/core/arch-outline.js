/* arch-outline.js: outlineDrawing(outline, width) -> svg: the picture of a search space, as its places with their options.
   arch-outline-form.js draws the same with buttons; it shares frame(outline, width), saidIn(part, block) and connections().
   outline: {parts: [{id, kind, title, detail, repeat, decisions: [{name, title, options: [words]}]}], edges: [{source, target, title, dashed}]}
   Places from above to below; beside each the options and what is decided; edges that jump over places are drawn at the left. */
import { s } from "./dom.js";
import { classOf, headDown, headRight, path, round, text, widthOf } from "./arch-parts.js";

export const GAP = 14;
export const BLOCK = { wide: 112, narrow: 100 };
const LINE = 16;

/** Words in lines that fit, `room` pixels apart. */
function wrapped(options, width, room = 18) {
  const lines = [[]];
  let x = 0;
  for (const option of options) {
    const w = widthOf(option);
    if (x && x + w > width) {
      lines.push([]);
      x = 0;
    }
    lines.at(-1).push([x, option]);
    x += w + room;
  }
  return lines;
}

const heightOf = (choices) => choices.reduce((sum, choice) => sum + (choice.lines.length + choice.under.length) * LINE + 8, 0);

/** Edges that jump over places, each with a lane of its own where they overlap. */
function jumpsOf(outline) {
  const order = new Map(outline.parts.map((part, i) => [part.id, i]));
  const jumps = outline.edges
    .map((edge) => ({ ...edge, a: order.get(edge.source), b: order.get(edge.target) }))
    .filter((edge) => edge.a !== undefined && edge.b !== undefined && edge.a < edge.b && (edge.b - edge.a !== 1 || edge.title))
    .sort((p, q) => p.b - p.a - (q.b - q.a));
  const lanes = [];
  for (const edge of jumps) {
    let lane = lanes.findIndex((taken) => taken.every(([a, b]) => edge.b <= a || b <= edge.a));
    if (lane < 0) lane = lanes.push([]) - 1;
    lanes[lane].push([edge.a, edge.b]);
    edge.lane = lane;
  }
  return { jumps, lanes: lanes.length };
}

/** Where things stand from left to right: lanes, blocks (around `axis`), what is decided (from `right`). */
export function frame(outline, width) {
  const { jumps, lanes } = jumpsOf(outline);
  const narrow = width < 480;
  const words = Math.max(0, ...jumps.map((edge) => Math.min(64, widthOf(edge.title || ""))));
  const apart = narrow ? 7 : 10;
  const left = jumps.length ? 20 + words + apart * (lanes - 1) : 2;
  const block = narrow ? BLOCK.narrow : BLOCK.wide;
  const lane = (k) => (lanes === 1 ? Math.max(8, left / 2 - 6) : left - 14 - apart * k);
  return { jumps, narrow, left, block, lane, axis: left + block / 2, right: left + block + (narrow ? 22 : 40) };
}

/** Lines in a block. */
export const saidIn = (part) => [part.title, ...(part.decisions?.length && part.detail && part.kind !== "input" ? wrapped(part.detail.split(" "), 96, 3).map((l) => l.map(([, w]) => w).join(" ")) : [])];

/** Arrows between places that follow each other, and the jumps beside them. top, height: by place in the outline. */
export function connections(svg, outline, { jumps, left, axis, lane }, top, height) {
  const next = new Set(outline.edges.filter((edge) => !edge.title).map((edge) => `${edge.source}\n${edge.target}`));
  const bare = !outline.edges.length;
  const straight = outline.parts.map((part, i) => i > 0 && (bare || next.has(`${outline.parts[i - 1].id}\n${part.id}`) || jumps.some((edge) => edge.a === i - 1 && edge.b === i)));
  straight.forEach((drawn, i) => {
    if (drawn) svg.append(path(`M${axis},${round(top[i - 1] + height[i - 1])}V${round(top[i] - 5)}`, "wire"), headDown(axis, top[i]));
  });
  const lanes = s("g");
  svg.prepend(lanes);
  for (const edge of jumps) {
    const last = edge.b - 1 > edge.a ? edge.b - 1 : edge.b;
    const from = top[edge.a] + height[edge.a] + 4;
    const x = lane(edge.lane);
    // into the arrow before the target, or (nothing leads there) down to the target itself
    const joins = last === edge.b || straight[edge.b];
    const to = top[last] + height[last] + 4;
    const begin = straight[edge.a + 1] ? "" : `M${axis},${round(from - 4)}V${round(from)}`;
    const end = joins ? `H${axis - 5}` : `H${axis}V${round(top[edge.b] - 5)}`;
    lanes.append(s("path", { d: `${begin}M${axis},${round(from)}H${x + 8}q-8,0 -8,8V${round(to - 8)}q0,8 8,8${end}`, class: "wire", "stroke-dasharray": edge.dashed ? "4 3" : null }));
    svg.append(joins ? headRight(axis - 1, to) : headDown(axis, top[edge.b]));
    const words = (edge.title || "").split(" ");
    const middle = (from + to) / 2;
    if (edge.title) {
      svg.append(s("rect", { x: 0, y: round(middle - words.length * 8), width: left - 6, height: words.length * 16, class: "paper" }));
      words.forEach((word, k) => svg.append(text(x + 2, middle + 4 + (k - (words.length - 1) / 2) * 15, word, "lab")));
    }
  }
}

export function outlineDrawing(outline, width) {
  const places = frame(outline, width);
  const { narrow, left, block, axis, right } = places;
  const rows = outline.parts.map((part) => {
    const free = Math.max(110, width - right);
    const choices = (part.decisions || []).map((decision) => ({
      ...decision,
      lines: wrapped(decision.options.map(String), free, narrow ? 12 : 18),
      under: wrapped(String(decision.title).split(" "), free, 3).map((line) => line.map(([, word]) => word).join(" ")),
    }));
    const high = heightOf(choices);
    const said = saidIn(part);
    return { part, choices, said, height: Math.max(30, said.length * 16 + 12, high - 8) };
  });
  let y = 2;
  const top = new Map();
  for (const row of rows) {
    top.set(row.part.id, y);
    y += row.height + GAP;
  }
  const H = Math.ceil(y - GAP + 4);
  const svg = s("svg", { width, height: H, viewBox: `0 0 ${width} ${H}`, class: "arch", role: "img",
    "aria-label": rows.map((row) => `${row.part.title}${row.choices.map((c) => `, ${c.title}: ${c.options.join(", ")}`).join("")}`).join("; ") });
  rows.forEach((row) => {
    const at = top.get(row.part.id);
    const middle = at + row.height / 2;
    const shape = { x: left, y: at, width: block, height: row.height, rx: 3, class: `op ${classOf(row.part)}` };
    svg.append(s("rect", shape));
    row.said.forEach((line, k) => svg.append(text(axis, middle + 4 + (k - (row.said.length - 1) / 2) * 16, line, k ? "t2" : "t1")));
    if (!row.choices.length && row.part.detail) svg.append(text(right, middle + 4, row.part.detail, "lab", "start"));
    let line = at + (row.choices.length ? (row.height - heightOf(row.choices) + 8) / 2 + 12 : 0);
    for (const choice of row.choices) {
      svg.append(path(`M${left + block + 6},${round(line - 4) + 0.5}H${right - 10}`, "base"));
      for (const options of choice.lines) {
        for (const [x, word] of options) svg.append(text(right + x, line, word, "t1", "start"));
        line += LINE;
      }
      for (const words of choice.under) {
        svg.append(text(right, line, words, "lab", "start"));
        line += LINE;
      }
      line += 8;
    }
  });
  connections(svg, outline, places, rows.map((row) => top.get(row.part.id)), rows.map((row) => row.height));
  return svg;
}
