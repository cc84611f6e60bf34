/* arch-horizontal.js: drawHorizontal(graph, width, options) -> {svg, least, width, height, rows}: the wide drawing; cost bars stand under
   their columns. What is too long for one row goes on in the next, cut where no way beside the spine leads over the cut (options.wrap).
   options: bars (true), left (room for the names of the bars), pixels (input image, 64 values), label, plain (an inside: no image, no shapes), most (gap unit)
   `least` is the width it needs in one row; the svg is wider than `width` only where it cannot be cut. */
import { s } from "./dom.js";
import { arrange, costs, cuts, isJoin, part, shapeWords, stretch, words } from "./arch-layout.js";
import { block, classOf, dot, headDown, headRight, heights, image, join, path, round, si, text, widthOf } from "./arch-parts.js";

const LANE_BLOCK = 22;
const COSTS = [["n_macs", "multiply-adds"], ["n_params", "parameters"]];
const sum = (list) => list.reduce((a, b) => a + b, 0);

export const laneWords = (node) => [node.title, node.detail].filter(Boolean).join(" ");
const laneWidth = (node) => (isJoin(node) ? 18 : Math.max(36, widthOf(laneWords(node)) + 14));

/** Whether the input is drawn as pixels, or as the row of a signal; text and tables are a word. */
const pictured = (node, plain) => node.kind === "input" && !plain && (node.shape || []).length > 1;

function sizes(node, plain, height) {
  if (isJoin(node)) return { w: 18, h: 18, list: [], titles: 0 };
  if (pictured(node, plain)) return { w: 46, h: 46, list: [], titles: 0 };
  const { lines, titles } = words(node);
  const w = Math.max(42, ...lines.map((line) => widthOf(line) + (node.kind === "embed" ? 18 : 12)));
  return { w: round(w), h: Math.max(height(node), lines.length * 14 + 10), list: lines, titles };
}

/** Least length and weight of the edge in front of every spine node. */
function edges(plan, plain, compact) {
  let said = "";
  return plan.spine.map((id, i) => {
    if (!i) return { least: 0, weight: 0, label: null };
    const node = plan.nodes.get(id);
    const before = plan.nodes.get(plan.spine[i - 1]);
    const tap = plan.taps.has(before.id);
    if (isJoin(node)) return { least: tap ? 26 : 16, weight: 0.62, label: null, tap };
    let [channels, space] = plain ? ["", ""] : shapeWords(before);
    const vector = !space;
    if (compact && space === said) space = "";
    else if (space) said = space;
    const wide = Math.max(widthOf(channels), widthOf(space));
    return { least: (wide ? wide + 11 : 18) + (tap ? 8 : 0), weight: tap ? 1.3 : vector ? 1.12 : 1, label: [channels, space], tap };
  });
}

/** Sizes of everything in one stretch of a plan, and the least width it needs. */
function measured(plan, { plain, height, left, more }) {
  const box = new Map(plan.spine.map((id) => [id, sizes(plan.nodes.get(id), plain, height)]));
  const blocks = sum(plan.spine.map((id) => box.get(id).w));
  const stacked = plan.spine.some((id) => plan.nodes.get(id).repeat > 1) ? 8 : 0;
  const fixed = left + 3 + blocks + stacked + (more ? 22 : 0);
  const layout = (compact) => {
    const edge = edges(plan, plain, compact);
    return { edge, floor: widened(plan, box, edge.map((e) => e.least)) };
  };
  return { box, stacked, fixed, layout, least: fixed + sum(layout(true).floor) };
}

/** Stretches of the spine, each at most `width` wide where it can be, as even as they get. */
function inRows(plan, width, measure) {
  const open = cuts(plan);
  const ends = open.map((free, i) => (free ? i + 1 : 0)).filter((end) => end && end < plan.spine.length);
  const known = new Map();
  const wide = (a, b) => {
    if (!known.has(`${a} ${b}`)) known.set(`${a} ${b}`, measure(part(plan, a, b), a > 0, b < plan.spine.length).least);
    return known.get(`${a} ${b}`);
  };
  const fill = (most) => {
    const rows = [];
    let start = 0;
    let last = 0;
    for (const end of [...ends, plan.spine.length]) {
      if (last > start && wide(start, end) > most) {
        rows.push([start, last]);
        start = last;
      }
      last = end;
    }
    return [...rows, [start, plan.spine.length]];
  };
  const rows = fill(width);
  let [low, high] = [width / 3, width];
  while (high - low > 12) {
    const middle = (low + high) / 2;
    if (fill(middle).length > rows.length) low = middle;
    else high = middle;
  }
  return fill(high);
}

export function drawHorizontal(graph, width, options = {}) {
  const { bars = true, plain = false, pixels = null, label = "network", most = 76, wrap = true } = options;
  const left = options.left ?? (bars ? 88 : 2);
  const plan = options.plan || arrange(graph);
  const height = heights(plan.nodes.values(), plain ? 36 : 68);
  const inner = (follows) => (follows ? Math.max(left, plain ? 26 : 56) : left);
  const whole = measured(plan, { plain, height, left, more: false });
  const rows = wrap && whole.least > width ? inRows(plan, width, (one, follows, more) => measured(one, { plain, height, left: inner(follows), more })) : [[0, plan.spine.length]];
  const scale = new Map(COSTS.map(([name]) => [name, Math.max(1, ...costs(plan, name).values())]));
  const svg = s("svg", { class: "arch", role: "group", "aria-label": label });
  let [y, W] = [0, 0];
  rows.forEach(([a, b], r) => {
    const one = rows.length > 1 ? part(plan, a, b) : plan;
    const before = a ? plan.nodes.get(plan.spine[a - 1]) : null;
    const row = drawRow(svg, one, { y, width, bars, plain, pixels, height, most, graph, scale, before, left: inner(a > 0), more: b < plan.spine.length, many: rows.length > 1 });
    y = row.bottom + (r < rows.length - 1 ? 20 : 0);
    W = Math.max(W, row.W);
  });
  for (const [name, value] of Object.entries({ width: W, height: y, viewBox: `0 0 ${W} ${y}` })) svg.setAttribute(name, value);
  return { svg, least: whole.least, width: W, height: y, rows: rows.length };
}

/** One row: the stretch `plan`, from `y` downwards. */
function drawRow(svg, plan, { y: top, width, bars, plain, pixels, height, most, graph, scale, before: entry, left, more, many }) {
  const { box, stacked, fixed, layout } = measured(plan, { plain, height, left, more });
  const free = width - fixed;
  let { edge, floor } = layout(false);
  if (sum(floor) > free) ({ edge, floor } = layout(true));
  const gaps = stretch(floor, edge.map((e) => e.weight), free, most);
  const X = new Map();
  let x = left;
  plan.spine.forEach((id, i) => {
    x += gaps[i];
    X.set(id, x);
    x += box.get(id).w;
  });
  const W = Math.max(Math.ceil(x) + 3 + stacked + (more ? 22 : 0), Math.min(width, bars ? width : 0));

  // lanes above the spine
  const half = Math.max(...plan.spine.map((id) => box.get(id).h / 2), 12);
  let up = half + 9;
  const above = plan.lanes.map((lane) => {
    const room = lane.blocks ? LANE_BLOCK : 4;
    const at = up + room / 2;
    up += room + 10;
    return at;
  });
  const y = top + (plan.lanes.length ? up - 4 : half + 8) + (stacked || plan.spine.some((id) => plan.nodes.get(id).kind === "recurrent") ? 5 : 0);
  const bottom = y + half;
  const wires = s("g");
  const front = s("g");
  svg.append(wires, front);

  if (entry) {
    const at = X.get(plan.spine[0]);
    const [channels, space] = plain ? ["", ""] : shapeWords(entry);
    wires.append(path(`M${round(at - (plain ? 20 : 46))},${round(y)}H${round(at - 5)}`, "wire"), headRight(at, y));
    front.append(text(at - 26, y - 6, channels, "shape"), text(at - 26, y + 15, space, "shape2"));
  }
  plan.spine.forEach((id, i) => {
    const node = plan.nodes.get(id);
    const { w, h, list, titles } = box.get(id);
    const at = X.get(id);
    const before = i ? plan.nodes.get(plan.spine[i - 1]) : null;
    if (isJoin(node)) front.append(join(node, at + 9, y));
    else if (pictured(node, plain)) front.append(image(node, at, y, w, pixels));
    else front.append(block(node, at, y, w, h, { before: before && !isJoin(before) ? box.get(before.id).h : before ? Math.max(h, height(before)) : h, words: list, titles }));
    if (more && i === plan.spine.length - 1) wires.append(path(`M${round(at + w + (node.repeat > 1 ? 6 : 0))},${round(y)}H${round(at + w + 16)}`, "wire"), headRight(at + w + 21, y));
    if (!before) return;
    const start = X.get(before.id) + box.get(before.id).w + (before.repeat > 1 ? 6 : 0);
    wires.append(path(`M${round(start)},${round(y)}H${round(at - 5)}`, "wire"), headRight(at, y));
    const { label: said, tap } = edge[i];
    if (!said) return;
    const middle = tap ? (start + 8 + at - 2) / 2 : (start + at) / 2 - 1;
    if (said[0]) front.append(text(middle, y - 6, said[0], "shape"));
    if (said[1]) front.append(text(middle, y + 15, said[1], "shape2"));
  });

  drawLanes(plan, { X, box, y, above, wires, front, left, plain });
  if (!bars) return { W, bottom: Math.ceil(bottom + 4) };
  const lines = many ? [bottom + 42, bottom + 92] : [bottom + 62, bottom + 130];
  drawBars(svg, plan, { X, box, W, left, lines, graph, scale, first: !entry, tall: many ? 24 : 34 });
  return { W, bottom: Math.ceil(lines[1] + 18) };
}

/** Room under a lane for the blocks that stand on it. */
function widened(plan, box, least) {
  const gaps = [...least];
  for (const item of plan.items) {
    if (!item.nodes.length) continue;
    const need = item.nodes.reduce((sum, id) => sum + laneWidth(plan.nodes.get(id)) + 20, 20);
    const a = item.from === null ? -1 : Math.ceil(plan.index.get(item.from));
    const b = item.to === null ? plan.spine.length : Math.floor(plan.index.get(item.to));
    const inside = plan.spine.slice(a + 1, b).reduce((sum, id) => sum + box.get(id).w, 0);
    const first = Math.max(1, a + 1);
    const last = Math.min(b, plan.spine.length - 1);
    const have = inside + gaps.slice(first, last + 1).reduce((p, q) => p + q, 0);
    const missing = need - have;
    if (missing > 0 && last >= first) for (let i = first; i <= last; i += 1) gaps[i] += missing / (last - first + 1);
  }
  return gaps;
}

function drawLanes(plan, { X, box, y, above, wires, front, left, plain }) {
  // a way that begins at the last step of the row before leaves the arrow that comes in
  const ends = (id) => (X.has(id) ? { x: X.get(id), w: box.get(id).w, y } : { x: X.get(plan.spine[0]) - (plain ? 26 : 50), w: 4, y });
  const laneX = new Map(); // nodes that stand on lanes: {x, w, y}
  const place = new Map();
  for (const item of plan.items) {
    if (!item.nodes.length) continue;
    const start = item.from === null ? left - 14 : (place.has(item.from) ? place.get(item.from).x + place.get(item.from).w : ends(item.from).x + ends(item.from).w) + 6;
    const to = item.to === null ? Math.max(...X.values()) : X.has(item.to) ? X.get(item.to) : place.get(item.to).x;
    const wide = item.nodes.map((id) => laneWidth(plan.nodes.get(id)));
    const gap = Math.max(14, (to - start - wide.reduce((a, b) => a + b, 0)) / (item.nodes.length + 1));
    let x = start;
    const crossing = risers(plan, item.lane, X, box);
    item.nodes.forEach((id, i) => {
      x += i || item.from !== null ? gap : 14;
      if (item.nodes.length === 1 && item.from !== null) x = beside(x, wide[i], crossing, start + 18, to - 14 - wide[i]);
      place.set(id, { x, w: wide[i], y: y - above[item.lane] });
      laneX.set(id, place.get(id));
      x += wide[i];
    });
  }
  // several lines into one target keep apart
  const into = (id) => plan.items.filter((item) => item.to === id).sort((p, q) => q.lane - p.lane || plan.index.get(p.from) - plan.index.get(q.from));
  for (const item of plan.items) {
    const lane = y - above[item.lane];
    const from = item.from === null ? null : place.get(item.from) || ends(item.from);
    let cursor = null; // where the line is now, on the lane
    if (from) {
      const tap = from.x + from.w + (plan.nodes.get(item.from).repeat > 1 && item.from !== plan.entry ? 12 : 6);
      wires.append(dot(tap, from.y));
      if (laneX.has(item.from)) wires.append(path(`M${round(from.x + from.w)},${round(from.y)}H${round(tap)}`, "wire"));
      wires.append(path(`M${round(tap)},${round(from.y)}V${round(lane + 8)}q0,-8 8,-8`, "wire skip"));
      cursor = tap + 8;
    }
    for (const id of item.nodes) {
      const node = plan.nodes.get(id);
      const at = place.get(id);
      if (cursor !== null) wires.append(path(`M${round(cursor)},${round(lane)}H${round(at.x - 5)}`, "wire skip"), headRight(at.x, lane));
      front.append(isJoin(node) ? join(node, at.x + 9, lane) : block(node, at.x, lane, at.w, LANE_BLOCK, { words: [laneWords(node)] }));
      cursor = at.x + at.w;
    }
    if (item.to === null || cursor === null) continue;
    const target = plan.nodes.get(item.to);
    const list = into(item.to);
    const shift = isJoin(target) ? (list.length > 1 ? (list.indexOf(item) / (list.length - 1) - 0.5) * 10 : 0) : (list.indexOf(item) - (list.length - 1) / 2) * 8;
    if (place.has(item.to)) { // a node on another lane: from above, in front of it
      const end = place.get(item.to);
      const middle = end.x + end.w / 2 + shift;
      const top = end.y - (isJoin(target) ? 9 : LANE_BLOCK / 2);
      wires.append(path(`M${round(cursor)},${round(lane)}H${round(middle - 8)}q8,0 8,8V${round(top - 5)}`, "wire skip"), headDown(middle, top));
      continue;
    }
    const middle = X.get(item.to) + box.get(item.to).w / 2 + shift;
    const top = isJoin(target) ? y - Math.sqrt(81 - shift * shift) : y - box.get(item.to).h / 2 - (target.repeat > 1 ? 6 : 0);
    wires.append(path(`M${round(cursor)},${round(lane)}H${round(middle - 8)}q8,0 8,8V${round(top - 5)}`, "wire skip"), headDown(middle, top));
  }
}

/** Where vertical lines of higher lanes cross this one. */
function risers(plan, lane, X, box) {
  return plan.items.filter((item) => item.lane > lane).flatMap((item) => [
    ...(X.has(item.from) ? [X.get(item.from) + box.get(item.from).w + 6] : []),
    ...(X.has(item.to) ? [X.get(item.to) + box.get(item.to).w / 2] : []),
  ]);
}

/** The place nearest to x at which a block of width w stands on no crossing line. */
function beside(x, w, crossing, low, high) {
  const free = (at) => crossing.every((line) => line < at - 5 || line > at + w + 5);
  for (let by = 0; by <= high - low; by += 2) {
    if (x + by <= high && free(x + by)) return x + by;
    if (x - by >= low && free(x - by)) return x - by;
  }
  return x;
}

function drawBars(svg, plan, { X, box, W, left, lines, graph, scale, first, tall }) {
  COSTS.forEach(([name, words], k) => {
    const base = lines[k];
    const value = costs(plan, name);
    const most = scale.get(name);
    if (first) svg.append(text(0, base - 14, words, "lab", "start"), text(0, base + 1, si(graph[name] ?? sum([...value.values()])), "labv", "start"));
    svg.append(path(`M${left},${Math.round(base) + 0.5}H${W - 2}`, "base"));
    const taken = [];
    for (const [id, amount] of [...value].sort((p, q) => q[1] - p[1])) {
      if (!amount) continue;
      const node = plan.nodes.get(id);
      const { w } = box.get(id);
      const h = Math.max(1, (tall * amount) / most);
      const middle = X.get(id) + w / 2;
      svg.append(s("rect", { x: round(X.get(id)), y: round(base - h), width: round(w), height: round(h), class: `cost ${isJoin(node) ? "k-conv" : classOf(node)}` },
        s("title", {}, `${amount.toLocaleString("en")} ${words}`)));
      const number = si(amount);
      const half = widthOf(number) / 2 + 3;
      if (taken.some(([a, b]) => middle - half < b && a < middle + half)) continue; // the larger one keeps its number
      taken.push([middle - half, middle + half]);
      svg.append(text(middle, base + 15, number, "num-label"));
    }
  });
}
