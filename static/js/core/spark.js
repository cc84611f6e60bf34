/* spark.js: small curves as SVG, 120x26, with one fixed range for the whole table.
   spark(points, options) -> <svg class="spark">;  points: [[x, y], ...] or [y, ...] (x = 1, 2, ...), null = nothing
     width 120, height 26, low, high (range of y: give the table's), last (range of x, e.g. epochs of the budget), step (a step line),
     state "running" | "pruned" | "failed" | ... (colour and end mark), role "accent" (colour by token instead), label (for screen readers),
     band: [[x, low, high], ...] behind it, rungs: [x, ...] dashed rules
   sparkAll(root): fills every [data-spark] (a JSON list of numbers) with data-low, data-high, data-last, data-state, data-step, data-label.
   What lies below the range is not drawn as a line; a curve that is wholly below ends in its state's mark on the base line. */
import { $$, s } from "./dom.js";

const COLOURS = { running: "st-running", pruned: "st-early", failed: "st-failed" };

export function spark(points, options = {}) {
  const { width = 120, height = 26, step = false, state = "", rungs = [], band = [], label = "" } = options;
  const xy = points.map((p, i) => (Array.isArray(p) ? p : [i + 1, p])).filter((p) => Number.isFinite(p[1]));
  const ys = xy.map((p) => p[1]);
  const low = options.low ?? Math.min(...ys, 0);
  const high = options.high ?? Math.max(...ys, low + 1e-9);
  const last = Math.max(options.last ?? 0, ...xy.map((p) => p[0]), 2);
  const X = (x) => 3 + ((width - 6) * (x - 1)) / (last - 1);
  const Y = (y) => height - 3 - ((height - 6) * (Math.min(y, high) - low)) / (high - low || 1);
  const f = (v) => v.toFixed(1);
  const colour = `var(--${options.role || COLOURS[state] || "ink-2"})`;
  const seen = xy.filter((p) => p[1] >= low);
  const svg = s("svg", { class: "spark", width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label || "curve" });
  if (band.length) {
    const up = band.map(([x, , hi]) => `${f(X(x))},${f(Y(Math.max(hi, low)))}`);
    const down = [...band].reverse().map(([x, lo]) => `${f(X(x))},${f(Y(Math.max(lo, low)))}`);
    svg.append(s("path", { d: `M${up.join("L")}L${down.join("L")}Z`, fill: "var(--grid)" }));
  }
  svg.append(s("path", { d: `M0,${height - 0.5}H${width}`, stroke: "var(--line)" }));
  for (const x of rungs) svg.append(s("path", { d: `M${f(X(x))},0V${height}`, stroke: "var(--line-strong)", "stroke-dasharray": "2 2" }));
  const end = xy.at(-1);
  if (seen.length > 1) {
    const d = seen.map(([x, y], i) => (i && step ? `H${f(X(x))}V${f(Y(y))}` : `${i ? "L" : "M"}${f(X(x))},${f(Y(y))}`)).join("");
    svg.append(s("path", { d, fill: "none", stroke: colour, "stroke-width": 1.25, "stroke-linejoin": "round" }));
  }
  if (!end) return svg;
  const x = X(end[0]);
  if (state === "failed") {
    svg.append(s("path", { d: `M${f(x - 3)},${height - 9}l6,6m0,-6l-6,6`, stroke: colour, "stroke-width": 1.75, fill: "none" }));
  } else if (end[1] >= low) {
    svg.append(s("circle", { cx: f(x), cy: f(Y(end[1])), r: 2.2, fill: colour }));
  } else {
    svg.append(s("path", { d: `M${f(x - 3.5)},${height - 8}h7l-3.5,5.5z`, fill: colour }));
  }
  return svg;
}

export function sparkAll(root = document) {
  for (const node of $$("[data-spark]", root)) {
    const number = (name) => (node.dataset[name] === undefined || node.dataset[name] === "" ? undefined : Number(node.dataset[name]));
    let points;
    try {
      points = JSON.parse(node.dataset.spark);
    } catch {
      continue; // an attribute cut short by hand: no curve rather than no page
    }
    const { state, label, role } = node.dataset;
    node.replaceChildren(spark(points, {
      low: number("low"), high: number("high"), last: number("last"), width: number("width") ?? 120, height: number("height") ?? 26,
      step: "step" in node.dataset, state, label, role,
    }));
  }
}
