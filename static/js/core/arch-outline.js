/* arch-outline.js: outlineDrawing(outline, width) -> svg: the picture of a search space, as its places with their options.
   outline: {parts: [{id, kind, title, detail, repeat, decisions: [{name, title, options: [words]}]}], edges: [{source, target, title, dashed}]}
   Places from above to below; beside each the options and what is decided; edges that jump over places are drawn at the left. */
import { s } from "./dom.js";
import { classOf, headDown, headRight, path, round, text, widthOf } from "./arch-parts.js";

const GAP = 14;
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

export function outlineDrawing(outline, width) {
  const order = new Map(outline.parts.map((part, i) => [part.id, i]));
  const jumps = outline.edges.filter((edge) => order.get(edge.target) - order.get(edge.source) !== 1 || edge.title);
  const left = jumps.length ? 20 + Math.max(...jumps.map((edge) => Math.min(64, widthOf(edge.title || "")))) : 2;
  const narrow = width < 480;
  const inBlock = (part) => [part.title, ...(part.decisions?.length && part.detail && part.kind !== "input" ? wrapped(part.detail.split(" "), 96, 3).map((l) => l.map(([, w]) => w).join(" ")) : [])];
  const block = narrow ? 100 : 112;
  const axis = left + block / 2;
  const right = left + block + (narrow ? 22 : 40);
  const rows = outline.parts.map((part) => {
    const free = Math.max(110, width - right);
    const choices = (part.decisions || []).map((decision) => ({
      ...decision,
      lines: wrapped(decision.options.map(String), free, narrow ? 12 : 18),
      under: wrapped(String(decision.title).split(" "), free, 3).map((line) => line.map(([, word]) => word).join(" ")),
    }));
    const high = heightOf(choices);
    const said = inBlock(part);
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
  rows.forEach((row, i) => {
    const at = top.get(row.part.id);
    const middle = at + row.height / 2;
    if (i) svg.append(path(`M${axis},${round(at - GAP)}V${round(at - 5)}`, "wire"), headDown(axis, at));
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
  for (const edge of jumps) {
    const last = order.get(edge.target) - 1 > order.get(edge.source) ? outline.parts[order.get(edge.target) - 1].id : edge.target;
    const from = top.get(edge.source) + rows[order.get(edge.source)].height + 4;
    const to = top.get(last) + rows[order.get(last)].height + 4;
    const x = Math.max(8, left / 2 - 6);
    const wire = s("path", { d: `M${axis},${round(from)}H${x + 8}q-8,0 -8,8V${round(to - 8)}q0,8 8,8H${axis - 5}`, class: "wire", "stroke-dasharray": edge.dashed ? "4 3" : null });
    svg.insertBefore(wire, svg.firstChild);
    svg.append(headRight(axis - 1, to));
    const words = (edge.title || "").split(" ");
    const middle = (from + to) / 2;
    if (edge.title) {
      svg.append(s("rect", { x: 0, y: round(middle - words.length * 8), width: left - 6, height: words.length * 16, class: "paper" }));
      words.forEach((word, k) => svg.append(text(x + 2, middle + 4 + (k - (words.length - 1) / 2) * 15, word, "lab")));
    }
  }
  return svg;
}
