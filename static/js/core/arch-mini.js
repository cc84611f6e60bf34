/* arch-mini.js: a network in a table's row, 120x26: its steps from left to right, in the colours of the big drawing.

   drawMini(element, mini): fills the element; mini = {steps: [[kind, height class 0-4, share of the multiply-adds in %, repeat?]],
     arcs: [[from, to]], label} (engine/network/miniature.py); data-mini-of on the element says whose network it is. Width is the share, height the extent in space, a narrowing side is
     pooling, a dot is where lines meet, a bar cut into stripes stands for equal steps after each other, an arc skips steps.
   loadMinis(root) -> {again(cell), stop()}: fills every [data-mini="24"] in root when it comes into view; root.dataset.minis is the address that the
     names are put behind, at most 60 at a time, one request after the other. What was once asked for is not asked for again. */
import { $$, s } from "./dom.js";
import { classOf } from "./arch-parts.js";

const [WIDTH, HEIGHT, MIDDLE] = [120, 26, 16];
const TALL = [18, 15, 12, 9, 6];
const FLAT = new Set(["norm", "act", "drop", "identity", "zero"]);
const JOINS = new Set(["add", "concat", "mul"]);
const BATCH = 60;

/** Places of the steps: [{x, w, h}], whole pixels, never wider than the picture. */
function places(steps) {
  const n = steps.length;
  const gap = n > 14 ? 1 : 2;
  const least = n <= 14 ? 4 : n <= 24 ? 3 : 2;
  const stripes = steps.map((step) => Math.min(3, step[3] || 1));
  const room = WIDTH - 1 - gap * (n - 1);
  let low = stripes.map((times) => least * times);
  if (low.reduce((sum, w) => sum + w, 0) > room) low = steps.map(() => Math.max(1, Math.min(least, Math.floor(room / n))));
  const free = Math.max(0, room - low.reduce((sum, w) => sum + w, 0));
  let x = 0;
  return steps.map(([kind, level, share], i) => {
    const w = JOINS.has(kind) ? low[i] : Math.min(24, low[i] + Math.floor((free * share) / 100));
    const place = { x, w, h: FLAT.has(kind) ? 4 : TALL[level] ?? TALL.at(-1) };
    x += w + gap;
    return place;
  });
}

const box = (x, y, w, h) => `M${x + 0.5},${y + 0.5}h${w - 1}v${h - 1}h${1 - w}z`;

function outline([kind, , , repeat = 1], { x, w, h }, before) {
  const top = Math.round(MIDDLE - h / 2);
  if (JOINS.has(kind)) return `M${x + 0.5},${MIDDLE}a1.5,1.5 0 1 0 3,0a1.5,1.5 0 1 0 -3,0`;
  if (kind === "pool" && before > h) {
    const high = Math.round(MIDDLE - before / 2);
    return `M${x + 0.5},${high + 0.5}L${x + w - 0.5},${top + 0.5}v${h - 1}L${x + 0.5},${high + before - 0.5}z`;
  }
  const times = Math.max(1, Math.min(repeat, Math.floor((w + 1) / 4)));
  if (times === 1) return box(x, top, w, h);
  const each = (w - times + 1) / times;
  return Array.from({ length: times }, (_, i) => {
    const [from, to] = [Math.round(i * (each + 1)), Math.round(i * (each + 1) + each)];
    return box(x + from, top, to - from, h);
  }).join("");
}

export function drawMini(element, mini) {
  const { steps, arcs } = mini;
  const label = element.dataset?.miniOf ? `${element.dataset.miniOf}: ${mini.label}` : mini.label;
  const at = places(steps);
  const tops = at.map(({ h }) => MIDDLE - h / 2);
  const svg = s("svg", { class: `arch arch-mini${arcs.length > 12 ? " many" : ""}`, width: WIDTH, height: HEIGHT, viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": label });
  svg.append(s("title", {}, label));
  const lines = arcs.map(([a, b]) => {
    const [from, to] = [at[a].x + at[a].w / 2, at[b].x + Math.min(2, at[b].w / 2)];
    const peak = Math.max(-1, Math.min(...tops.slice(a, b + 1)) - 8);
    return `M${from},${tops[a]}C${from},${peak} ${to},${peak} ${to},${JOINS.has(steps[b][0]) ? MIDDLE - 2 : tops[b]}`;
  });
  if (lines.length) svg.append(s("path", { class: "wire", d: lines.join("") }));
  const shapes = new Map(); // one path a colour: a hundred rows stay light
  steps.forEach((step, i) => {
    const cls = JOINS.has(step[0]) ? "head" : `op ${classOf({ kind: step[0] })}`;
    const before = i ? at[i - 1].h : at[i].h;
    shapes.set(cls, (shapes.get(cls) || "") + outline(step, at[i], Math.max(before, 6)));
  });
  for (const [cls, d] of shapes) svg.append(s("path", { class: cls, d }));
  element.replaceChildren(svg);
}

const known = new Map(); // address and name -> mini; null where no network can be made

export function loadMinis(root) {
  const address = root.dataset.minis;
  const waiting = new Set();
  let timer = 0;
  let stopped = false;

  function fill(cell) {
    const name = address + cell.dataset.mini;
    if (!known.has(name)) return false;
    const mini = known.get(name);
    if (mini) drawMini(cell, mini);
    else cell.replaceChildren();
    return true;
  }

  async function ask() {
    const cells = [...waiting].slice(0, BATCH);
    if (!cells.length) {
      timer = 0;
      return;
    }
    for (const cell of cells) waiting.delete(cell);
    const names = [...new Set(cells.map((cell) => cell.dataset.mini))];
    try {
      const answer = await fetch(address + names.join(","), { credentials: "same-origin" });
      if (answer.ok) {
        const { minis } = await answer.json();
        for (const name of names) known.set(address + name, minis[name] || null);
      }
    } catch {
      if (!stopped) setTimeout(() => cells.forEach((cell) => cell.isConnected && observer.observe(cell)), 10000);
    }
    for (const cell of cells) if (fill(cell)) observer.unobserve(cell);
    timer = waiting.size && !stopped ? setTimeout(ask, 0) : 0;
  }

  const observer = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) {
      if (!isIntersecting) {
        waiting.delete(target); // scrolled past before it was asked for: seen again when it comes back
        continue;
      }
      if (fill(target)) observer.unobserve(target);
      else if (target.dataset.mini) waiting.add(target);
    }
    if (waiting.size && !timer) timer = setTimeout(ask, 60);
  }, { rootMargin: "160px 0px" });
  const again = (cell) => {
    observer.unobserve(cell);
    observer.observe(cell);
  };
  for (const cell of $$("[data-mini]", root)) observer.observe(cell);
  return {
    again,
    stop() {
      stopped = true;
      observer.disconnect();
      clearTimeout(timer);
    },
  };
}
