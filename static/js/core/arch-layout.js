/* arch-layout.js: from the picture of a network to rows and lanes; knows no pixels but the lengths it is given.

   arrange(graph) -> {nodes: Map id -> node, spine: [id], items: [item], lanes: [{blocks: bool}], taps: Set id, index: Map id -> place}
     spine   a longest path, drawn as the main row
     items   everything beside it: {nodes: [id], from: id|null, to: id|null, lane}; a skip connection has no nodes, a projection has one
     place   position along the spine (0, 1, ... for the spine; between them for nodes on a lane)
   isChain(plan), part(plan, a, b), cuts(plan): whether this suits the graph, a stretch of it, where it may be cut into rows
   An edge with a title (cell spaces: the operation lies on the edge) becomes a node of its own.
   stretch(widths, least, weights, free, most) -> gaps;  words(node), kindOf(title), sizeOf(node), isJoin(node) */

const KINDS = [
  [/none|zero/i, "zero"], [/skip|identity/i, "identity"], [/attention/i, "attention"], [/lstm|gru|recurrent/i, "recurrent"], [/embed/i, "embed"], [/sep|dil|depthwise|mbconv/i, "sep"], [/conv/i, "conv"],
  [/pool|avg|max/i, "pool"], [/linear|dense/i, "dense"], [/norm/i, "norm"], [/relu|gelu|silu/i, "act"], [/drop/i, "drop"],
];
export const kindOf = (title) => KINDS.find(([pattern]) => pattern.test(title))?.[1] || "other";
export const isJoin = (node) => node.kind === "add" || node.kind === "concat" || node.kind === "mul";

/** Extent in space of a node's output; 1 for vectors. */
export const sizeOf = (node) => (node.shape && node.shape.length > 1 ? node.shape.at(-1) : 1);

/** Nodes by id and edges as pairs. */
export function opened(graph) {
  const nodes = new Map(graph.nodes.map((node) => [node.id, { ...node, kind: node.kind || "other" }]));
  const edges = [];
  const times = new Map();
  graph.edges.forEach((edge) => {
    if (!nodes.has(edge.source) || !nodes.has(edge.target)) return;
    if (!edge.title) {
      edges.push([edge.source, edge.target]);
      return;
    }
    const between = `${edge.source}>${edge.target}`;
    times.set(between, (times.get(between) || 0) + 1);
    const id = `${between} ${times.get(between)}`; // the same place has the same name in every network
    const [, title, detail] = edge.title.match(/^(.*?)\s+(\S*\d\S*)$/) || [null, edge.title, ""];
    nodes.set(id, { id, title, detail, kind: edge.kind || kindOf(edge.title), onEdge: true, group: "", n_params: edge.n_params || 0, n_macs: edge.n_macs || 0 });
    edges.push([edge.source, id], [id, edge.target]);
  });
  return { nodes, edges };
}

/** Neighbours by id. */
export function links(nodes, edges) {
  const into = new Map([...nodes.keys()].map((id) => [id, []]));
  const out = new Map([...nodes.keys()].map((id) => [id, []]));
  for (const [a, b] of edges) {
    into.get(b).push(a);
    out.get(a).push(b);
  }
  return { into, out };
}

/** Topological order; what is on a circle (never in a valid picture) comes last. */
export function ordered(nodes, into, out) {
  const waits = new Map([...nodes.keys()].map((id) => [id, into.get(id).length]));
  const ready = [...nodes.keys()].filter((id) => !waits.get(id));
  const order = [];
  while (ready.length) {
    const id = ready.shift();
    order.push(id);
    for (const next of out.get(id)) {
      waits.set(next, waits.get(next) - 1);
      if (!waits.get(next)) ready.push(next);
    }
  }
  return order.length === nodes.size ? order : [...order, ...[...nodes.keys()].filter((id) => !order.includes(id))];
}

/** A longest path through the allowed nodes; among equals the one with more multiply-adds, then the earlier one. */
function longest(order, allowed, into, nodes) {
  const best = new Map();
  let end = null;
  const better = (a, b) => !b || a.length > b.length || (a.length === b.length && a.cost > b.cost);
  for (const id of order) {
    if (!allowed.has(id)) continue;
    let found = { length: 0, cost: 0, before: null };
    for (const before of into.get(id)) {
      const one = best.get(before);
      if (one && better(one, found)) found = { ...one, before };
    }
    const node = nodes.get(id);
    const one = { length: found.length + 1, cost: found.cost + (node.n_macs || 0) + (node.kind === "zero" ? -1 : 0), before: found.before };
    best.set(id, one);
    if (end === null || better(one, best.get(end))) end = id;
  }
  const path = [];
  for (let id = end; id !== null; id = best.get(id).before) path.unshift(id);
  return path;
}

/** What lies on some way from an input to the last node; a cell may have sums that nothing reaches, or that reach nothing. */
export function flowing(order, into, out, nodes, main = false) {
  const walk = (start, next) => {
    const seen = new Set(start);
    const queue = [...start];
    while (queue.length) {
      for (const id of next.get(queue.pop())) {
        if (seen.has(id)) continue;
        seen.add(id);
        queue.push(id);
      }
    }
    return seen;
  };
  const inputs = order.filter((id) => nodes.get(id).kind === "input");
  const outputs = order.filter((id) => nodes.get(id).kind === "output");
  const ends = main ? outputs.filter((id) => !nodes.get(id).dashed) : outputs; // an auxiliary output is dashed
  const forward = walk(inputs.length ? inputs : order.slice(0, 1), out);
  const backward = walk(ends.length ? ends : order.filter((id) => !nodes.get(id).onEdge).slice(-1), into);
  return new Set(order.filter((id) => forward.has(id) && backward.has(id)));
}

export function arrange(graph) {
  const { nodes, edges } = opened(graph);
  const { into, out } = links(nodes, edges);
  const order = ordered(nodes, into, out);
  const left = new Set(order);
  const used = flowing(order, into, out, nodes);
  for (const id of order) nodes.get(id).idle = used.size > 0 && !used.has(id);
  const main = flowing(order, into, out, nodes, true);
  const spine = longest(order, main.size ? main : used.size ? used : left, into, nodes);
  const index = new Map(spine.map((id, i) => [id, i]));
  const drawn = new Set();
  const key = (a, b) => `${a}\n${b}`;
  spine.forEach((id, i) => {
    left.delete(id);
    if (i) drawn.add(key(spine[i - 1], id));
  });

  const items = [];
  while (left.size) {
    const path = longest(order, left, into, nodes);
    const placed = (ids) => ids.filter((id) => index.has(id));
    const before = placed(into.get(path[0])).sort((a, b) => index.get(b) - index.get(a));
    const after = placed(out.get(path.at(-1))).sort((a, b) => index.get(a) - index.get(b));
    const from = before[0] ?? null;
    const to = after[0] ?? null;
    let low = from === null ? -0.5 : index.get(from);
    path.forEach((id, i) => {
      low = Math.max(low, ...placed(into.get(id)).map((other) => index.get(other)));
      const ends = path.slice(i).flatMap((later) => placed(out.get(later)).map((other) => index.get(other)));
      const high = Math.max(Math.min(...ends, spine.length - 0.5), low);
      low += (high - low) / (path.length - i + 1);
      index.set(id, low);
      if (i) drawn.add(key(path[i - 1], id));
    });
    if (from !== null) drawn.add(key(from, path[0]));
    if (to !== null) drawn.add(key(path.at(-1), to));
    for (const id of path) left.delete(id);
    items.push({ nodes: path, from, to });
  }
  for (const [a, b] of edges) {
    if (drawn.has(key(a, b))) continue;
    drawn.add(key(a, b));
    items.push({ nodes: [], from: a, to: b });
  }

  const lanes = [];
  const reach = (item) => [item.from === null ? -0.5 : index.get(item.from), item.to === null ? spine.length - 0.5 : index.get(item.to)];
  const onSpine = new Set(spine);
  const rank = (item) => {
    const [a, b] = reach(item);
    const bound = (id) => id === null || onSpine.has(id);
    return (bound(item.from) && bound(item.to) ? 0 : 1000) + (b - a);
  };
  for (const item of [...items].sort((p, q) => rank(p) - rank(q))) {
    const [a, b] = reach(item);
    // a lane may be shared by what only touches; nodes on a lane keep it for themselves over their reach
    const free = (lane) => lane.taken.every(([c, d]) => b <= c || d <= a);
    const floor = Math.max(-1, ...items.filter((o) => o.lane !== undefined && (o.nodes.includes(item.from) || o.nodes.includes(item.to))).map((o) => o.lane));
    let at = lanes.findIndex((lane, i) => i > floor && free(lane));
    if (at < 0) at = lanes.push({ taken: [], blocks: false }) - 1;
    lanes[at].taken.push([a, b]);
    lanes[at].blocks ||= item.nodes.length > 0;
    item.lane = at;
  }
  const taps = new Set(items.map((item) => item.from).filter((id) => id !== null));
  return { nodes, spine, items, lanes, taps, index, into, out };
}

/** Whether rows and lanes suit a plan: a main row with short ways beside it. Anything else is drawn in layers (arch-layers.js). */
export function isChain(plan) {
  const onSpine = new Set(plan.spine);
  const beside = plan.nodes.size - plan.spine.length;
  return plan.lanes.length <= 3 && beside <= 2 + plan.spine.length / 2 && plan.items.every((item) => {
    if (item.nodes.some((id) => plan.nodes.get(id).idle)) return false;
    const end = item.to === null ? item.nodes.length <= 6 && item.nodes.every((id) => plan.nodes.get(id).dashed) : onSpine.has(item.to);
    return end && item.from !== null && onSpine.has(item.from) && (item.to === null || item.nodes.length <= 2);
  });
}

/** The part of a plan whose spine is [a, b), with what lies beside it; a way may begin at the `entry`, the last step of the row before. */
export function part(plan, a, b) {
  const spine = plan.spine.slice(a, b);
  const entry = a ? plan.spine[a - 1] : null;
  const own = new Set(spine);
  const items = plan.items.filter((item) => own.has(item.to) || (own.has(item.from) && item.to === null)).map((item) => ({ ...item }));
  const used = [...new Set(items.map((item) => item.lane))].sort((p, q) => p - q);
  for (const item of items) item.lane = used.indexOf(item.lane);
  const index = new Map([...plan.index].map(([id, place]) => [id, place - a]));
  return { ...plan, spine, entry, items, lanes: used.map((lane) => plan.lanes[lane]), index };
}

/** Places i in the spine behind which a row may end: no way beside the spine leads over it (one may begin there). */
export function cuts(plan) {
  const open = new Array(plan.spine.length).fill(true);
  for (const item of plan.items) {
    const from = item.from === null ? 0 : Math.floor(plan.index.get(item.from)) + (item.to === null ? 0 : 1);
    const to = item.to === null ? from + 2 : Math.ceil(plan.index.get(item.to));
    for (let i = from; i < Math.min(to, open.length); i += 1) open[i] = false;
  }
  return open;
}

/** Gaps of at least `least`, in proportion to `weights`, that together fill `free` (or are at their least). No unit is over `most`. */
export function stretch(least, weights, free, most = 60) {
  const gaps = (unit) => least.map((l, i) => Math.max(l, weights[i] * unit));
  const sum = (list) => list.reduce((a, b) => a + b, 0);
  let [low, high] = [0, most];
  if (sum(gaps(high)) <= free) return gaps(high);
  for (let i = 0; i < 40; i += 1) {
    const middle = (low + high) / 2;
    if (sum(gaps(middle)) <= free) low = middle;
    else high = middle;
  }
  return gaps(low);
}

/** Costs of what stands on lanes are shown under the spine node they flow into. */
export function costs(plan, name) {
  const own = new Map(plan.spine.map((id) => [id, plan.nodes.get(id)[name] || 0]));
  for (const item of plan.items) {
    const value = item.nodes.reduce((sum, id) => sum + (plan.nodes.get(id)[name] || 0), 0);
    if (!value || item.to === null) continue;
    const at = Math.min(plan.spine.length - 1, Math.max(0, Math.ceil(plan.index.get(item.to))));
    own.set(plan.spine[at], own.get(plan.spine[at]) + value);
  }
  return own;
}

/** The lines that stand in a block: title, then its argument, broken where it is long. */
export function words(node, most = 12) {
  const lines = [node.title || node.kind];
  let detail = node.detail || "";
  if (lines[0].length > most && lines[0].includes(" ")) lines.splice(0, 1, ...broken(lines[0], most));
  if (detail) lines.push(...broken(detail, Math.max(most, 10)));
  return { lines, titles: lines.length - (detail ? broken(detail, Math.max(most, 10)).length : 0) };
}

function broken(text, most) {
  const out = [];
  for (const part of text.split(/(?<=,)\s+|\s+/)) {
    if (out.length && `${out.at(-1)} ${part}`.length <= most) out[out.length - 1] += ` ${part}`;
    else out.push(part);
  }
  return out;
}

/** Channels, and height × width while there is any space. */
export function shapeWords(node) {
  const shape = node.shape || [];
  if (!shape.length) return ["", ""];
  if (shape.length === 1 || shape.slice(1).every((v) => v === 1)) return [String(shape[0]), ""];
  return [String(shape[0]), shape.slice(1).join("×")];
}
