/* arch-vertical.js: drawVertical(graph, width, options) -> {svg, steps}: for narrow screens; from above to below, lanes at the left,
   the output's shape beside each block, multiply-adds and parameters in two columns at the right (options.bars = false leaves them out). */
import { s } from "./dom.js";
import { arrange, costs, isJoin, shapeWords, sizeOf } from "./arch-layout.js";
import { block, classOf, dot, headDown, headRight, join, path, round, si, text, widthOf } from "./arch-parts.js";

const ROW = 28;
const GAP = 14;
const LANE_BLOCK = 22;

/** On a lane a convolution is known by its size alone. */
const laneWords = (node) => (node.kind === "conv" && node.detail && !node.onEdge ? node.detail.split(/[ ,]/)[0] : [node.title, node.detail].filter(Boolean).join(" "));
const oneLine = (node) => (node.kind === "input" && !node.detail ? node.title || "input" : [node.title, node.detail].filter(Boolean).join(" "));

export function drawVertical(graph, width, options = {}) {
  const { bars = true, label = "network", plain = false, base = 116, shown = true } = options;
  const plan = arrange(graph);
  const most = Math.max(1, ...[...plan.nodes.values()].map(sizeOf));
  const wide = (node) => Math.max(widthOf(oneLine(node)) + 14, base - 40, base - 12 * Math.log2(most / sizeOf(node)) * (sizeOf(node) > 1 ? 1 : 9));
  const widest = Math.max(...plan.spine.map((id) => (isJoin(plan.nodes.get(id)) ? 18 : wide(plan.nodes.get(id)))));
  const laneWide = (node) => (isJoin(node) ? 18 : Math.max(34, widthOf(laneWords(node)) + 12));

  // lanes at the left, the nearest first
  let away = widest / 2 + 8;
  const lanes = plan.lanes.map((lane, k) => {
    const room = Math.max(4, ...plan.items.filter((item) => item.lane === k).flatMap((item) => item.nodes.map((id) => laneWide(plan.nodes.get(id)))));
    const at = away + room / 2;
    away += room + 8;
    return at;
  });
  const axis = Math.round(Math.max(away - 4, widest / 2 + 2)); // x of the spine
  const gaps = plan.spine.map((id, i) => (i ? GAP + (plan.taps.has(plan.spine[i - 1]) ? 4 : 0) : 0));
  const tall = (node) => (isJoin(node) ? 18 : ROW);
  for (const item of plan.items) {
    if (!item.nodes.length) continue;
    const need = item.nodes.length * (LANE_BLOCK + 14) + 14;
    const a = item.from === null ? 0 : Math.ceil(plan.index.get(item.from));
    const b = item.to === null ? plan.spine.length - 1 : Math.floor(plan.index.get(item.to));
    const have = plan.spine.slice(a + 1, b).reduce((sum, id, i) => sum + tall(plan.nodes.get(id)) + gaps[a + 1 + i], gaps[b] || 0);
    if (need > have && b > a) for (let i = a + 1; i <= b; i += 1) gaps[i] += (need - have) / (b - a);
  }
  const Y = new Map();
  let y = bars ? 26 : 6;
  plan.spine.forEach((id, i) => {
    y += gaps[i];
    Y.set(id, y);
    y += tall(plan.nodes.get(id));
  });
  const right = axis + widest / 2;
  const shapeAt = right + (plan.spine.some((id) => plan.nodes.get(id).repeat > 1) ? 13 : 7);
  const shapes = plain || !shown ? 0 : Math.max(0, ...plan.spine.map((id) => widthOf(shapeWords(plan.nodes.get(id)).filter(Boolean).join(" × "))));
  const least = Math.ceil(shapeAt + shapes + (bars ? 4 + 56 + 52 : 2));
  // too wide for the screen: narrower blocks first, then without the shapes (they stay in the table), then it scrolls
  if (bars && least > width && base > 84) return drawVertical(graph, width, { ...options, base: 84 });
  if (bars && least > width && shown) return drawVertical(graph, width, { ...options, base, shown: false });
  const W = Math.max(bars ? width : 0, least);
  const H = Math.ceil(y + 6);
  const svg = s("svg", { width: W, height: H, viewBox: `0 0 ${W} ${H}`, class: "arch", role: "img", "aria-label": label });
  const wires = s("g");
  const front = s("g");
  svg.append(wires, front);

  plan.spine.forEach((id, i) => {
    const node = plan.nodes.get(id);
    const middle = Y.get(id) + tall(node) / 2;
    const before = i ? plan.nodes.get(plan.spine[i - 1]) : null;
    if (isJoin(node)) front.append(join(node, axis, middle));
    else {
      const w = wide(node);
      const part = block(node, axis - w / 2, middle, w, ROW, { words: [oneLine(node)], vertical: true });
      if (node.kind === "pool" && before) {
        const u = Math.min(widest, Math.max(w + 16, isJoin(before) ? w + 16 : wide(before)));
        part.querySelector("rect").replaceWith(path(`M${round(axis - u / 2)},${Y.get(id)}H${round(axis + u / 2)}L${round(axis + w / 2)},${round(Y.get(id) + ROW)}H${round(axis - w / 2)}Z`, `op ${classOf(node)}`));
      }
      front.append(part);
    }
    const [channels, space] = plain || !shown ? ["", ""] : shapeWords(node);
    if (channels && !isJoin(node)) front.append(text(shapeAt, middle + 4, space ? `${channels} × ${space}` : channels, "shape2", "start"));
    if (before) wires.append(path(`M${axis},${round(Y.get(before.id) + tall(before))}V${round(Y.get(id) - 5)}`, "wire"), headDown(axis, Y.get(id)));
  });
  drawLanes(plan, { Y, tall, wide, axis, lanes, laneWide, wires, front });
  if (bars) drawColumns(svg, plan, { Y, tall, W });
  return { svg, steps: plan.spine.length, height: H };
}

function drawLanes(plan, { Y, tall, wide, axis, lanes, laneWide, wires, front }) {
  const place = new Map();
  const end = (id) => (place.has(id) ? place.get(id).y + LANE_BLOCK / 2 : Y.get(id) + tall(plan.nodes.get(id)));
  for (const item of plan.items) {
    if (!item.nodes.length) continue;
    const a = item.from === null ? 6 : end(item.from) + 5;
    const b = item.to === null ? Math.max(...Y.values()) : place.has(item.to) ? place.get(item.to).y - LANE_BLOCK / 2 : Y.get(item.to) + tall(plan.nodes.get(item.to)) / 2;
    item.nodes.forEach((id, i) => {
      place.set(id, { x: axis - lanes[item.lane], y: item.from === null && !i ? a + 11 : a + ((b - a) * (i + 1)) / (item.nodes.length + 1), w: laneWide(plan.nodes.get(id)) });
    });
  }
  for (const item of plan.items) {
    const lane = axis - lanes[item.lane];
    let cursor = null;
    if (item.from !== null) {
      const x = place.has(item.from) ? place.get(item.from).x : axis;
      const tap = end(item.from) + 6;
      const way = lane < x ? -1 : 1;
      wires.append(dot(x, tap));
      if (place.has(item.from)) wires.append(path(`M${round(x)},${round(tap - 6)}V${round(tap)}`, "wire skip"));
      wires.append(path(`M${round(x)},${round(tap)}H${round(lane - way * 8)}q${way * 8},0 ${way * 8},8`, "wire skip"));
      cursor = tap + 8;
    }
    for (const id of item.nodes) {
      const node = plan.nodes.get(id);
      const at = place.get(id);
      if (cursor !== null) wires.append(path(`M${round(lane)},${round(cursor)}V${round(at.y - LANE_BLOCK / 2 - 5)}`, "wire skip"), headDown(lane, at.y - LANE_BLOCK / 2));
      front.append(isJoin(node) ? join(node, lane, at.y) : block(node, lane - at.w / 2, at.y, at.w, LANE_BLOCK, { words: [laneWords(node)], vertical: true }));
      cursor = at.y + (isJoin(node) ? 9 : LANE_BLOCK / 2);
    }
    if (item.to === null || cursor === null) continue;
    const target = plan.nodes.get(item.to);
    const list = plan.items.filter((other) => other.to === item.to).sort((p, q) => p.lane - q.lane);
    const shift = list.length > 1 ? (list.indexOf(item) / (list.length - 1) - 0.5) * (isJoin(target) ? 10 : 14) : 0;
    const on = place.get(item.to);
    const middle = (on ? on.y : Y.get(item.to) + tall(target) / 2) + shift;
    const edge = on ? on.x - on.w / 2 : axis - (isJoin(target) ? Math.sqrt(81 - shift * shift) : wide(target) / 2);
    wires.append(path(`M${round(lane)},${round(cursor)}V${round(middle - 8)}q0,8 8,8H${round(edge - 5)}`, "wire skip"), headRight(edge, middle));
  }
}

function drawColumns(svg, plan, { Y, tall, W }) {
  for (const [name, words, right] of [["n_macs", "mult.-adds", W - 58], ["n_params", "params", W - 1]]) {
    const value = costs(plan, name);
    const most = Math.max(1, ...value.values());
    svg.append(text(right, 12, words, "lab", "end"));
    for (const [id, amount] of value) {
      if (!amount) continue;
      const node = plan.nodes.get(id);
      const middle = Y.get(id) + tall(node) / 2;
      const length = Math.max(1, (50 * amount) / most);
      svg.append(text(right, middle + 1, si(amount), "num-label", "end"),
        s("rect", { x: round(right - length), y: round(middle + 6), width: round(length), height: 3, class: `cost ${isJoin(node) ? "k-conv" : classOf(node)}` },
          s("title", {}, `${amount.toLocaleString("en")} ${words}`)));
    }
  }
}
