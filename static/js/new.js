/* new.js: the form follows what is typed: problems at their fields, summary, picture and YAML beside it; nothing is sent twice. */
import { $, $$, setText } from "./core/dom.js";
import { debounce, focusFirstError, once, setErrors } from "./core/form.js";
import { drawOutline } from "./core/arch.js";

const form = $("#search-form");
const parts = form.dataset.parts;
let picture = null;
let drawn = "";

/* -- what the server said about the values in the form -- */
function apply() {
  const holder = $("#form-state");
  const state = JSON.parse(holder.dataset.state);
  setErrors(form, state.errors);
  for (const [id, text] of Object.entries(state.folds)) setText($(`[data-fold="${id}"]`), text);
  for (const [id, text] of Object.entries(state.helps)) setText(document.getElementById(id), text);
  const start = $("#start");
  if (state.ok) start.removeAttribute("aria-disabled");
  else start.setAttribute("aria-disabled", "true");
  start.setAttribute("aria-describedby", "why-not");
  setText($("#why-not"), state.why);
  $("[data-keep-space]").hidden = !state.can_keep_space;
  draw(holder.dataset.outline);
}

function draw(text) {
  const place = $("[data-outline-picture]");
  if (!text || text === drawn || place.closest("[hidden]")) return;
  drawn = text;
  const outline = JSON.parse(text);
  if (picture) picture.redraw(outline);
  else picture = drawOutline(place, outline);
}

/* -- asking: one question at a time; of those that wait, fields come first, for their answer holds a summary's. The latest
   answer counts, whatever the order they come in (the time of a trial is asked for beside these). -- */
const questions = {
  summary: { target: "#what", swap: "outerHTML" },
  fields: { target: "#fields", swap: "innerHTML" },
};
let asking = false;
let waiting = "";
async function ask(what) {
  if (asking) {
    if (waiting !== "fields") waiting = what;
    return;
  }
  asking = true;
  try {
    await window.htmx.ajax("POST", `${parts}${what}/`, { source: form, ...questions[what] });
  } catch { /* the page says that the server is away; the next change asks again */ }
  asking = false;
  const next = waiting;
  waiting = "";
  if (next) ask(next);
}
const follow = debounce(() => ask("summary"), 350);

form.addEventListener("input", (event) => {
  if (event.target.matches("[data-find-method]")) find(event.target.value);
  else if (!event.target.matches("[data-swaps]")) follow();
});
form.addEventListener("change", (event) => {
  if (event.target.matches("[data-swaps]")) ask("fields");
});

let asked = 0;
let answered = 0;
document.addEventListener("htmx:beforeRequest", (event) => {
  const { elt, xhr } = event.detail;
  const mine = (asked += 1);
  elt.addEventListener("htmx:beforeOnLoad", function come(loaded) {
    if (loaded.detail.xhr !== xhr) return;
    elt.removeEventListener("htmx:beforeOnLoad", come);
    if (mine < answered || !elt.isConnected) loaded.preventDefault(); // a newer one is there, or asks for itself
    else if (!loaded.detail.target.isConnected) loaded.detail.target = $("#what"); // another answer has replaced it since
    answered = Math.max(answered, mine);
  });
});

/* -- finding one of many methods by its name, family, summary, guide or paper -- */
function find(text) {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  let found = 0;
  for (const family of $$(".methods-list .family")) {
    const title = $("p", family).textContent;
    let here = 0;
    for (const method of $$(".method", family)) {
      const said = `${title} ${method.textContent}`.toLowerCase();
      method.hidden = !words.every((word) => said.includes(word));
      here += method.hidden ? 0 : 1;
    }
    family.hidden = here === 0;
    found += here;
  }
  $("[data-found-none]").hidden = found > 0;
}

/* -- option fields come and go: open folds stay open, the focus stays where it was -- */
let open = [];
let focused = "";
let finding = { text: "", top: 0 };
document.addEventListener("htmx:beforeSwap", (event) => {
  if (event.detail.target?.id !== "fields") return;
  open = $$("#fields details[open]").map((fold) => fold.id);
  focused = document.activeElement?.id || "";
  finding = { text: $("[data-find-method]")?.value || "", top: $(".methods-list")?.scrollTop || 0 };
});
document.addEventListener("htmx:afterSettle", (event) => {
  if (event.detail.target?.id === "fields") {
    for (const id of open) $(`#${CSS.escape(id)}`)?.setAttribute("open", "");
    if (finding.text && $("[data-find-method]")) {
      $("[data-find-method]").value = finding.text;
      find(finding.text);
    }
    if (finding.top) $(".methods-list")?.scrollTo(0, finding.top);
    if (focused) $(`#${CSS.escape(focused)}`)?.focus({ preventScroll: true });
    leaveYaml();
  }
  apply();
});

/* -- sending -- */
once(form);
form.addEventListener("submit", (event) => {
  if (event.submitter?.getAttribute("aria-disabled") !== "true") return;
  event.preventDefault();
  event.stopImmediatePropagation();
  focusFirstError(form);
}, true);
form.addEventListener("keydown", (event) => {
  // Enter in a field is the end of a value, not the start of a search that runs for an hour
  if (event.key === "Enter" && event.target.matches("input:not([type=checkbox]):not([type=radio])")) event.preventDefault();
});

/* -- tabs -- */
const tabs = $$("[role=tab]");
function select(tab) {
  for (const other of tabs) {
    other.setAttribute("aria-selected", String(other === tab));
    other.tabIndex = other === tab ? 0 : -1;
    $(`#${other.getAttribute("aria-controls")}`).hidden = other !== tab;
  }
  history.replaceState(null, "", tab.id === "tab-yaml" ? "#yaml" : location.pathname + location.search);
  draw($("#form-state").dataset.outline);
}
for (const tab of tabs) {
  tab.addEventListener("click", () => select(tab));
  tab.addEventListener("keydown", (event) => {
    if (!["ArrowLeft", "ArrowRight"].includes(event.key)) return;
    const other = tabs[(tabs.indexOf(tab) + 1) % tabs.length];
    select(other);
    other.focus();
  });
}

/* -- YAML -- */
const show = $("[data-yaml-show]");
const edit = $("[data-yaml-edit-area]");
function leaveYaml() {
  edit.hidden = true;
  show.hidden = false;
  $("#yaml-error").replaceChildren();
}
$("[data-yaml-edit]").addEventListener("click", () => {
  const area = $("#yaml-text");
  area.value = $("#yaml-copy").value;
  show.hidden = true;
  edit.hidden = false;
  area.focus();
});
$("[data-yaml-leave]").addEventListener("click", leaveYaml);

if (location.hash === "#yaml") select($("#tab-yaml"));
apply();
if ("focusError" in form.dataset) focusFirstError(form);
follow(); // measures the time as soon as a worker can
