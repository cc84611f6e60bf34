/* compare.js: trials beside each other. The address holds the choice; "only differences" and the metric stand in it too. */
import { $, $$, setText, toast } from "../core/dom.js";
import { chartOf, mountAll } from "../core/charts.js";
import { drawDifference } from "../core/arch.js";
import { loadMinis } from "../core/arch-mini.js";

mountAll();
for (const table of $$("[data-minis]")) loadMinis(table);
const pictures = $("#pictures");
if (pictures) drawDifference($("#difference"), JSON.parse(pictures.textContent), JSON.parse($("#labels").textContent));

function remember(name, value) {
  const url = new URL(location.href);
  if (value) url.searchParams.set(name, value);
  else url.searchParams.delete(name);
  history.replaceState(null, "", url);
}

function chooseMetric(metric) {
  for (const chip of $$("[data-metric]")) chip.setAttribute("aria-pressed", String(chip.dataset.metric === metric));
  setText($("[data-metric-word]"), metric === "loss" ? "loss" : "accuracy, %");
  const chart = chartOf($("#compare-chart"));
  const url = new URL(chart.url, location.href);
  url.searchParams.set("metric", metric);
  chart.show(url.pathname + url.search);
  remember("metric", metric === "loss" ? "loss" : "");
}

function onlyDifferences(on) {
  for (const table of $$(".compare-table")) table.toggleAttribute("data-only", on);
  remember("only", on ? "differences" : "");
}

document.addEventListener("click", async (event) => {
  const chip = event.target.closest("[data-metric]");
  if (chip) chooseMetric(chip.dataset.metric);
  if (event.target.closest("[data-copy-link]")) {
    try {
      await navigator.clipboard.writeText(location.href);
      toast("Link copied.");
    } catch {
      toast("The browser refused the clipboard: copy the address instead.");
    }
  }
});
$("[data-only-differences]")?.addEventListener("change", (event) => onlyDifferences(event.target.checked));
$(".add-trial")?.addEventListener("submit", (event) => {
  event.preventDefault();
  const url = new URL(location.href);
  url.searchParams.append("t", `${$("[data-add-search]").value}.${$("[data-add-number]").value}`);
  location.href = url;
});
const query = new URLSearchParams(location.search);
if (query.get("metric") === "loss" && $("#compare-chart")) chooseMetric("loss");
if (query.get("only") && $("[data-only-differences]")) {
  $("[data-only-differences]").checked = true;
  onlyDifferences(true);
}
