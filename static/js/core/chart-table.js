/* chart-table.js: tableOf(figure) -> <table>: the figure's own table, or one made from its traces. At most 500 rows are written out. */
import { h } from "./dom.js";

const MOST = 500;
const TYPES = {
  i1: Int8Array, u1: Uint8Array, i2: Int16Array, u2: Uint16Array, i4: Int32Array, u4: Uint32Array, f4: Float32Array, f8: Float64Array,
};

/** Values of a trace: a list, or plotly's base64 form of a numpy array. */
export function values(part) {
  if (Array.isArray(part)) return part;
  if (!part?.bdata || !TYPES[part.dtype]) return [];
  const bytes = Uint8Array.from(atob(part.bdata), (letter) => letter.charCodeAt(0));
  return [...new TYPES[part.dtype](bytes.buffer)];
}

const plain = (text) => String(text ?? "").replace(/<br\s*\/?>/gi, ", ").replace(/<[^>]*>/g, "");
const title = (axis, otherwise) => plain(axis?.title?.text || axis?.title || otherwise);

function fromTraces(figure) {
  const layout = figure.layout || {};
  const named = figure.data.some((trace) => trace.name);
  const texts = figure.data.some((trace) => Array.isArray(trace.text));
  const columns = [...(named ? ["series"] : []), title(layout.xaxis, "x"), title(layout.yaxis, "y"), ...(texts ? ["label"] : [])];
  const rows = [];
  for (const trace of figure.data) {
    const [x, y] = [values(trace.x), values(trace.y)];
    for (let i = 0; i < Math.max(x.length, y.length); i += 1) {
      if (x[i] === null || y[i] === null) continue;
      rows.push([...(named ? [trace.name || ""] : []), x[i], y[i], ...(texts ? [Array.isArray(trace.text) ? plain(trace.text[i]) : ""] : [])]);
    }
  }
  return { columns, rows };
}

const shown = (value) =>
  typeof value !== "number" ? plain(value ?? "–") : Number.isInteger(value) ? value.toLocaleString("en").replace("-", "−") : String(Number(value.toPrecision(5))).replace(/-/g, "−");

export function tableOf(figure) {
  const { columns, rows, more } = figure.table || fromTraces(figure);
  const left = rows.length - MOST;
  const numeric = columns.map((_, i) => rows.length > 0 && rows.every((row) => typeof row[i] === "number" || row[i] === null));
  const cell = (tag, value, i) => h(tag, { class: numeric[i] ? "num" : null }, value);
  return h("table", { class: "table table-plain" },
    left > 0 || more ? h("caption", { class: "as-table-more" }, more || `the first ${MOST} of ${rows.length} rows`) : null,
    h("thead", {}, h("tr", {}, columns.map((name, i) => cell("th", name, i)))),
    h("tbody", {}, rows.slice(0, MOST).map((row) => h("tr", {}, row.map((value, i) => cell("td", shown(value), i))))));
}
