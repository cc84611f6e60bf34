/* list.js: the list of searches: what changes by itself, what is chosen, the rename dialog. */
import { loadMinis } from "./core/arch-mini.js";
import { $, $$, setText, toast } from "./core/dom.js";
import { selection } from "./core/table.js";
import { debounce } from "./core/form.js";

const EVERY = 3000;
const table = $("[data-table]");
const minis = table ? loadMinis(table) : null;

/* -- what changes by itself: the same rows, rendered again by the server, put into their cells in place -- */
const live = $("[data-list-live]");

function put(into, from) {
  if (!into || !from || into.innerHTML === from.innerHTML) return;
  if (into.contains(document.activeElement) && into !== document.activeElement) return; // not under the hand
  into.replaceChildren(...document.importNode(from, true).childNodes);
  if (into.className !== from.className) into.className = from.className;
}

function freshness(state, word) {
  if (!live) return;
  live.dataset.live = state;
  setText(live, word);
}

function newer(ids) {
  const chip = $("[data-new-chip]");
  if (!chip) return;
  const known = new Set($$("tr[data-id]").map((row) => row.dataset.id));
  const count = ids.filter((id) => !known.has(id)).length;
  chip.hidden = count === 0;
  setText(chip, `${count} new`);
}

function redraw(cell, winner) {
  if (!cell) return;
  if (winner) cell.dataset.mini = winner;
  minis.again(cell);
}

async function look() {
  if (document.hidden) return;
  try {
    const answer = await fetch(location.href, { credentials: "same-origin", headers: { "X-Part": "rows" } });
    if (answer.redirected || answer.status === 403) return freshness("offline", "logged out: load the page again");
    if (!answer.ok) return freshness("paused", "live updates paused");
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const part of $$("[data-part]", page)) put($(`[data-part="${part.dataset.part}"]`), part);
    setText($("title"), $("[data-title]", page)?.textContent || document.title);
    const rows = $$("tr[data-id]", page);
    for (const row of rows) {
      const mine = $(`tr[data-id="${row.dataset.id}"]`, table);
      if (!mine) continue;
      for (const cell of $$("[data-cell]", row)) {
        const into = $(`[data-cell="${cell.dataset.cell}"]`, mine);
        put(into, cell);
        if (into && into.className !== cell.className) into.className = cell.className;
      }
      if (row.dataset.winner !== mine.dataset.winner) redraw($(".best-mini", mine), row.dataset.winner);
      for (const name of ["state", "bytes", "winner", "ended"]) mine.dataset[name] = row.dataset[name];
    }
    newer(rows.map((row) => row.dataset.id));
    freshness("live", "live");
  } catch {
    freshness("offline", "offline");
  }
}

if (live) {
  setInterval(look, EVERY);
  document.addEventListener("visibilitychange", () => !document.hidden && look());
  $("[data-new-chip]")?.addEventListener("click", () => location.reload());
}

/* -- what is chosen -- */
const bar = $("[data-selection]");
const mb = (bytes) => (bytes ? (bytes < 1e7 ? Math.max(bytes / 1e6, 0.1).toFixed(1) : Math.round(bytes / 1e6).toLocaleString("en")) : "0");

function chosen(ids) {
  const rows = ids.map((id) => $(`tr[data-id="${id}"]`, table)).filter(Boolean);
  const bytes = rows.reduce((sum, row) => sum + Number(row.dataset.bytes), 0);
  const running = rows.filter((row) => !row.dataset.ended && row.dataset.state !== "draft").length;
  const winners = rows.map((row) => row.dataset.winner).filter(Boolean);
  const all = rows.length === 2 ? "both" : "all";
  setText($("[data-chosen-note]", bar), `${mb(bytes)} MB, ${running ? `${running} under way` : rows.length === 1 ? "ended" : `${all} ended`}`);
  const remove = $("[data-delete]", bar);
  setText(remove, `Delete (frees ${mb(bytes)} MB)`);
  remove.dataset.confirm = `Delete ${rows.length === 1 ? "this search" : `these ${rows.length} searches`} with all trials, curves and files? ${running ? `${running} under way will be cancelled. ` : ""}This cannot be undone.`;
  const compare = $("[data-compare]", bar);
  const params = new URLSearchParams(winners.map((winner) => ["t", winner]));
  compare.href = `${compare.dataset.compare}?${params}`;
  if (winners.length < 2) compare.setAttribute("aria-disabled", "true");
  else compare.removeAttribute("aria-disabled");
  compare.title = winners.length < 2 ? "Choose two searches that have results" : "";
}

if (table && bar) {
  const picked = selection({ table, bar, max: 500, onChange: chosen });
  chosen(picked.chosen());
  $("[data-compare]", bar).addEventListener("click", (event) => {
    if (event.currentTarget.getAttribute("aria-disabled") !== "true") return;
    event.preventDefault();
    toast("Choose two searches that have results.");
  });
  const mode = $("[data-choose-mode]");
  mode?.addEventListener("click", () => {
    const on = document.body.classList.toggle("choosing");
    mode.setAttribute("aria-pressed", String(on));
    if (!on) picked.clear();
  });
}

/* -- rename, filter -- */
document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-rename-open]");
  if (!button) return;
  const dialog = $("#rename-dialog");
  $("[data-rename]", dialog).action = button.dataset.renameOpen;
  const field = $("#rename-name", dialog);
  field.value = button.dataset.name;
  button.closest("details").open = false;
  dialog.showModal();
  field.select();
});

const filter = $("[data-filter]");
filter?.elements.q?.addEventListener("input", debounce(() => filter.requestSubmit(), 500));
if (filter?.elements.q?.value) {
  const field = filter.elements.q;
  field.focus({ preventScroll: true });
  field.setSelectionRange(field.value.length, field.value.length);
}
$("[data-focus-filter]")?.addEventListener("click", () => filter?.elements.q.focus());
