/* supernet.js: the Supernet tab. The slider scrubs through the epochs that came with the field of probabilities (notes.frames), without a
   request; what would be derived is fetched behind it. ?epoch=12 in the address is the epoch in view; without it the newest is followed. */
import { drawPicture } from "../core/arch.js";
import { chartOf } from "../core/charts.js";
import { $, $$, h, setText, toast } from "../core/dom.js";
import { rateLimited } from "../core/rate.js";
import { spark } from "../core/spark.js";
import { newRows } from "../core/table.js";
import { remember } from "./page.js";

const page = $("#search");
const place = $("#supernet");
const slider = $("#epoch");
const field = $("#alphas-chart");
const EPOCH_CHARTS = [
  "supernet-loss", "supernet-accuracy", "supernet-skips", "supernet-eigenvalue", "supernet-controller", "alphas-chart",
];
const STEP_MS = 250;

let asked = Number(new URLSearchParams(location.search).get("epoch")) || null; // null: the newest
let cell = null; // [row, column] whose history is shown
let playing = 0;

const last = () => Number(place.dataset.epoch);
const frames = () => chartOf(field)?.figure?.notes?.frames || [];
const shown = () => Math.min(asked ?? last(), last());

// -- the field of probabilities
/** The frame of an epoch, or the one nearest to it where only some were sent. */
function frameOf(epoch) {
  return frames().reduce((best, frame) => (!best || Math.abs(frame.epoch - epoch) < Math.abs(best.epoch - epoch) ? frame : best), null);
}

function showField() {
  const chart = field && chartOf(field);
  const frame = chart && frameOf(shown());
  if (!frame || chart.figure.notes.epoch === frame.epoch) return;
  const { titles, cells } = chart.figure.notes;
  const [heat, words] = chart.figure.data;
  const top = frame.z.map((row, i) => [Math.max(...row.map((p) => p ?? -1)), i]).sort((a, b) => b[0] - a[0]).slice(0, 3);
  const strongest = top.map(([p, i]) => `${titles[i]}: ${cells[i][frame.z[i].indexOf(p)]} ${p.toFixed(2)}`).join(", ");
  chart.setNow({
    ...chart.figure,
    data: [{ ...heat, z: frame.z }, { ...words, text: frame.entropy.map((v) => v.toFixed(2)) }],
    table: { ...chart.figure.table, rows: titles.map((title, i) => [title, ...frame.z[i], frame.entropy[i]]) },
    summary: `Probabilities of ${titles.length} decisions in epoch ${frame.epoch}; strongest: ${strongest}.`,
    notes: { ...chart.figure.notes, epoch: frame.epoch },
  });
  showHistory();
}

// -- the history of one cell
function fillCells() {
  const select = $("#cell");
  const { titles, cells } = chartOf(field).figure.notes;
  const text = JSON.stringify([titles, cells]);
  if (!select || select.dataset.text === text) return;
  select.dataset.text = text;
  select.replaceChildren(...titles.map((title, i) => h("optgroup", { label: title }, cells[i].map((word, j) =>
    (word ? h("option", { value: `${i},${j}` }, `${title}: ${word}`) : null)))));
  if (!cell) {
    const { z } = frames().at(-1);
    const best = z.map((row) => Math.max(...row.map((p) => p ?? -1)));
    const i = best.indexOf(Math.max(...best));
    cell = [i, z[i].indexOf(best[i])];
  }
  select.value = cell.join(",");
}

function showHistory(at = cell) {
  const [i, j] = at || [];
  const points = frames().filter((f) => (f.z[i]?.[j] ?? null) !== null).map((f) => [f.epoch, f.z[i][j]]);
  if (!points.length) return;
  const { titles, cells } = chartOf(field).figure.notes;
  const frame = frameOf(shown());
  const now = frame.z[i][j];
  const words = `${titles[i]}: ${cells[i][j]}`;
  const high = Math.max(0.05, ...points.map((p) => p[1]));
  $("[data-cell-curve]").replaceChildren(spark(points, {
    width: Math.max(200, Math.min(480, $("[data-cell-curve]").clientWidth)), height: 96, low: 0, high, last: Number(place.dataset.epochs), rungs: asked ? [frame.epoch] : [],
    label: `probability of ${words} by epoch, ${points[0][1]} to ${points.at(-1)[1]}`,
  }));
  setText($("[data-cell-words]"), `${words}, ${points[0][1].toFixed(3)} in epoch ${points[0][0]}, ${now === null ? "gone" : now.toFixed(3)} in epoch ${frame.epoch}`);
}

function chooseCell(i, j) {
  cell = [i, j];
  $("#cell").value = `${i},${j}`;
  showHistory();
}

function wireField() {
  if (!field) return;
  field.addEventListener("chart:drawn", () => {
    fillCells();
    if (chartOf(field).figure.notes.epoch !== frameOf(shown())?.epoch) showField();
    else showHistory();
  });
  const cellOf = ({ points }) => (points?.[0]?.data.type === "heatmap" && points[0].z !== null ? [points[0].y, points[0].x] : null);
  chartOf(field)
    .on("hover", (event) => cellOf(event) && showHistory(cellOf(event)))
    .on("plotly_unhover", () => showHistory())
    .on("click", (event) => cellOf(event) && chooseCell(...cellOf(event)));
  $("#cell").addEventListener("change", (event) => chooseCell(...event.target.value.split(",").map(Number)));
}

// -- what would be derived
const known = new Map(); // address -> answer; an epoch never changes, the search's trials do
let picture = null;
let drawn = "";
let request = null;

async function fetchDerived() {
  const url = new URL(place.dataset.derived, location.href);
  if (slider) url.searchParams.set("epoch", shown());
  request?.abort();
  if (known.has(url.search)) {
    showDerived(known.get(url.search));
    return;
  }
  request = new AbortController();
  try {
    const answer = await fetch(url, { headers: { Accept: "application/json" }, credentials: "same-origin", signal: request.signal });
    if (!answer.ok) throw new Error(`the server answered ${answer.status}`);
    const found = await answer.json();
    if (found.trial) known.set(url.search, found);
    showDerived(found);
  } catch (error) {
    if (error.name !== "AbortError") setText($("[data-derived-words]"), `What is derived could not be loaded: ${error.message}`);
  }
}

function showDerived(found) {
  const words = $("[data-derived-words]");
  const title = found.epoch ? `What it would hand over after epoch ${found.epoch}` : "What it would hand over";
  setText($("[data-derived-title]"), found.empty ? "What it would hand over" : found.scored ? "The best scored subnet" : title);
  if (found.empty) {
    setText(words, found.empty);
    setText($("[data-derived-changed]"), "");
    return;
  }
  const text = [found.name, found.scored, found.costs, found.skips].filter(Boolean).join("; ");
  words.replaceChildren(text, found.trial ? "; trained alone as " : "", found.trial ? h("a", { class: "link", href: `/searches/${page.dataset.search}/trials/${found.trial}/` }, `#${found.trial}`) : "");
  const change = found.changed === "no change" ? "the same as after the epoch before" : found.changed && `against the epoch before: ${found.changed}`;
  setText($("[data-derived-changed]"), found.epoch ? change || "the first epoch" : "");
  const shape = JSON.stringify(found.picture);
  if (shape === drawn) return;
  drawn = shape;
  const holder = $("#derived-picture");
  if (picture) picture.redraw(found.picture);
  else picture = drawPicture(holder, found.picture, { pixels: found.picture.pixels });
}

const later = (run, milliseconds) => {
  let timer = 0;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(run, milliseconds);
  };
};
const derive = rateLimited(fetchDerived, STEP_MS);
const keep = later(() => remember("epoch", asked ? String(asked) : ""), 200); // browsers refuse addresses that change at every step

// -- scrubbing
function show() {
  if (!slider) return;
  slider.max = last();
  slider.value = shown();
  const words = `epoch ${shown()} of ${place.dataset.epochs}`;
  setText($("[data-epoch-words]"), words);
  slider.setAttribute("aria-valuetext", words);
  $("[data-newest]").setAttribute("aria-pressed", String(asked === null));
  showField();
  derive();
  keep();
}

function go(epoch) {
  asked = epoch;
  show();
}

function play(on) {
  clearInterval(playing);
  playing = 0;
  const button = $("[data-play]");
  button.setAttribute("aria-pressed", String(on));
  setText(button, on ? "Stop" : "Play");
  if (!on) return;
  if (shown() >= last()) go(1);
  const stride = Math.max(1, Math.round(last() / 80));
  playing = setInterval(() => {
    if (shown() >= last()) {
      play(false);
      return;
    }
    go(Math.min(last(), shown() + stride));
  }, STEP_MS);
}

function wireSlider() {
  if (!slider) return;
  slider.addEventListener("input", () => {
    if (playing) play(false);
    go(Number(slider.value));
  });
  $("[data-play]").addEventListener("click", () => play(!playing));
  $("[data-newest]").addEventListener("click", () => {
    if (playing) play(false);
    go(null);
  });
}

// -- live
const refresh = (ids) => ids.forEach((id) => chartOf(document.getElementById(id))?.refresh());
const trained = rateLimited(() => refresh(["trust-chart", "beside-chart", "subnets-chart"]), 2000);

// -- the table of subnets: new ones wait behind the chip, so that no row moves under the hand
const part = $("#subnet-part");
const fresh = newRows({ chip: $("#new-subnets"), onShow: (n) => showRows(n).then(() => part.focus({ preventScroll: true })) });

/** The table as the server has it now, in the order and at the page of the address. */
async function fetchRows() {
  const url = new URL(location.href);
  url.searchParams.set("rows", "");
  const answer = await fetch(url, { credentials: "same-origin", cache: "no-store" });
  if (!answer.ok) throw new Error(`the server answered ${answer.status}`);
  const holder = document.createElement("div");
  holder.innerHTML = await answer.text();
  return holder;
}

async function showRows(n) {
  try {
    part.replaceChildren(...(await fetchRows()).childNodes);
  } catch (error) {
    fresh.add(n);
    toast(`The new subnets could not be loaded: ${error.message}`);
  }
}

function scored(n) {
  if ($("tr[data-id]", part)) fresh.add(n);
  else showRows(n); // there is nothing to move
  refresh(["subnets-chart"]);
  if (!slider) derive();
}

/** Rows stay where they are; what changes in them is which are trained alone by now. */
async function nameTrials() {
  const holder = $("tr[data-id]", part) && (await fetchRows().catch(() => null)); // failed: the next trial asks again
  for (const row of holder ? $$("tr[data-id]", holder) : []) {
    const [now, next] = [$(`tr[data-id="${row.dataset.id}"] [data-cell="alone"]`, part), $('[data-cell="alone"]', row)];
    if (now && now.innerHTML !== next.innerHTML) now.replaceWith(next);
  }
}
const renamed = rateLimited(nameTrials, 2000);
const named = new Set();

document.addEventListener("search:events", ({ detail }) => {
  let epoch = 0;
  for (const { kind, data } of detail) {
    if (kind === "supernet" && String(data.job) === place.dataset.job) epoch = Math.max(epoch, data.epoch);
    else if (kind === "supernet" && !place.dataset.job) location.reload();
    else if (kind === "subnets") scored(data.n);
    else if (kind === "trial" || kind === "search") trained();
    if (kind !== "trial" || named.has(data.number)) continue;
    named.add(data.number);
    renamed();
  }
  if (!epoch) return;
  if (!last()) location.reload(); // the first epoch says which charts there are
  place.dataset.epoch = epoch;
  refresh(EPOCH_CHARTS);
  show();
});

wireField();
wireSlider();
show();
if (!slider) derive();
