/* arch-difference.js: differenceDrawing(plans, labels, width) -> [svg]: rows of networks (arch-layout.js) over each other on the same columns; more
   than fits goes on in the next drawing. differing(plans) -> bool.
   Columns are aligned by `group`, then by the sort of step inside it (longest common subsequence); the first network is the reference and
   quiet. In the others: coloured outline = other operation, bold shape = other size, two bars = absent; columns with any difference
   have a grey ground. Skip connections are compared by the columns they join. */
import { s } from "./dom.js";
import { isJoin, shapeWords, words } from "./arch-layout.js";
import { block, dot, headDown, headRight, heights, join, path, round, text, widthOf } from "./arch-parts.js";

const SORTS = { conv: "op", sep: "op", identity: "op", zero: "op", other: "op", attention: "op", recurrent: "op", norm: "norm", act: "act" };
export const DASHES = { solid: "", dash: "6 3", dot: "2 2", dashdot: "6 2 2 2" };
const LANE = 22;

export const sortOf = (node) => SORTS[node.kind] || node.kind;
export const operation = (node) => `${node.kind}|${node.title}|${node.detail || ""}|${node.repeat || 1}`;
export const shapeOf = (node) => (node.shape || []).join("×");

/** The shape that is written under a step: of those that can change it, while there is any space. */
function under(node) {
  const [channels, space] = shapeWords(node);
  return space && ["conv", "sep", "cell", "other"].includes(node.kind) ? `${channels} × ${space}` : "";
}

/** Index pairs of a longest common subsequence. */
function common(a, b, same) {
  const best = Array.from({ length: a.length + 1 }, () => new Array(b.length + 1).fill(0));
  for (let i = a.length - 1; i >= 0; i -= 1) {
    for (let j = b.length - 1; j >= 0; j -= 1) best[i][j] = same(a[i], b[j]) ? best[i + 1][j + 1] + 1 : Math.max(best[i + 1][j], best[i][j + 1]);
  }
  const pairs = [];
  for (let i = 0, j = 0; i < a.length && j < b.length; ) {
    if (same(a[i], b[j])) pairs.push([i++, j++]);
    else if (best[i + 1][j] >= best[i][j + 1]) i += 1;
    else j += 1;
  }
  return pairs;
}

/** Columns that hold every network's spine: [{group, sort, nodes: [node or null per network]}]. */
export function columnsOf(plans) {
  const columns = [];
  plans.forEach((plan, r) => {
    const row = plan.spine.map((id) => plan.nodes.get(id));
    const same = (column, node) => column.group === (node.group || "") && column.sort === sortOf(node);
    const pairs = common(columns, row, same);
    let at = 0;
    let taken = 0;
    const insert = (upTo) => {
      for (; taken < upTo; taken += 1) columns.splice(at++, 0, { group: row[taken].group || "", sort: sortOf(row[taken]), nodes: Object.assign(new Array(plans.length).fill(null), { [r]: row[taken] }) });
    };
    let shift = 0;
    for (const [i, j] of pairs) {
      const before = columns.length;
      if (taken < j) at = Math.max(at, place(columns, i + shift, row[taken], at));
      insert(j);
      shift += columns.length - before;
      columns[i + shift].nodes[r] = row[j];
      at = i + shift + 1;
      taken = j + 1;
    }
    if (taken < row.length) {
      at = columns.length;
      insert(row.length);
    }
  });
  return columns;
}

/** New steps stand behind those of their own group, else in front of the next common column. */
function place(columns, next, node, from) {
  for (let i = next - 1; i >= from; i -= 1) if (columns[i].group === (node.group || "")) return i + 1;
  return next;
}

/** What joins which columns beside the spine: "3>5" -> {lane, nodes}. */
function skips(plan, columnOf) {
  const out = new Map();
  for (const item of plan.items) {
    const [a, b] = [columnOf.get(item.from), columnOf.get(item.to)];
    if (a !== undefined && b !== undefined) out.set(`${a}>${b}`, { lane: item.lane, nodes: item.nodes.map((id) => plan.nodes.get(id)) });
  }
  return out;
}

/** Whether anything differs between them: an operation, a size, a way beside the row. */
export function differing(plans) {
  const columns = columnsOf(plans);
  if (columns.some((column) => new Set(column.nodes.map((node) => (node ? `${operation(node)} ${shapeOf(node)}` : "-"))).size > 1)) return true;
  const ways = plans.map((plan, r) => {
    const joined = skips(plan, new Map(columns.flatMap((column, i) => (column.nodes[r] ? [[column.nodes[r].id, i]] : []))));
    return [...joined].map(([key, item]) => `${key} ${item.nodes.map((node) => operation(node)).join()}`).sort().join("\n");
  });
  return new Set(ways).size > 1;
}

/** Width at the left for the names of the networks. */
export const nameRoom = (labels) => Math.max(96, ...labels.flatMap((label) => [widthOf(label.name) * 1.12 + 44, ...(label.notes || []).map((line) => widthOf(line) + 16)]));

/** A network's line and name, at the left of its row or (narrow) over it. */
export function nameOf(g, label, r, narrow, x, y) {
  g.style.setProperty("--tc", `var(--${label.role || `cat-${(r % 8) + 1}`})`);
  const dash = DASHES[label.dash || Object.keys(DASHES)[r % 4]];
  g.append(s("path", { d: `M${x},${y}h20`, class: "key", "stroke-dasharray": dash }), text(x + 28, y + 4, label.name, "t1b", "start"));
  if (narrow) g.append(text(x + 38 + widthOf(label.name) * 1.08, y + 4, (label.notes || []).join(", "), "lab", "start"));
  else (label.notes || []).forEach((line, i) => g.append(text(0, y + 22 + 16 * i, line, "lab", "start")));
}

/** Columns behind which a drawing may end: no way beside a row leads over the cut. */
function ranges(columns, plans, wide, room) {
  const open = new Array(columns.length).fill(true);
  plans.forEach((plan, r) => {
    const columnOf = new Map(columns.flatMap((column, i) => (column.nodes[r] ? [[column.nodes[r].id, i]] : [])));
    for (const item of plan.items) {
      const [a, b] = [columnOf.get(item.from), columnOf.get(item.to)];
      for (let i = (a ?? 0); i < (b ?? Math.min(columns.length, (a ?? 0) + 2)); i += 1) open[i] = false;
    }
  });
  const ends = [...open.keys()].filter((i) => open[i] && i < columns.length - 1).map((i) => i + 1);
  const need = (a, b) => wide.slice(a, b).reduce((sum, w) => sum + w, 0) + 18 * (b - a - 1);
  const fill = (most) => {
    const out = [];
    let [start, last] = [0, 0];
    for (const end of [...ends, columns.length]) {
      if (last > start && need(start, end) > most) {
        out.push([start, last]);
        start = last;
      }
      last = end;
    }
    return [...out, [start, columns.length]];
  };
  const count = fill(room).length;
  let [low, high] = [room / 3, room];
  while (high - low > 12) {
    const middle = (low + high) / 2;
    if (fill(middle).length > count) low = middle;
    else high = middle;
  }
  return fill(high);
}

export function differenceDrawing(plans, labels, width) {
  const columns = columnsOf(plans);
  const narrow = width < 720;
  const left = narrow ? 2 : nameRoom(labels);
  const room = (node) => (isJoin(node) ? 18 : Math.max(44, ...words(node).lines.map((line) => widthOf(line) + 12), widthOf(under(node)) - 8));
  const wide = columns.map((column) => Math.max(...column.nodes.filter(Boolean).map(room)));
  const tall = plans.map((plan) => heights(plan.nodes.values(), 58, 32, 11));
  const lanes = plans.map((plan) => plan.lanes);
  const parts = ranges(columns, plans, wide, width - left - 24);
  return parts.map(([a, b]) => {
    const before = plans.map((_, r) => columns.slice(0, a).map((column) => column.nodes[r]).filter(Boolean).at(-1) || null);
    return stretchOf(columns.slice(a, b), { plans, labels, width, left, narrow, wide: wide.slice(a, b), tall, lanes, before });
  });
}

/** One drawing of some columns. */
function stretchOf(columns, { plans, labels, width, left, narrow, wide, tall, before }) {
  const different = columns.map((column) => new Set(column.nodes.map((node) => (node ? operation(node) : "-"))).size > 1);
  const shapes = columns.map((column) => new Set(column.nodes.filter(Boolean).map(shapeOf)).size > 1);
  const follows = before.some(Boolean) ? 18 : 0;
  const gap = Math.min(60, Math.max(18, (width - left - 17 - follows - wide.reduce((a, b) => a + b, 0)) / Math.max(1, columns.length - 1)));
  const X = [];
  let x = left + follows + (narrow ? 0 : 8);
  for (const w of wide) {
    X.push(x);
    x += w + gap;
  }
  const W = Math.ceil(x - gap + 8);

  const columnOf = plans.map((plan, r) => new Map(columns.flatMap((column, i) => (column.nodes[r] ? [[column.nodes[r].id, i]] : []))));
  const joined = plans.map((plan, r) => skips(plan, columnOf[r]));
  // only the lanes that are used in these columns take room
  const used = joined.map((items) => [...new Set([...items.values()].map((item) => item.lane))].sort((p, q) => p - q));
  const lanes = plans.map((plan, r) => {
    let up = 29 + 8;
    return new Map(used[r].map((lane) => {
      const room = plan.lanes[lane].blocks ? 22 : 6;
      const at = up + room / 2;
      up += room + 6;
      return [lane, at];
    }));
  });
  const top = 24;
  const rows = plans.map((plan, r) => (narrow ? 30 : 8) + used[r].reduce((sum, lane) => sum + (plan.lanes[lane].blocks ? 28 : 12), 0) + 10 + 58 + 26);
  const H = top + rows.reduce((a, b) => a + b, 0) + 4;
  const names = [...new Set(columns.filter((_, i) => different[i] || shapes[i]).map((column) => column.group).filter(Boolean))];
  const svg = s("svg", { width: W, height: H, viewBox: `0 0 ${W} ${H}`, class: "arch diff", role: "group",
    "aria-label": names.length ? `${labels.map((label) => label.name).join(", ")}: they differ in ${names.join(", ")}` : "The networks do not differ here" });

  columns.forEach((column, i) => {
    if (different[i]) svg.append(s("rect", { x: round(X[i] - 7), y: 20, width: round(wide[i] + 14), height: H - 20, class: "band" }));
  });
  groupNames(svg, columns, X, wide, different);
  let start = top;
  plans.forEach((plan, r) => {
    const y = start + rows[r] - 26 - 29;
    const label = labels[r] || { name: `network ${r + 1}` };
    const g = s("g");
    svg.append(g);
    if (r) g.append(path(`M0,${start + 0.5}H${W}`, "base"));
    const [lx, ly] = narrow ? [2, start + 14] : [0, y - 14];
    nameOf(g, label, r, narrow, lx, ly);
    row(g, { columns, r, X, wide, y, lanes: lanes[r], tall: tall[r], joined, shapes, entry: before[r] ? { end: X[0] - follows, node: before[r] } : null });
    start += rows[r];
  });
  return svg;
}

/** One name over each run of columns of the same group. */
function groupNames(svg, columns, X, wide, different) {
  let end = -Infinity;
  for (let i = 0; i < columns.length; ) {
    let j = i;
    while (j + 1 < columns.length && columns[j + 1].group === columns[i].group) j += 1;
    const ops = [];
    for (let k = i; k <= j; k += 1) if (columns[k].sort !== "add") ops.push(k);
    const over = ops.length ? ops : [i];
    const middle = (X[over[0]] + X[over.at(-1)] + wide[over.at(-1)]) / 2;
    const half = widthOf(columns[i].group) / 2 + 4;
    if (columns[i].group && middle - half > end) {
      svg.append(text(middle, 12, columns[i].group, different.slice(i, j + 1).some(Boolean) ? "labd" : "lab"));
      end = middle + half;
    }
    i = j + 1;
  }
}

function row(g, { columns, r, X, wide, y, lanes, tall, joined, shapes, entry }) {
  const reference = (i) => columns[i].nodes[0];
  let before = entry;
  columns.forEach((column, i) => {
    const node = column.nodes[r];
    if (!node) {
      if (r && reference(i)) {
        const middle = round(X[i] + wide[i] / 2);
        g.append(path(`M${middle - 6},${y - 6}v12M${middle + 6},${y - 6}v12`, "lack"));
      }
      return;
    }
    const hot = r > 0 && (!reference(i) || operation(reference(i)) !== operation(node));
    const w = isJoin(node) ? 18 : wide[i];
    const at = isJoin(node) ? X[i] + (wide[i] - 18) / 2 : X[i];
    if (before) g.append(path(`M${round(before.end)},${y}H${round(at - 5)}`, "wire"), headRight(at, y));
    if (isJoin(node)) g.append(join(node, at + 9, y, hot ? "hot" : ""));
    else {
      const { lines, titles } = words(node);
      const h = Math.max(tall(node), lines.length * 14 + 6);
      const last = before ? tall(before.node) : h;
      g.append(block(node, at, y, w, h, { before: Math.max(last, h), words: lines, titles, cls: hot ? "hot" : "cold" }));
      const other = r > 0 && (!reference(i) || shapeOf(reference(i)) !== shapeOf(node));
      if (under(node)) g.append(text(at + w / 2, y + 43, under(node), other && shapes[i] ? "hotw" : "shape2"));
    }
    before = { end: at + w, node };
  });
  for (const [key, item] of joined[r]) {
    const [a, b] = key.split(">").map(Number);
    const same = joined[0].get(key);
    const cls = r && !same ? "hot" : "";
    const lane = y - lanes.get(item.lane);
    const from = X[a] + wide[a] + 5;
    const target = columns[b].nodes[r];
    const to = X[b] + wide[b] / 2;
    const land = isJoin(target) ? y - 9 : y - tall(target) / 2;
    g.append(dot(from, y, cls), path(`M${round(from)},${y}V${round(lane + 8)}q0,-8 8,-8H${round(to - 8)}q8,0 8,8V${round(land - 5)}`, `wire skip ${cls}`), headDown(to, land, cls));
    item.nodes.forEach((node, i) => {
      const line = [node.title, node.detail].filter(Boolean).join(" ");
      const w = widthOf(line) + 14;
      const middle = from + ((to - from) * (i + 1)) / (item.nodes.length + 1);
      const other = same?.nodes[i];
      const changed = r > 0 && (!other || operation(other) !== operation(node));
      g.append(block(node, middle - w / 2, lane, w, LANE, { words: [line], cls: changed ? "hot" : "cold" }));
    });
  }
}
