/* trial.js: one trial. Its network in four ways; while it runs, events of its search bring the rest up to date. */
import { $, $$, setText } from "../core/dom.js";
import { chartOf, mountAll } from "../core/charts.js";
import { connect } from "../core/live.js";
import { drawPicture, pictureTable } from "../core/arch.js";
import { rateLimited } from "../core/rate.js";

const page = $("#trial");

async function showPicture() {
  const element = $("[data-picture]");
  const answer = await fetch(element.dataset.picture, { credentials: "same-origin" });
  if (!answer.ok) {
    setText(element, `The drawing could not be loaded (${answer.status}).`);
    return;
  }
  const picture = await answer.json();
  drawPicture(element, picture, { table: false, pixels: picture.pixels });
  $('[data-shown="list"]').replaceChildren(pictureTable(picture));
  setText($("[data-picture-caption]"), picture.caption || "");
}

async function show(name) {
  for (const chip of $$("[data-show]")) {
    chip.setAttribute("aria-pressed", String(chip.dataset.show === name));
    chip.setAttribute("aria-selected", String(chip.dataset.show === name));
  }
  for (const part of $$("[data-shown]")) part.hidden = part.dataset.shown !== name;
  const source = $('[data-shown="source"]');
  if (name === "source" && !source.textContent) {
    const answer = await fetch($('[data-show="source"]').dataset.source, { credentials: "same-origin" });
    source.textContent = answer.ok ? await answer.text() : `model.py could not be read (${answer.status}).`;
  }
  const url = new URL(location.href);
  if (name === "drawing") url.searchParams.delete("network");
  else url.searchParams.set("network", name);
  history.replaceState(null, "", url);
}

const refresh = rateLimited(async () => {
  const answer = await fetch(page.dataset.partUrl, { credentials: "same-origin", cache: "no-store" });
  if (!answer.ok) return;
  const fresh = document.createElement("div");
  fresh.innerHTML = await answer.text();
  const old = $("#trial-chart");
  $("#trial-chart", fresh)?.replaceWith(old); // the chart stays, with its zoom
  $("#trial-live").replaceChildren(...fresh.childNodes);
  chartOf(old)?.refresh();
}, 1000);

document.addEventListener("click", (event) => {
  const chip = event.target.closest("[data-show]");
  if (chip) show(chip.dataset.show);
});
showPicture();
mountAll();
const wanted = new URLSearchParams(location.search).get("network");
if (wanted && $(`[data-show="${CSS.escape(wanted)}"]`)) show(wanted);

if (page.dataset.live) {
  connect({
    wsUrl: page.dataset.ws,
    eventsUrl: page.dataset.events,
    after: Number(page.dataset.seq),
    onEvents(batch) {
      const mine = batch.filter(({ data }) => data.trial === Number(page.dataset.number) || data.number === Number(page.dataset.number));
      if (mine.some(({ kind, data }) => kind === "trial" && (data.final_state === "done" || data.final_state === "failed"))) location.reload();
      else if (mine.some(({ kind }) => kind !== "progress")) refresh();
    },
  });
}
