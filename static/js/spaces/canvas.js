/* canvas.js: one space as a form, as a drawing, decision by decision and as YAML; whichever is changed, the others follow.
   The state lives in the form alone; the server says what follows from it. Costs, warnings and examples come in the background. */
import { $, $$, h, setText, toast } from "../core/dom.js";
import { busy, csrfToken, debounce, focusFirstError, setErrors } from "../core/form.js";
import { drawOutline } from "../core/arch.js";
import { tabs } from "./tabs.js";
import { slots } from "./slots.js";
import { sampling } from "./samples.js";
import { examples } from "./examples.js";

const form = $("#space-form");
const parts = form.dataset.parts;
const readonly = "readonly" in form.dataset;
const restrictField = $("[data-restrict]");
const opened = JSON.parse($("#canvas-state").textContent);
const DRAFT = `canvas:${location.pathname}${location.search}`;

let shown = opened; // the last answer that was applied
let picture = null;
let drawn = ""; // the outline that it shows
let turn = 0; // the latest answer counts, whatever the order they come in
let leaving = false;

const post = (what, body, signal) =>
  fetch(`${parts}${what}/`, { method: "POST", body, signal, credentials: "same-origin", headers: { Accept: "application/json", "X-CSRFToken": csrfToken() } });

/** A question about the state that is shown: state and more, as JSON. */
async function question(what, more, signal) {
  const answer = await post(what, JSON.stringify({ state: shown.state, ...more }), signal);
  const json = answer.headers.get("Content-Type")?.includes("json") ? await answer.json() : {};
  return { ok: answer.ok && json.ok !== false, ...json, status: answer.status };
}

/* -- restriction: decision -> the options it keeps -- */
const restriction = () => {
  try {
    return JSON.parse(restrictField.value || "{}");
  } catch {
    return {};
  }
};
const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);

function setRestriction(next) {
  restrictField.value = Object.keys(next).length ? JSON.stringify(next) : "";
  drawDecisions(next); // at once; the answer brings the rest
  follow();
}

/** Takes an option out of decisions, or puts it back. Never the last one. */
function toggle(names, value, on) {
  if (readonly) return;
  const next = restriction();
  let refused = false;
  for (const name of names) {
    const offered = shown.offered?.[name];
    if (!offered) continue;
    const kept = (next[name] || offered).filter((other) => !same(other, value));
    if (on) kept.push(value);
    if (!kept.length) {
      refused = true;
      continue;
    }
    const ordered = offered.filter((other) => kept.some((k) => same(k, other)));
    if (ordered.length === offered.length) delete next[name];
    else next[name] = ordered;
  }
  if (refused) toast("Keep at least one option of a decision.");
  setRestriction(next);
}

function lift(names) {
  const next = restriction();
  for (const name of names) delete next[name];
  setRestriction(next);
}

/* -- what follows from the state -- */
const panel = slots({ element: $("[data-slots]"), toggle, lift, readonly });

function drawDecisions(restrict) {
  if (!shown.outline) return;
  const options = { restrict, onToggle: readonly ? null : toggle, onSelect: (part) => panel.open(part) };
  const place = $("[data-outline-picture]");
  const text = JSON.stringify(shown.outline);
  if (picture && text === drawn) picture.restrict(restrict);
  else if (picture) picture.redraw(shown.outline, options);
  else if (!place.closest("[hidden]")) picture = drawOutline(place, shown.outline, options);
  if (picture) drawn = text;
  panel.show(shown, restrict);
}

function chips() {
  const place = $("[data-chips]");
  const row = place.closest(".form-row");
  row.hidden = !shown.chips.length;
  place.replaceChildren(...shown.chips.map((chip) => {
    const many = chip.count > 1 ? ` (${chip.count} decisions)` : "";
    const few = chip.left_out.length < chip.kept.length; // the shorter of the two ways to say it
    return h("span", { class: "chip restriction" },
      h("span", { class: "restriction-words" }, h("b", {}, `${chip.title}${many}`), ` ${few ? `without ${chip.left_out.join(", ")}` : chip.kept.join(", ")}`, h("span", { class: "faint" }, ` ${chip.kept.length} of ${chip.of}`)),
      readonly ? null : h("button", { type: "button", class: "chip-lift", "aria-label": `lift the restriction of ${chip.title}`, title: "lift", onclick: () => lift(chip.names) }, "×"));
  }), !readonly && shown.chips.length > 1 ? h("button", { type: "button", class: "link small", onclick: () => setRestriction({}) }, "lift all") : "");
}

function headline() {
  const answer = $("#answer");
  const wrong = Object.values(shown.errors || {}).reduce((sum, list) => sum + list.length, 0);
  if (!shown.ok) {
    answer.replaceChildren(h("b", {}, wrong === 1 ? "One field needs you." : `${wrong || "Some"} fields need you.`));
    $("#facts").replaceChildren();
    return;
  }
  const { size } = shown;
  const count = size.words ? `${size.words} ${size.one ? "architecture" : "architectures"}` : size.counting ? "Counting its architectures" : size.too_many ? "More architectures than can be counted here" : "An unknown number of architectures";
  answer.replaceChildren(h("b", {}, count), ` for ${shown.state.data.name}. `, h("span", { class: "caveat", dataset: { warnings: "" } }, ""));
  if (size.why) answer.title = size.why;
  else answer.removeAttribute("title");
  const kept = Object.keys(restriction()).length;
  $("#facts").replaceChildren(
    h("span", {}, shown.state.space.name.replaceAll("_", " ")),
    h("span", {}, `${shown.n_decisions.toLocaleString("en")} ${shown.n_decisions === 1 ? "decision" : "decisions"}`),
    kept ? h("span", {}, `${kept.toLocaleString("en")} of them restricted`) : "");
}

function kept() {
  const note = $("[data-kept]");
  if (readonly) return;
  const changed = shown.key !== opened.key || !opened.key;
  const unsaved = shown.same_as === null;
  setText(note, !shown.ok ? "" : shown.same_as !== null ? "nothing to save" : form.elements["form:space"] ? "changed, not saved" : "");
  for (const button of $$("[data-save]")) {
    if (shown.ok && unsaved) button.removeAttribute("aria-disabled");
    else button.setAttribute("aria-disabled", "true");
  }
  setText($("[data-why-not]"), shown.ok ? (unsaved ? "" : "Nothing has changed since this version.") : "It can be kept when every field is right.");
  for (const link of $$("[data-start-search]")) {
    if (!link.dataset.base) {
      unkept(link);
      continue;
    }
    if (shown.same_as !== null) {
      link.href = `${link.dataset.base}${shown.same_as}`;
      link.removeAttribute("aria-disabled");
      link.title = "";
    } else {
      link.setAttribute("aria-disabled", "true");
      link.title = "Save the change first";
    }
  }
  try {
    if (changed && !leaving) sessionStorage.setItem(DRAFT, JSON.stringify({ ...shown.state, name: form.elements.name?.value }));
    else sessionStorage.removeItem(DRAFT);
  } catch {
    // storage refused: nothing is kept
  }
}

/** A search needs no kept space: the form takes its options from the address, where they are not too long for one. */
function unkept(link) {
  const { name, ...options } = shown.state.space;
  const address = `${link.dataset.new}?${new URLSearchParams({ family: name, data: shown.state.data.name, o: JSON.stringify(options) })}`;
  const can = shown.ok && address.length < 4000;
  if (can) link.href = address;
  link.toggleAttribute("aria-disabled", false);
  if (!can) link.setAttribute("aria-disabled", "true");
  link.title = can ? "" : shown.ok ? "Keep the space first" : "";
}

function apply(answer, { fields = false } = {}) {
  const before = shown;
  shown = answer;
  if (answer.html !== undefined && fields) $("#fields").innerHTML = answer.html; // rendered and escaped by the server
  setErrors(form, answer.errors || {});
  for (const [id, text] of Object.entries(answer.folds || {})) setText($(`[data-fold="${id}"]`), text);
  setText($("#yaml-text-shown"), answer.yaml);
  headline();
  chips();
  kept();
  if (!answer.ok) {
    samples.stop();
    return;
  }
  drawDecisions(answer.restrict);
  if (answer.size.counting) count(answer.key);
  if (before === answer || before.key !== answer.key || !before.ok) {
    samples.start(answer);
    example.start(answer);
  }
}

async function count(key) {
  const answer = await question("count", {}).catch(() => null);
  if (!answer?.ok || shown.key !== key) return;
  shown.size = answer.size;
  headline();
  samples.say();
}

const samples = sampling({ question, chunks: Number(form.dataset.chunks), onFindings: (n) => setText($("[data-warnings]"), n ? `${n === 1 ? "One thing is" : `${n} things are`} odd about it.` : "") });
const example = examples({ question, look: form.dataset.look, root: document });

/* -- asking -- */
async function ask(what, body = new FormData(form)) {
  const mine = (turn += 1);
  let answer;
  try {
    answer = await post(what, body);
  } catch {
    toast("The server cannot be reached; what you typed stays.");
    return null;
  }
  const json = answer.headers.get("Content-Type")?.includes("json") ? await answer.json() : null;
  if (mine !== turn) return null;
  if (!json) {
    toast(`The server answered ${answer.status}.`);
    return null;
  }
  if (json.state) apply(json, { fields: what !== "state" });
  else setErrors(form, json.errors || {});
  return json;
}
const follow = debounce(() => ask("state"), 300);

form.addEventListener("input", (event) => {
  if (["name", "note"].includes(event.target.name)) {
    if (event.target.name === "name") setText($("[data-space-name]"), event.target.value);
    return;
  }
  if (!event.target.matches("[data-swaps]")) follow();
});
form.addEventListener("change", async (event) => {
  if (!event.target.matches("[data-swaps]")) return;
  const { id } = event.target;
  const open = $$("#fields details[open]").map((fold) => fold.id);
  if (event.target.name === "space.name") restrictField.value = ""; // its names are those of the old family
  await ask("fields");
  for (const fold of open) $(`#${CSS.escape(fold)}`)?.setAttribute("open", "");
  $(`#${CSS.escape(id)}`)?.focus({ preventScroll: true });
});
form.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && event.target.matches("input:not([type=checkbox]):not([type=radio])")) event.preventDefault();
});

/* -- keeping -- */
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const button = event.submitter;
  const copy = button?.value === "copy";
  if (!shown.ok) {
    focusFirstError(form);
    return;
  }
  if (shown.same_as !== null && !copy) {
    toast("Nothing has changed since this version.");
    return;
  }
  const body = new FormData(form, button);
  const json = await busy(button, fetch(form.action, { method: "POST", body, credentials: "same-origin", headers: { Accept: "application/json" } }).then((answer) => answer.json()).catch(() => null));
  if (!json) {
    toast("It could not be kept: the server cannot be reached.");
    return;
  }
  if (!json.ok) {
    setErrors(form, json.errors || {});
    focusFirstError(form);
    return;
  }
  leaving = true;
  sessionStorage.removeItem(DRAFT);
  location.assign(json.url);
});
document.addEventListener("click", (event) => {
  const link = event.target.closest("[data-start-search][aria-disabled=true]");
  if (!link) return;
  event.preventDefault();
  toast(!shown.ok ? "Put right what is marked first." : link.dataset.base ? "Save the change first." : "Keep the space first: it is too long for an address.");
});

/* -- YAML -- */
const show = $("[data-yaml-show]");
const edit = $("[data-yaml-edit-area]");
function leaveYaml() {
  edit.hidden = true;
  show.hidden = false;
  $("#yaml-error").replaceChildren();
}
$("[data-yaml-edit]")?.addEventListener("click", () => {
  $("#yaml-text").value = shown.yaml;
  show.hidden = true;
  edit.hidden = false;
  $("#yaml-text").focus();
});
$("[data-yaml-leave]").addEventListener("click", leaveYaml);
$("[data-yaml-use]").addEventListener("click", async (event) => {
  const json = await busy(event.currentTarget, paste($("#yaml-text").value));
  if (!json) return;
  const said = json.said || [];
  $("#yaml-error").replaceChildren(...said.map((text) => h("div", { class: "error", role: "alert" }, text)));
  if (!said.length) leaveYaml();
});

async function paste(text) {
  const body = new FormData();
  body.set("yaml", text);
  for (const name of ["form:space", "form:version"]) if (form.elements[name]) body.set(name, form.elements[name].value);
  const json = await ask("paste", body);
  if (json?.state) {
    restrictField.value = Object.keys(json.restrict).length ? JSON.stringify(json.restrict) : "";
    const { name, ...rest } = json.state.data;
    form.elements["data.options"].value = Object.keys(rest).length ? JSON.stringify(rest) : "";
    if (json.name && form.elements.name) {
      form.elements.name.value = json.name;
      setText($("[data-space-name]"), json.name);
    }
    drawDecisions(json.restrict);
  }
  return json;
}

document.addEventListener("click", (event) => {
  if (!event.target.closest("[data-to-yaml]")) return;
  views.select("yaml");
  $("[data-yaml-edit]")?.click();
});

const views = tabs($("[role=tablist]"), () => drawDecisions(restriction()));
/* -- what was typed before the page was left: read before the first answer is applied, which knows of no change -- */
let draft = null;
try {
  draft = readonly ? null : JSON.parse(sessionStorage.getItem(DRAFT) || "null");
} catch {
  // a damaged draft is no draft
}
apply(opened);
if (draft) {
  paste(JSON.stringify(draft)).then((json) => {
    if (!json?.state) return;
    const note = $("[data-kept]");
    note.replaceChildren("changes kept · ", h("button", { type: "button", class: "link", onclick: () => {
      leaving = true;
      sessionStorage.removeItem(DRAFT);
      location.reload();
    } }, "start over"));
  });
}
