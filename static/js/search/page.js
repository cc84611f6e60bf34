/* page.js: the search page of all tabs. Events come in (core/live.js); what they change is drawn in place:
   progress and curves of running trials at once from the event itself, words and counts by fetching the parts that the server renders,
   charts by fetching their figure again. Nothing moves under the hand: a part is left alone while a menu or field in it is in use. */
import { $, $$, h, setText, toast } from "../core/dom.js";
import { chartOf, mountAll } from "../core/charts.js";
import { connect, indicator } from "../core/live.js";
import { drawPicture } from "../core/arch.js";
import { drawTicks } from "../core/ticks.js";
import { rateLimited } from "../core/rate.js";
import { spark, sparkAll } from "../core/spark.js";
import { follow } from "./log.js";

const page = $("#search");
let band = []; // [epoch, low, high]: the middle of the finished trials
const curves = new Map(); // trial number -> [[epoch, accuracy in %]]
const WORDS = ["completed", "pruned", "failed", "cancelled", "running", "paused", "waiting", "left"];

// -- ticks
function showTicks(ticks, shares) {
  const states = ticks ?? WORDS.flatMap((name) => Array.from({ length: shares[name] || 0 }, () => name));
  drawTicks($("#ticks"), states);
}

// -- notes and range chips of charts
function showNotes(chart, element) {
  const notes = chart.figure?.notes || {};
  for (const node of $$(`[data-note-of="${element.id}"]`)) {
    setText(node, node.dataset.note.replace(/\{(\w+)\}/g, (_, name) => (notes[name] ?? 0).toLocaleString("en")));
    if (node.tagName === "P") node.hidden = !notes.words;
  }
  showLegend($(`[data-legend-of="${element.id}"]`), notes);
  const chip = $(`[data-range-of="${element.id}"]`);
  if (!chip) return;
  const all = chip.getAttribute("aria-pressed") === "true";
  if (chip.dataset.rangeWords) return;
  chip.hidden = !notes.below && !notes.hidden && !all;
  const [total, what] = [notes.decisions || notes.total, notes.what || "decisions"];
  if (all) setText(chip, total ? `all ${total} ${what}` : "all shown");
  else setText(chip, [
    notes.hidden && `${notes.hidden} more ${notes.hidden === 1 ? what.replace(/s$/, "") : what}`, notes.below && `${notes.below.toLocaleString("en")} below ${notes.floor} %`,
  ].filter(Boolean).join(", "));
}

/** Series in words beside the heading; where they are named at their lines, too, on a phone only. */
function showLegend(place, { legend = [], legend_narrow: narrow }) {
  const text = JSON.stringify(legend);
  if (!place || place.dataset.shown === text) return;
  place.dataset.shown = text;
  place.classList.toggle("narrow", Boolean(narrow));
  place.replaceChildren(...legend.map(([role, name, shape, dash]) =>
    h("span", { class: `key key-${shape}`, css: { "--c": `var(--${role})` }, dataset: { dash } }, name)));
}

/** Set one parameter of a chart's address and draw it again. */
export function parameter(element, name, value) {
  const chart = chartOf(element);
  const url = new URL(chart.url, location.href);
  if ((url.searchParams.get(name) || "") === value) return;
  if (value) url.searchParams.set(name, value);
  else url.searchParams.delete(name);
  chart.show(url.pathname + url.search);
}

/** Keep a choice in the page's own address, so that a link shows a colleague the same thing. */
export function remember(name, value) {
  const url = new URL(location.href);
  if (value) url.searchParams.set(name, value);
  else url.searchParams.delete(name);
  history.replaceState(history.state, "", url);
}

const whole = () => $$('[data-range-of][aria-pressed="true"]').map((chip) => chip.dataset.rangeOf);

function chooseRange(chip, on) {
  chip.setAttribute("aria-pressed", String(on));
  parameter($(`#${chip.dataset.rangeOf}`), "range", on ? "all" : "");
}

const wired = new WeakSet();
function mountCharts() {
  for (const chart of mountAll()) {
    if (wired.has(chart)) continue;
    wired.add(chart);
    chart.element.addEventListener("chart:drawn", () => showNotes(chart, chart.element));
    chart.on("click", ({ points }) => {
      const number = points?.[0]?.customdata;
      if (number) location.href = `/searches/${page.dataset.search}/trials/${number}/`;
    });
  }
}

function wireCharts() {
  mountCharts();
  document.addEventListener("click", (event) => {
    const range = event.target.closest("[data-range-of]");
    if (range) {
      chooseRange(range, range.getAttribute("aria-pressed") !== "true");
      remember("whole", whole().join(","));
    }
    const cost = event.target.closest("[data-cost]");
    if (cost) chooseCost(cost.dataset.cost);
  });
  for (const id of (new URLSearchParams(location.search).get("whole") || "").split(",").filter(Boolean)) {
    const chip = $(`[data-range-of="${CSS.escape(id)}"]`);
    if (chip) chooseRange(chip, true);
  }
  const kept = new URLSearchParams(location.search).get("cost") || keptCost();
  if (kept && kept !== "n_macs" && $(`[data-cost="${CSS.escape(kept)}"]`)) chooseCost(kept);
}

function chooseCost(cost) {
  for (const chip of $$("[data-cost]")) chip.setAttribute("aria-pressed", String(chip.dataset.cost === cost));
  parameter($("#cost-chart"), "cost", cost);
  try {
    localStorage.setItem("cost", cost);
  } catch {
    // refused: it is not remembered for the next search
  }
  remember("cost", cost);
}

function keptCost() {
  try {
    return localStorage.getItem("cost");
  } catch {
    return null;
  }
}

// -- drawing of the winner
async function showPicture() {
  const element = $("[data-picture]");
  if (!element || element.dataset.drawn === element.dataset.picture) return;
  element.dataset.drawn = element.dataset.picture;
  const answer = await fetch(element.dataset.picture, { credentials: "same-origin" });
  if (!answer.ok) {
    setText(element, `The drawing could not be loaded (${answer.status}).`);
    return;
  }
  const picture = await answer.json();
  element.replaceChildren();
  drawPicture(element, picture, { pixels: picture.pixels });
  const caption = $("[data-picture-caption]");
  if (caption && picture.caption) setText(caption, `; ${picture.caption}`);
}

// -- running now
function drawCurve(row) {
  const holder = $("[data-curve]", row);
  const points = curves.get(Number(row.dataset.trial));
  if (!holder || !points?.length) return;
  const rungs = holder.dataset.rungs.split(",").filter(Boolean).map(Number);
  const best = Math.max(...points.map((p) => p[1]));
  const low = Math.max(0, Math.min(best - 12, Math.floor(best / 10) * 10 - 10));
  holder.replaceChildren(spark(points, { width: 240, height: 56, low, high: 100, last: Number(holder.dataset.last), rungs, band: band.filter(([, , high]) => high > low), state: "running" }));
  const [epoch, accuracy] = points.at(-1);
  const note = document.createElement("p");
  note.className = "small muted";
  note.textContent = `${accuracy.toFixed(1)} %, quick score, ${epoch} epoch${epoch === 1 ? "" : "s"}`;
  holder.append(note);
}

function showProgress(data) {
  const row = $(`.now[data-job="${data.job}"]`);
  if (!row) return false;
  const share = (part, whole) => `${whole ? Math.round((100 * (part ?? 0)) / whole) : 0}%`;
  // before the first epoch of a claim (data is read, a checkpoint taken up) only the phase is known: what stands there stays
  if (data.epochs) {
    setText($("[data-epoch]", row), `${data.epoch ?? 0} of ${data.epochs}`);
    $("[data-epoch-bar]", row).style.setProperty("--p", share(data.epoch, data.epochs));
  }
  setText($("[data-batch]", row), data.batches ? `${data.batch} of ${data.batches}` : "–");
  $("[data-batch-bar]", row).style.setProperty("--p", share(data.batch, data.batches));
  if (data.samples_per_s) setText($("[data-speed]", row), `${Math.round(data.samples_per_s).toLocaleString("en")} samples/s`);
  setText($("[data-phase]", row), data.phase || "");
  return true;
}

function addPoint(data) {
  if (data.final || data.accuracy === null) return;
  const points = curves.get(data.trial) || [];
  if (points.at(-1)?.[0] !== data.epoch) points.push([data.epoch, 100 * data.accuracy]);
  curves.set(data.trial, points);
  const row = $(`.now[data-trial="${data.trial}"]`);
  if (row) drawCurve(row);
}

async function loadCurves() {
  const wanted = $$(".now[data-trial]").map((row) => Number(row.dataset.trial)).filter((n) => !curves.has(n));
  if (!wanted.length) return;
  for (const n of wanted) curves.set(n, []);
  const answer = await fetch(`/searches/${page.dataset.search}/figures/running/`, { credentials: "same-origin", cache: "no-store" });
  if (!answer.ok) return;
  const figure = await answer.json();
  band = figure.notes.band;
  for (const trace of figure.data) {
    const number = Number(/#(\d+)/.exec(trace.name || "")?.[1]);
    if (wanted.includes(number)) curves.set(number, trace.x.map((x, i) => [x, trace.y[i]]));
  }
  $$(".now[data-trial]").forEach(drawCurve);
}

// -- parts that the server renders
const busy = (node) => node.querySelector("details[open], dialog[open]") || (node.contains(document.activeElement) && document.activeElement.matches("input, select, textarea"));

function copies() {
  for (const node of $$("[data-copy-of]")) {
    if (busy(node)) continue;
    const source = $(`[data-part="${node.dataset.copyOf}"]`);
    const html = source?.innerHTML.replace(/<dialog[\s\S]*?<\/dialog>/g, "");
    if (html !== undefined && node.dataset.html !== html) {
      node.innerHTML = html;
      node.dataset.html = html;
    }
  }
}

/** The same winner keeps its drawing, the same view of the strategy its chart with its zoom. */
function keepDrawn(node, fresh) {
  for (const name of ["picture", "figure"]) {
    for (const next of $$(`[data-${name}]`, fresh)) {
      const old = $$(`[data-${name}]`, node).find((element) => element.dataset[name] === next.dataset[name]);
      if (old) next.replaceWith(old);
    }
  }
}

/** What the strategy believes is drawn again where it has changed; views come and go while a search runs. */
let views = JSON.parse(page.dataset.views || "{}");
function followViews(now) {
  const before = views;
  views = now;
  mountCharts();
  for (const [id, digest] of Object.entries(now)) {
    if (id in before && before[id] !== digest) chartOf($(`#${CSS.escape(id)}`))?.refresh();
  }
}

const rendered = new Map();
async function fetchParts() {
  const answer = await fetch(page.dataset.parts, { headers: { Accept: "application/json" }, credentials: "same-origin", cache: "no-store" });
  if (!answer.ok) return;
  const now = await answer.json();
  document.title = now.title;
  const live = $("[data-live-indicator]");
  live.dataset.liveWorkers = `${now.workers} worker${now.workers === 1 ? "" : "s"}`;
  if (live.dataset.live === "live") indicator()("live");
  for (const [name, html] of Object.entries(now.parts)) {
    const node = $(`[data-part="${name}"]`);
    const bare = html.replace(/name="csrfmiddlewaretoken" value="[^"]*"/g, "");
    if (!node || rendered.get(name) === bare || busy(node)) continue;
    const fresh = document.createElement("div");
    fresh.innerHTML = html;
    keepDrawn(node, fresh);
    node.replaceChildren(...fresh.childNodes);
    sparkAll(node);
    rendered.set(name, bare);
  }
  followViews(now.views || {});
  copies();
  showTicks(now.ticks, now.shares);
  setText($("[data-count-trials]"), WORDS.slice(0, 7).reduce((sum, name) => sum + (now.shares[name] || 0), 0).toLocaleString("en"));
  page.dataset.state = now.state;
  showPicture();
  loadCurves();
}
const refreshParts = rateLimited(fetchParts);

// -- events
const CHANGES = { search: ["best-chart", "cost-chart"], trial: ["best-chart", "cost-chart"] };
const slowCharts = rateLimited(() => ["timeline-chart", "options-chart", "genealogy-chart", "far-chart"].forEach((id) => chartOf($(`#${id}`))?.refresh()), 2000);

function onEvents(batch) {
  const charts = new Set();
  let parts = false;
  for (const { kind, data } of batch) {
    if (kind === "progress") parts ||= !showProgress(data);
    else if (kind === "point") addPoint(data);
    else if (kind === "log") continue;
    else parts = true;
    for (const id of CHANGES[kind] || []) charts.add(id);
  }
  for (const id of charts) chartOf($(`#${id}`))?.refresh();
  if (batch.some(({ kind }) => kind === "trial" || kind === "search")) slowCharts();
  if (parts) refreshParts();
  document.dispatchEvent(new CustomEvent("search:events", { detail: batch }));
}

for (const part of $$("[data-part]")) sparkAll(part);
showTicks(JSON.parse($("#ticks").dataset.ticks), JSON.parse($("#ticks").dataset.shares));
wireCharts();
copies();
showPicture();
loadCurves();
follow($("[data-log]"), page);

if (!["completed", "stopped", "failed", "draft"].includes(page.dataset.state) || $(".now")) {
  connect({
    wsUrl: page.dataset.ws,
    eventsUrl: page.dataset.events,
    after: Number(page.dataset.seq),
    onEvents,
    onState(state, info) {
      indicator()(state, info);
      if (state === "offline") toast("Offline: the page shows what was last heard.");
    },
  });
  // workers come and go without an event of this search
  setInterval(() => document.visibilityState === "visible" && $("[data-live-indicator]").dataset.live === "live" && refreshParts(), 5000);
} else {
  // ended: a full training that somebody starts still changes it
  setInterval(() => document.visibilityState === "visible" && refreshParts(), 5000);
}
