/* arch-difference-graph.js: graphDifference(graphs, labels, width) -> svg: any graphs over each other, every step at the same place in all.
   Steps are matched in the order of the networks (the best common subsequence): the same id first, then the same operation in the same group. What
   any of them has is laid out once (arch-layers.js); the first is the reference. Marks as in arch-difference.js; a coloured line is one more. */
import { s } from "./dom.js";
import { landings, moved, readGraph, step, wirePath } from "./arch-graph.js";
import { nameOf, nameRoom, operation, shapeOf, sortOf } from "./arch-difference.js";
import { isJoin, shapeWords } from "./arch-layout.js";
import { layered } from "./arch-layers.js";
import { block, headDown, headRight, join, path, round, text } from "./arch-parts.js";

/** How well two steps may stand for each other; 0 = not at all. */
function likeness(a, b) {
  if (isJoin(a) !== isJoin(b) || (a.kind === "input") !== (b.kind === "input") || (a.kind === "output") !== (b.kind === "output")) return 0;
  const same = operation(a) === operation(b);
  if (a.id === b.id) return same ? 6 : 5;
  if ((a.group || "") !== (b.group || "") || a.onEdge || b.onEdge) return 0;
  return same ? 3 : sortOf(a) === sortOf(b) ? 1 : 0;
}

/** Pairs of places with the greatest likeness in all, in order. */
function pairs(list, other, like) {
  const best = Array.from({ length: list.length + 1 }, () => new Float64Array(other.length + 1));
  for (let i = list.length - 1; i >= 0; i -= 1) {
    for (let j = other.length - 1; j >= 0; j -= 1) {
      const one = like(list[i], other[j]);
      best[i][j] = Math.max(best[i + 1][j], best[i][j + 1], one ? one + best[i + 1][j + 1] : 0);
    }
  }
  const found = [];
  for (let i = 0, j = 0; i < list.length && j < other.length; ) {
    const one = like(list[i], other[j]);
    if (one && best[i][j] === one + best[i + 1][j + 1]) found.push([i++, j++]);
    else if (best[i][j] === best[i + 1][j]) i += 1;
    else j += 1;
  }
  return found;
}

/** Places that hold the steps of all graphs: [{id, nodes: [node or undefined per graph]}], in an order that is right for each. */
export function slotsOf(reads) {
  let slots = [];
  reads.forEach((read, r) => {
    const row = read.order.map((id) => read.nodes.get(id));
    const like = (slot, node) => Math.max(0, ...slot.nodes.filter(Boolean).map((other) => likeness(other, node)));
    const merged = [];
    let [i, j] = [0, 0];
    const alone = (node) => merged.push({ nodes: Object.assign(new Array(reads.length), { [r]: node }) });
    for (const [a, b] of [...pairs(slots, row, like), [slots.length, row.length]]) {
      while (i < a) merged.push(slots[i++]);
      while (j < b) alone(row[j++]);
      if (a < slots.length) {
        slots[a].nodes[r] = row[b];
        merged.push(slots[a]);
      }
      [i, j] = [a + 1, b + 1];
    }
    slots = merged;
  });
  slots.forEach((slot, k) => (slot.id = `slot ${k}`));
  return slots;
}

const ways = (reads, slots) => reads.map((read, r) => {
  const at = new Map(slots.flatMap((slot) => (slot.nodes[r] ? [[slot.nodes[r].id, slot.id]] : [])));
  return new Set(read.edges.map(([a, b]) => `${at.get(a)}>${at.get(b)}`));
});

const written = (node) => (node ? `${operation(node)} ${shapeOf(node)}` : "-");
const unlike = (slot, say, n) => new Set(Array.from({ length: n }, (_, r) => say(slot.nodes[r]))).size > 1;

/** Whether anything differs between them. */
export function graphsDiffer(graphs) {
  const reads = graphs.map(readGraph);
  const slots = slotsOf(reads);
  if (slots.some((slot) => unlike(slot, written, reads.length))) return true;
  return new Set(ways(reads, slots).map((set) => [...set].sort().join("\n"))).size > 1;
}

export function graphDifference(graphs, labels, width) {
  const reads = graphs.map(readGraph);
  const slots = slotsOf(reads);
  const edges = ways(reads, slots);
  const n = reads.length;
  const shape = (node) => (node ? shapeWords(node).filter(Boolean).join(" × ") : "");
  const sizes = new Map(slots.map((slot) => {
    const other = new Set(slot.nodes.filter(Boolean).map(shape)).size > 1;
    const each = slot.nodes.map((node) => (node ? step(node, { shape: other ? shape(node) : "" }) : null));
    const some = each.filter(Boolean);
    const most = (name) => Math.max(...some.map((one) => one[name]));
    return [slot.id, { w: most("w"), h: most("h"), box: most("box"), each }];
  }));
  const all = [...new Set(edges.flatMap((set) => [...set]))].map((key) => key.split(">"));
  const inputs = slots.filter((slot) => slot.nodes.some((node) => node?.kind === "input")).map((slot) => slot.id);
  const output = slots.filter((slot) => slot.nodes.some((node) => node?.kind === "output" && !node.dashed)).at(-1)?.id;
  const lay = (vertical) => layered(slots.map((slot) => slot.id), all, (id) => sizes.get(id), { vertical, first: inputs, last: output, gap: 14, between: vertical ? 24 : 30 });

  const room = nameRoom(labels);
  let narrow = width < 720;
  let vertical = false;
  let found = lay(false);
  if (found.width + (narrow ? 4 : room + 12) > width) {
    const down = lay(true);
    if (down.width + 4 <= width && down.height < 1200) [found, vertical, narrow] = [down, true, true];
  }
  const left = narrow ? 2 : room + 8;
  const over = narrow ? 34 : 14;
  const each = Math.max(found.height + over + 16, 62);
  const W = Math.ceil(left + found.width + 8);
  const H = Math.ceil(each * n);
  const differ = slots.filter((slot) => unlike(slot, written, n));
  const names = [...new Set(differ.flatMap((slot) => slot.nodes.filter(Boolean).map((node) => node.group || [node.title, node.detail].filter(Boolean).join(" "))).filter(Boolean))];
  const svg = s("svg", { width: W, height: H, viewBox: `0 0 ${W} ${H}`, class: "arch diff graph", role: "group",
    "aria-label": names.length ? `${labels.map((label) => label.name).join(", ")}: they differ in ${names.slice(0, 12).join(", ")}` : "The same steps, joined in other ways" });
  const shift = landings(found.wires, found.at, (id) => sizes.get(id), vertical);
  const band = new Set(slots.filter((slot) => unlike(slot, (node) => (node ? operation(node) : "-"), n)).map((slot) => slot.id));
  reads.forEach((_, r) => {
    const top = each * r;
    const g = s("g");
    svg.append(g);
    if (r) g.append(path(`M0,${round(top) + 0.5}H${W}`, "base"));
    const inner = s("g", { transform: `translate(${left},${round(top + over)})` });
    nameOf(g, labels[r] || { name: `network ${r + 1}` }, r, narrow, 0, narrow ? top + 16 : top + over + found.height / 2 - 14);
    g.append(inner);
    for (const slot of slots) if (band.has(slot.id)) inner.append(ground(found.at.get(slot.id), sizes.get(slot.id), vertical));
    for (const wire of found.wires) {
      const mine = [...wire.targets].filter((id) => edges[r].has(`${wire.source}>${id}`));
      if (!mine.length) continue;
      const hot = r > 0 && mine.every((id) => !edges[0].has(`${wire.source}>${id}`)) ? "hot" : "";
      const { d, tip } = wirePath(moved(wire, found.at, sizes, vertical), vertical, shift.get(wire) || 0);
      inner.append(path(d, `wire ${hot}`));
      if (wire.end !== null) inner.append(vertical ? headDown(tip[0], tip[1] + 5, hot) : headRight(tip[0] + 5, tip[1], hot));
    }
    for (const slot of slots) inner.append(...drawn(slot, r, found.at.get(slot.id), sizes.get(slot.id), vertical));
  });
  return svg;
}

const ground = ({ x, y }, { w, h, box }, vertical) => s("rect", { x: round(x - w / 2 - 6), y: round(y - (vertical ? h : box) / 2 - 5), width: round(w + 12), height: round(h + 10), rx: 3, class: "band" });

function drawn(slot, r, { x, y }, { w, h, box, each }, vertical) {
  const node = slot.nodes[r];
  const reference = slot.nodes[0];
  const middle = vertical ? y - (h - box) / 2 : y;
  if (!node) return r && reference ? [path(`M${round(x - 6)},${round(middle - 6)}v12M${round(x + 6)},${round(middle - 6)}v12`, "lack")] : [];
  const hot = r > 0 && (!reference || operation(reference) !== operation(node)) ? "hot" : "";
  if (isJoin(node)) return [join(node, x, middle, hot)];
  const { list, titles, shape } = each[r];
  const parts = [block(node, x - w / 2, middle, w, box, { words: list, titles, vertical: true, cls: hot || "cold" })];
  if (shape) parts.push(text(x, middle + box / 2 + 13, shape, r && (!reference || shapeOf(reference) !== shapeOf(node)) ? "hotw" : "shape2"));
  return parts;
}
