/* arch-layers.js: places for any directed graph; knows no words, only sizes (Sugiyama, Tagawa, Toda 1981).

   layered(ids, edges, size, options) -> {at: Map id -> {x, y, rank}, wires: [{source, start: id|null, rank, targets: Set, lines: [[[x, y], [x, y]], ...], end: id|null}],
     width, height, ranks, layers: [{start, deep, low, high, passing: lines that come into it}]}
     ids in topological order; edges [[source, target]]; size(id) -> {w, h, box: height without the words under it}; first: ids that stay in the first layer; last: id that stays in the last one
     options.vertical: layers from above to below instead of from left to right
     a wire is straight lines through the layers, joined by curves between them
   1 every node one layer behind the last that it reads; 2 all ways from one node share one trunk through the layers between (fewer lines);
   3 the order inside a layer by barycentres, up and down, the best crossing count is kept; 4 places: pulled to the mean of the neighbours, order and
   distances kept (least squares by pooling adjacent violators). x, y are centres
     (from left to right: y of the node without the words under it). */

const SWEEPS = 10;
const mean = (list) => list.reduce((a, b) => a + b, 0) / list.length;

function rankOf(ids, into, out, first, last) {
  const rank = new Map();
  for (const id of ids) rank.set(id, Math.max(-1, ...into.get(id).map((other) => rank.get(other))) + 1);
  const deepest = Math.max(...rank.values());
  if (last !== undefined && rank.has(last)) rank.set(last, deepest);
  // what more is read from than it reads stands close to its readers: shorter ways
  for (const id of [...ids].reverse()) {
    if (first.has(id) || !out.get(id).length || (out.get(id).length <= into.get(id).length)) continue;
    rank.set(id, Math.min(...out.get(id).map((other) => rank.get(other))) - 1);
  }
  return rank;
}

/** Layers of vertices: nodes, and the places where a trunk passes. */
function build(ids, rank, out) {
  const depth = Math.max(...rank.values()) + 1;
  const layers = Array.from({ length: depth }, () => []);
  const vertex = new Map();
  for (const id of ids) {
    const v = { id, source: id, rank: rank.get(id), up: [], down: [], place: 0, at: 0 };
    vertex.set(id, v);
    layers[v.rank].push(v);
  }
  const link = (a, b) => {
    a.down.push(b);
    b.up.push(a);
  };
  for (const id of ids) {
    const targets = [...new Set(out.get(id))].map((other) => vertex.get(other)).sort((a, b) => a.rank - b.rank);
    let trunk = vertex.get(id);
    for (const target of targets) {
      while (trunk.rank < target.rank - 1) {
        const next = { id: null, source: id, rank: trunk.rank + 1, up: [], down: [], place: 0, at: 0 };
        layers[next.rank].push(next);
        link(trunk, next);
        trunk = next;
      }
      link(trunk, target);
    }
  }
  return { layers, vertex };
}

/** Vertices in the order of a walk in depth: what belongs together begins together. */
function begin(layers) {
  const seen = new Set();
  const order = layers.map(() => []);
  const stack = [...layers[0]].reverse();
  const rest = layers.flat();
  while (stack.length || rest.length) {
    const v = stack.pop() || rest.shift();
    if (seen.has(v)) continue;
    seen.add(v);
    order[v.rank].push(v);
    for (const next of [...v.down].reverse()) if (!seen.has(next)) stack.push(next);
  }
  return order;
}

const number = (layer) => layer.forEach((v, i) => (v.place = i));

/** Crossings between a layer and the next one, counted with a tree of sums. */
function crossings(layer, size) {
  const tree = new Array(size + 1).fill(0);
  let [count, seen] = [0, 0];
  for (const v of layer) {
    const ends = v.down.map((w) => w.place).sort((a, b) => a - b);
    for (const end of ends) {
      let before = 0;
      for (let i = end + 1; i > 0; i -= i & -i) before += tree[i];
      count += seen - before;
    }
    for (const end of ends) {
      seen += 1;
      for (let i = end + 1; i <= size; i += i & -i) tree[i] += 1;
    }
  }
  return count;
}

function sortLayers(layers) {
  layers.forEach(number);
  const total = () => layers.slice(0, -1).reduce((sum, layer, i) => sum + crossings(layer, layers[i + 1].length), 0);
  let best = layers.map((layer) => [...layer]);
  let least = total();
  const sweep = (list, side) => {
    for (const layer of list) {
      const key = new Map(layer.map((v) => [v, v[side].length ? mean(v[side].map((w) => w.place)) : v.place]));
      layer.sort((a, b) => key.get(a) - key.get(b) || a.place - b.place);
      number(layer);
    }
  };
  const many = layers.reduce((sum, layer) => sum + layer.length, 0) > 4000;
  for (let i = 0; i < (many ? SWEEPS / 2 : SWEEPS) && least; i += 1) {
    if (i % 2 === 0) sweep(layers.slice(1), "up");
    else sweep(layers.slice(0, -1).reverse(), "down");
    const now = total();
    if (now < least) [least, best] = [now, layers.map((layer) => [...layer])];
  }
  best.forEach((layer, i) => {
    layers[i] = layer;
    number(layer);
  });
  if (!many) exchange(layers);
}

/** Neighbours change places where that saves crossings. */
function exchange(layers) {
  const between = (a, b, side) => {
    let count = 0;
    for (const p of a[side]) for (const q of b[side]) count += p.place > q.place ? 1 : 0;
    return count;
  };
  for (let round = 0, better = true; better && round < 6; round += 1) {
    better = false;
    for (const layer of layers) {
      for (let i = 0; i + 1 < layer.length; i += 1) {
        const [a, b] = [layer[i], layer[i + 1]];
        const gain = between(a, b, "up") + between(a, b, "down") - between(b, a, "up") - between(b, a, "down");
        if (gain <= 0) continue;
        layer[i] = b;
        layer[i + 1] = a;
        number(layer);
        better = true;
      }
    }
  }
}

/** Places nearest to what is wished for, in order and at least `apart` from each other: pooled adjacent violators. */
function settle(layer, wish, weight, apart) {
  const pools = [];
  let shift = 0;
  layer.forEach((v, i) => {
    if (i) shift += apart(layer[i - 1], v);
    let pool = { sum: weight[i] * (wish[i] - shift), weight: weight[i], of: [[v, shift]] };
    while (pools.length && pools.at(-1).sum / pools.at(-1).weight > pool.sum / pool.weight) {
      const before = pools.pop();
      pool = { sum: before.sum + pool.sum, weight: before.weight + pool.weight, of: [...before.of, ...pool.of] };
    }
    pools.push(pool);
  });
  for (const pool of pools) for (const [v, by] of pool.of) v.at = pool.sum / pool.weight + by;
}

function place(layers, extent, gap) {
  const apart = (a, b) => extent(a)[1] + extent(b)[0] + (a.id && b.id ? gap : a.id || b.id ? gap * 0.75 : gap * 0.6);
  for (const layer of layers) {
    let at = 0;
    layer.forEach((v, i) => {
      if (i) at += apart(layer[i - 1], v);
      v.at = at;
    });
    layer.forEach((v) => (v.at -= at / 2));
  }
  // a trunk keeps straight before a node does, a single way before one of many
  const pull = (v, w) => (v.id ? 1 : 4) * (w.id ? 1 : 3) / Math.max(1, Math.min(v.down.length + v.up.length, 4) / 2);
  const sweep = (list, sides) => {
    for (const layer of list) {
      const weight = [];
      const wish = layer.map((v) => {
        const near = sides.flatMap((side) => v[side]);
        if (!near.length) {
          weight.push(0.05);
          return v.at;
        }
        const pulls = near.map((w) => pull(v, w));
        weight.push(v.id ? 1 : 3);
        const all = pulls.reduce((a, b) => a + b, 0);
        return near.reduce((sum, w, i) => sum + w.at * pulls[i], 0) / all;
      });
      settle(layer, wish, weight, apart);
    }
  };
  for (let i = 0; i < 5; i += 1) {
    sweep(layers.slice(1), ["up"]);
    sweep(layers.slice(0, -1).reverse(), ["down"]);
  }
  for (let i = 0; i < 4; i += 1) {
    sweep(i % 2 ? [...layers].reverse() : layers, ["up", "down"]);
    straighten(layers, apart);
  }
}

/** Trunks in as few straight pieces as their neighbours leave room for, and no bend between two nodes that only have each other. */
function straighten(layers, apart) {
  const trunks = new Map();
  for (const v of layers.flat()) {
    if (v.id) continue;
    if (!trunks.has(v.source)) trunks.set(v.source, []);
    trunks.get(v.source).push(v);
  }
  const room = (v) => {
    const layer = layers[v.rank];
    const [a, b] = [layer[v.place - 1], layer[v.place + 1]];
    return [a ? a.at + apart(a, v) : -Infinity, b ? b.at - apart(v, b) : Infinity];
  };
  for (const trunk of trunks.values()) {
    let before = trunk[0].up[0].at;
    for (let i = 0; i < trunk.length; ) {
      let [low, high] = room(trunk[i]);
      let end = i + 1;
      for (; end < trunk.length; end += 1) {
        const [a, b] = room(trunk[end]);
        if (Math.max(a, low) > Math.min(b, high)) break;
        [low, high] = [Math.max(a, low), Math.min(b, high)];
      }
      // on with the line that comes, or already in line with where it goes, where there is room for it
      const goal = end === trunk.length ? mean(trunk.at(-1).down.map((w) => w.at)) : mean(trunk.slice(i, end).map((v) => v.at));
      const at = before >= low && before <= high ? before : Math.min(high, Math.max(low, goal));
      for (; i < end; i += 1) trunk[i].at = at;
      before = at;
    }
  }
  for (const v of layers.slice(1).flat()) {
    if (!v.id || v.up.length !== 1 || v.up[0].down.length !== 1) continue;
    const [low, high] = room(v);
    if (v.up[0].at >= low && v.up[0].at <= high) v.at = v.up[0].at;
  }
}

export function layered(ids, edges, size, options = {}) {
  const { vertical = false, first = [], last, gap = 16, between = 34 } = options;
  const into = new Map(ids.map((id) => [id, []]));
  const out = new Map(ids.map((id) => [id, []]));
  for (const [a, b] of edges) {
    into.get(b).push(a);
    out.get(a).push(b);
  }
  const rank = rankOf(ids, into, out, new Set(first), last);
  const built = build(ids, rank, out);
  const layers = begin(built.layers);
  sortLayers(layers);
  // how far a vertex reaches before and behind its middle; words under a node belong to it, its lines meet the node itself
  const across = (v) => {
    if (!v.id) return [1, 1];
    const { w, h, box = h } = size(v.id);
    return vertical ? [w / 2, w / 2] : [box / 2, h - box / 2];
  };
  const along = (v) => (v.id ? (vertical ? size(v.id).h : size(v.id).w) : 0);
  place(layers, across, gap);

  // the layers one behind the other; more room where many ways go far
  const deep = layers.map((layer) => Math.max(0, ...layer.map(along)));
  const start = [];
  let at = 0;
  layers.forEach((layer, i) => {
    start.push(at);
    const far = Math.max(0, ...layer.flatMap((v) => v.down.map((w) => Math.abs(w.at - v.at))));
    at += deep[i] + between + Math.min(34, far / 12);
  });
  at -= layers.length ? between : 0;
  const low = Math.min(...layers.flat().map((v) => v.at - across(v)[0]));
  const high = Math.max(...layers.flat().map((v) => v.at + across(v)[1]));
  for (const v of layers.flat()) {
    v.at = Math.round((v.at - low) * 10) / 10;
    v.middle = start[v.rank] + deep[v.rank] / 2;
  }
  const point = (a, c) => (vertical ? [c, a] : [a, c]);
  const places = new Map([...built.vertex].map(([id, v]) => {
    const [x, y] = point(v.middle, v.at);
    return [id, { x, y, rank: v.rank }];
  }));
  const reach = Math.max(...layers.map((_, i) => start[i] + deep[i]));
  const [width, height] = point(reach, high - low);
  const extent = layers.map((layer, i) => ({
    start: start[i], deep: deep[i],
    low: Math.min(...layer.map((v) => v.at - across(v)[0])), high: Math.max(...layer.map((v) => v.at + across(v)[1])),
    passing: layer.reduce((sum, v) => sum + v.up.length, 0),
  }));
  return { at: places, wires: wires(layers, { start, deep, along, point }), width, height, ranks: layers.length, layers: extent };
}

/** Lines from a node, or from where a trunk parts, to a node or to where it parts again. */
function wires(layers, { start, deep, along, point }) {
  const found = [];
  const targetsOf = new Map();
  for (const layer of [...layers].reverse()) {
    for (const v of layer) targetsOf.set(v, new Set(v.id ? [v.id] : v.down.flatMap((w) => [...targetsOf.get(w)])));
  }
  for (const layer of layers) {
    for (const v of layer) {
      if (!v.id && v.down.length === 1) continue;
      for (const next of v.down) {
        const edge = point(start[v.rank] + deep[v.rank], v.at);
        const lines = [[v.id ? point(v.middle + along(v) / 2, v.at) : edge, edge]];
        let w = next;
        const targets = targetsOf.get(w);
        while (!w.id) {
          lines.push([point(start[w.rank], w.at), point(start[w.rank] + deep[w.rank], w.at)]);
          if (w.down.length !== 1) break;
          [w] = w.down;
        }
        if (w.id) lines.push([point(start[w.rank], w.at), point(w.middle - along(w) / 2, w.at)]);
        found.push({ source: v.source, start: v.id, rank: v.rank, targets, lines, end: w.id });
      }
    }
  }
  return found;
}
