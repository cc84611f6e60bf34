/* arch-graph.js: drawGraph(graph, width, options) -> {svg, width, height, vertical}: networks that are no row with ways beside it, in layers.
   options: label, plain (an inside: no image, no shapes), vertical (true, false, or undefined: whatever fits the width), pad
   The bar at the foot of a block is its multiply-adds against the largest of the drawing; what comes out stands under a block where it changes.
   Lines carry {source, targets} for arch-card.js: litOf(path). sizeOfStep(node), wirePath(wire, vertical, ...) serve arch-difference-graph.js too. */
import { s } from "./dom.js";
import { layered } from "./arch-layers.js";
import { flowing, isJoin, links, opened, ordered, shapeWords, words } from "./arch-layout.js";
import { block, classOf, headDown, headRight, join, path, round, text, widthOf } from "./arch-parts.js";

const EDGE = 4;
const TURN = 26; // room for lines that go on in the next row
const PASSING = 7; // more lines than this over a cut are not followed by the eye
const ends = new WeakMap();
/** Source and targets of a line. */
export const litOf = (line) => ends.get(line);

/** Size and words of a step. */
export function step(node, { shape = "", bar = false, vertical = false } = {}) {
  if (isJoin(node)) return { w: 18, h: 18, box: 18, list: [], titles: 0 };
  const { lines, titles } = words(node);
  const w = Math.max(42, ...lines.map((line) => widthOf(line) + (node.kind === "embed" ? 18 : 12)), shape && !vertical ? widthOf(shape) + 2 : 0);
  const box = Math.max(26, lines.length * 14 + 8 + (bar ? 4 : 0));
  return { w: round(w), h: box + (shape ? 17 : 0), box, list: lines, titles, shape };
}

const shapeLine = (node) => shapeWords(node).filter(Boolean).join(" × ");

/** The order of the picture itself (the same for networks of one space), operations on edges before their target; null if it is none. */
function asWritten(graph, nodes, edges) {
  const place = new Map(graph.nodes.map((node, i) => [node.id, i]));
  for (const [a, b] of edges) if (nodes.get(a).onEdge) place.set(a, place.get(b) - 0.5);
  if (edges.some(([a, b]) => place.get(a) >= place.get(b))) return null;
  return [...nodes.keys()].sort((a, b) => place.get(a) - place.get(b));
}

/** The graph of a picture: nodes, edges, order, neighbours; what no way leads through is marked idle. */
export function readGraph(graph) {
  const { nodes, edges } = opened(graph);
  const { into, out } = links(nodes, edges);
  const order = asWritten(graph, nodes, edges) || ordered(nodes, into, out);
  const used = flowing(order, into, out, nodes);
  const main = flowing(order, into, out, nodes, true);
  for (const id of order) nodes.get(id).aside = main.size > 0 && !main.has(id); // an auxiliary head
  for (const id of order) nodes.get(id).idle = used.size > 0 && !used.has(id) && !nodes.get(id).dashed;
  const unique = [...new Map(edges.map(([a, b]) => [`${a}\n${b}`, [a, b]])).values()];
  const output = order.filter((id) => nodes.get(id).kind === "output" && !nodes.get(id).dashed).at(-1) ?? order.at(-1);
  const inputs = order.filter((id) => nodes.get(id).kind === "input");
  return { nodes, edges: unique, into, out, order, inputs, output };
}

/** d of a wire; where several arrive at one node they land beside each other. */
export function wirePath(wire, vertical, shift = 0, short = 5) {
  const p = ([x, y]) => `${round(x)},${round(y)}`;
  const lines = wire.lines.map((line) => line.map((point) => [...point]));
  if (wire.end !== null) {
    const last = lines.at(-1);
    for (const point of last) point[vertical ? 0 : 1] += shift;
    last[1][vertical ? 1 : 0] -= short;
    if (last[0][vertical ? 1 : 0] > last[1][vertical ? 1 : 0]) last[0][vertical ? 1 : 0] = last[1][vertical ? 1 : 0];
  }
  let d = `M${p(lines[0][0])}`;
  lines.forEach(([from, to], i) => {
    if (i) {
      const before = lines[i - 1][1];
      const middle = vertical ? (before[1] + from[1]) / 2 : (before[0] + from[0]) / 2;
      if (Math.abs(before[vertical ? 0 : 1] - from[vertical ? 0 : 1]) < 0.6) d += `L${p(from)}`;
      else d += vertical ? `C${round(before[0])},${round(middle)} ${round(from[0])},${round(middle)} ${p(from)}` : `C${round(middle)},${round(before[1])} ${round(middle)},${round(from[1])} ${p(from)}`;
    }
    d += `L${p(to)}`;
  });
  return { d, tip: lines.at(-1)[1] };
}

/** Where the wires that end at each node land, against its middle. */
export function landings(wires, at, size, vertical) {
  const arriving = new Map();
  for (const wire of wires) {
    if (wire.end === null) continue;
    if (!arriving.has(wire.end)) arriving.set(wire.end, []);
    arriving.get(wire.end).push(wire);
  }
  const shift = new Map();
  const side = vertical ? 0 : 1;
  for (const [id, list] of arriving) {
    const room = vertical ? size(id).w : size(id).box;
    const step = list.length > 1 ? Math.min(9, (room - (room > 18 ? 12 : 8)) / (list.length - 1)) : 0;
    const from = (wire) => wire.lines.at(-2)[1][side];
    list.sort((p, q) => from(p) - from(q)).forEach((wire, i) => shift.set(wire, (i - (list.length - 1) / 2) * step));
  }
  return shift;
}

function layout(read, size, vertical, tight) {
  return layered(read.order, read.edges, (id) => size.get(id), {
    vertical, first: read.inputs, last: read.output, gap: vertical ? (tight ? 9 : 18) : 14, between: vertical ? 26 : tight ? 22 : 34,
  });
}

/** Where a drawing may be cut into rows of at most `room`: few lines over every cut. null where that takes more than `most` rows. */
function systems({ layers, width }, room, most) {
  const n = layers.length;
  if (width <= room) return [[0, n]];
  const end = (b) => (b < n ? layers[b].start : width);
  const fits = (a, b) => end(b) - layers[a].start + (a ? TURN : 0) + (b < n ? TURN : 0) <= room;
  // best[k][b]: the fewest lines over the cuts of the first b layers in k rows
  let before = [{ cost: 0, cuts: [] }];
  for (let k = 1; k <= most; k += 1) {
    const now = [];
    for (let b = 1; b <= n; b += 1) {
      for (let a = b - 1; a >= 0 && fits(a, b); a -= 1) {
        if (!before[a]) continue;
        // a nearly empty row is as bad as three lines more
        const empty = 1 - (end(b) - layers[a].start) / room;
        const cost = before[a].cost + (b < n ? layers[b].passing : 0) + 3 * empty * empty;
        if (layers[b]?.passing > PASSING) continue;
        if (!now[b] || cost < now[b].cost) now[b] = { cost, cuts: [...before[a].cuts, [a, b]] };
      }
    }
    if (now[n]) return now[n].cuts;
    before = now;
  }
  return null;
}

/** A wire cut where rows end: each piece with the row it lies in; it goes on at the same height. */
function pieces(wire, rows, layers) {
  if (rows.length === 1) return [{ wire, row: 0 }];
  const found = [];
  rows.forEach(([a, b], row) => {
    const from = Math.max(0, a - wire.rank);
    const to = Math.min(wire.lines.length, b - wire.rank);
    if (from >= to) return;
    const lines = wire.lines.slice(from, to).map((line) => line.map((point) => [...point]));
    const last = to === wire.lines.length;
    if (!last) {
      const y = wire.lines[to][0][1];
      lines.push([[layers[b].start, y], [layers[b].start + TURN - 8, y]]);
    }
    if (from > 0) lines[0][0][0] = layers[a].start - TURN + 4;
    found.push({ wire: { ...wire, lines, end: last ? wire.end : null, goesOn: !last }, row });
  });
  return found;
}

/** The layout that suits the width: one row, tighter, in rows (medium graphs), downwards, or wider than the place. */
function suited(read, sized, width, { vertical, most }) {
  const room = width - 2 * EDGE - 6;
  if (vertical) {
    const loose = layout(read, sized(true), true);
    return { found: loose.width > room ? layout(read, sized(true), true, true) : loose, vertical, rows: null };
  }
  let found = layout(read, sized(false), false);
  if (found.width > room) {
    const tight = layout(read, sized(false), false, true);
    const rows = systems(tight, room, 4);
    const tall = rows ? rows.reduce((sum, [a, b]) => sum + Math.max(...tight.layers.slice(a, b).map((l) => l.high)) - Math.min(...tight.layers.slice(a, b).map((l) => l.low)), 0) : Infinity;
    if (tight.width <= room || tall < most) return { found: tight, vertical: false, rows };
    if (vertical === undefined && found.ranks * 50 < most) {
      const down = layout(read, sized(true), true);
      if (down.width <= room && down.height <= most) return { found: down, vertical: true, rows: null };
    }
    found = tight;
  }
  return { found, vertical: false, rows: null };
}

export function drawGraph(graph, width, options = {}) {
  const { label = "network", plain = false, most = 1600 } = options;
  const read = readGraph(graph);
  const dear = Math.max(0, ...[...read.nodes.values()].map((node) => node.n_macs || 0));
  const known = new Map();
  const sized = (vertical) => {
    if (!known.has(vertical)) {
      known.set(vertical, new Map(read.order.map((id) => {
        const node = read.nodes.get(id);
        const before = read.into.get(id).map((other) => shapeLine(read.nodes.get(other)));
        const shape = plain || node.onEdge || (before.length && before.every((line) => line === shapeLine(node))) ? "" : shapeLine(node);
        return [id, step(node, { shape, bar: dear > 0 && node.n_macs > 0, vertical })];
      })));
    }
    return known.get(vertical);
  };
  const { found, vertical, rows: cut } = suited(read, sized, width, { vertical: options.vertical, most });
  const size = sized(vertical);
  const rows = cut || [[0, found.ranks]];
  const rowOf = (rank) => rows.findIndex(([a, b]) => rank >= a && rank < b);
  // where each row lies: x and y are moved by (dx, dy)
  let [W, H] = [found.width, 0];
  if (rows.length > 1) W = 0;
  const shifts = rows.map(([a, b], k) => {
    if (rows.length === 1) {
      H = found.height;
      return [0, 0];
    }
    const inside = found.layers.slice(a, b + 1);
    const low = Math.min(...inside.map((layer) => layer.low));
    const high = Math.max(...inside.map((layer) => layer.high));
    const dx = k ? TURN - found.layers[a].start : 0;
    const dy = H - low;
    H += high - low + (k < rows.length - 1 ? 26 : 0);
    W = Math.max(W, (b < found.ranks ? found.layers[b].start + TURN : found.width) + dx);
    return [dx, dy];
  });
  W = Math.ceil(W + 2 * EDGE + 6);
  H = Math.ceil(H + 2 * EDGE + 8);
  const svg = s("svg", { width: W, height: H, viewBox: `${-EDGE} ${-EDGE - 6} ${W} ${H}`, class: "arch graph", role: "group", "aria-label": label });
  const lines = s("g");
  const front = s("g");
  svg.append(lines, front);
  const shift = landings(found.wires, found.at, (id) => size.get(id), vertical);
  for (const wire of found.wires) {
    const dashed = [...wire.targets].every((id) => read.nodes.get(id).dashed && read.nodes.get(id).aside);
    for (const { wire: piece, row } of pieces(moved(wire, found.at, size, vertical), rows, found.layers)) {
      const [dx, dy] = shifts[row];
      for (const line of piece.lines) for (const point of new Set(line)) [point[0], point[1]] = [point[0] + dx, point[1] + dy];
      const { d, tip } = wirePath(piece, vertical, shift.get(wire) || 0);
      const line = path(d, `wire${dashed ? " dashed" : ""}`);
      ends.set(line, wire);
      lines.append(line);
      if (piece.end !== null) lines.append(vertical ? headDown(tip[0], tip[1] + 5) : headRight(tip[0] + 5, tip[1]));
      else if (piece.goesOn) lines.append(headRight(tip[0] + 5, tip[1]));
    }
  }
  for (const id of read.order) {
    const { x, y, rank } = found.at.get(id);
    const [dx, dy] = shifts[rowOf(rank)];
    front.append(...drawn(read.nodes.get(id), { x: x + dx, y: y + dy }, size.get(id), dear, vertical));
  }
  return { svg, width: W, height: H, vertical, rows: rows.length };
}

/** A copy of a wire; from above to below it begins at the block itself, not at the words below it. */
export function moved(wire, at, size, vertical) {
  const lines = wire.lines.map((line) => line.map((point) => [...point]));
  const { h, box } = size.get(wire.source);
  if (vertical && wire.start !== null) lines[0][0][1] = at.get(wire.source).y - h / 2 + box;
  return { ...wire, lines };
}

function drawn(node, { x, y }, { w, h, box, list, titles, shape }, dear, vertical) {
  if (isJoin(node)) return [join(node, x, y)];
  const middle = vertical ? y - (h - box) / 2 : y;
  const left = x - w / 2;
  const bar = dear > 0 && node.n_macs > 0;
  const group = block(node, left, middle, w, box, { words: list, titles, vertical: true, lift: bar ? 2 : 0 });
  if (bar) group.append(s("rect", { x: round(left + 1), y: round(middle + box / 2 - 4), width: round(Math.max(1, (w - 2) * node.n_macs / dear)), height: 3, class: `cost ${classOf(node)}` }));
  if (!shape) return [group];
  return [group, vertical ? text(x + 6, middle + box / 2 + 13, shape, "shape2", "start") : text(x, middle + box / 2 + 13, shape, "shape2")];
}
