/* trials.js: the table of trials. The chosen ones stand in the URL (?t=24,18) and in colour in the chart; live changes are written into
   the cells, new trials wait behind the "12 new" chip, so that no row moves under the hand. */
import { loadMinis } from "../core/arch-mini.js";
import { $, $$, h, setText, state as stateChip } from "../core/dom.js";
import { columns, look, newRows, selection } from "../core/table.js";
import { sparkAll } from "../core/spark.js";
import { parameter, remember } from "./page.js";

const search = $("#search").dataset.search;
const chart = $("#curves-chart");
const bar = $("#selection");
let chooser = null;
let shown = null;
let minis = null;

function onChoice(numbers) {
  remember("t", numbers.join(","));
  const field = $('.filters [name="t"]');
  field.value = numbers.join(",");
  field.disabled = !numbers.length;
  // filters, sorting and pages keep the choice
  for (const link of $$('#trials a[href^="?"], #table a[href^="?"]')) {
    const to = new URLSearchParams(link.getAttribute("href").slice(1));
    if (numbers.length) to.set("t", numbers.join(","));
    else to.delete("t");
    link.setAttribute("href", `?${to}`);
  }
  parameter(chart, "t", numbers.join(","));
  $("[data-chosen-names]", bar).replaceChildren(...numbers.map((n, i) => {
    const { role, dash } = look(i);
    const name = $(`tr[data-id="${n}"]`)?.dataset.name || "";
    return h("span", { class: "key key-line", dataset: { dash }, css: { "--c": `var(--${role})` } }, `#${n} ${name}`);
  }));
  const link = $("[data-compare]", bar);
  const query = numbers.map((n) => `t=${search}.${n}`).join("&");
  link.href = `${link.href.split("?")[0]}?${query}`;
  $("[data-make-space]", bar).value = numbers.map((n) => `${search}.${n}`).join(" ");
  setText(link, numbers.length > 1 ? `Compare ${numbers.length}` : "Compare");
}

function wire() {
  const table = $("#trial-table");
  sparkAll($("#table"));
  minis?.stop();
  if (!table) return;
  minis = loadMinis(table);
  chooser = selection({ table, bar, max: 8, onChange: onChoice });
  $("#columns-menu").replaceChildren();
  columns({ table, key: "trial-columns", menu: $("#columns-menu") });
  shown = newRows({ chip: $("#new-chip"), onShow: () => location.reload() });
  // the order of choice is the order of colours, here, in the chart and on the page that compares
  const wanted = (new URLSearchParams(location.search).get("t") || "").split(",").filter((n) => /^\d+$/.test(n));
  if (wanted.length) chooser.set(wanted);
}

const FORMATS = {
  accuracy: (v) => (v === null ? "–" : (100 * v).toFixed(1)),
  n_wrong: (v) => v ?? "–",
  epochs: (v) => v,
  duration_s: (v) => `${Math.floor(v / 60)}:${String(Math.round(v % 60)).padStart(2, "0")}`,
  worker: (v) => v || "",
};

function change(data) {
  const row = $(`#trial-table tr[data-id="${data.number}"]`);
  if (!row) return false;
  for (const [name, format] of Object.entries(FORMATS)) {
    const cell = $(`[data-cell="${name}"]`, row);
    if (cell && data[name] !== undefined) setText(cell, format(data[name]));
  }
  stateChip(data.state, data.state === "completed" ? "done" : undefined, $(".state", row));
  $('[data-cell="curve"]', row).dataset.state = data.state;
  $('[data-cell="accuracy"]', row).classList.toggle("faint", data.state !== "completed");
  if (data.reason && data.state !== "completed") setText($('[data-cell="why"]', row), data.reason);
  return true;
}

function addPoint(data) {
  if (data.final || data.accuracy === null) return;
  const cell = $(`#trial-table tr[data-id="${data.trial}"] [data-cell="curve"]`);
  if (!cell) return;
  const points = JSON.parse(cell.dataset.spark || "[]");
  if (points.at(-1)?.[0] === data.epoch) return;
  points.push([data.epoch, 100 * data.accuracy]);
  cell.dataset.spark = JSON.stringify(points);
  sparkAll(cell.parentElement);
}

const unseen = new Set();
document.addEventListener("search:events", ({ detail }) => {
  for (const { kind, data } of detail) {
    if (kind === "point") addPoint(data);
    if (kind !== "trial" || change(data) || unseen.has(data.number)) continue;
    if (new URLSearchParams(location.search).get("page")) continue;
    unseen.add(data.number);
    shown?.add(1);
  }
});
document.addEventListener("click", (event) => {
  const chip = event.target.closest("[data-metric]");
  if (chip) chooseMetric(chip);
});
function chooseMetric(chip) {
  for (const other of $$("[data-metric]")) other.setAttribute("aria-pressed", String(other === chip));
  setText($("[data-metric-word]"), chip.dataset.metric === "loss" ? "loss" : "accuracy, %");
  const metric = chip.dataset.metric === "loss" ? "loss" : "";
  parameter(chart, "metric", metric);
  remember("metric", metric);
}
document.body.addEventListener("htmx:afterSwap", (event) => {
  if (event.target.id !== "table") return;
  const query = new URLSearchParams(location.search);
  parameter(chart, "q", query.get("q") || "");
  wire();
});
wire();
if (new URLSearchParams(location.search).get("metric") === "loss") chooseMetric($('[data-metric="loss"]'));
