/* look.js: one architecture: the address is the view. A changed decision asks the server for the architecture that follows from it. */
import { $, toast } from "../core/dom.js";
import { drawPicture } from "../core/arch.js";

const form = $("#look-form");
const place = $("#look");
let picture = null;
let turn = 0;

function draw() {
  const data = $("#look-picture-json");
  picture?.destroy();
  picture = null;
  if (!data) return;
  const shown = JSON.parse(data.textContent);
  picture = drawPicture($("#look-picture"), shown, { pixels: shown.pixels });
  const parent = $("[data-parent-of]");
  const choose = $('select[name="search"]', place);
  const own = () => parent && (parent.disabled = choose.value !== parent.dataset.parentOf);
  choose?.addEventListener("change", own);
  own();
}

/** The address of what the form says, with changes. */
function address(changes = {}) {
  const query = new URLSearchParams(new FormData(form));
  for (const [name, value] of Object.entries(changes)) {
    if (value === null) query.delete(name);
    else query.set(name, value);
  }
  return `${place.dataset.url}?${query}`;
}

async function show(url, { push = true, focus = "" } = {}) {
  const mine = (turn += 1);
  let answer;
  try {
    answer = await fetch(url, { credentials: "same-origin", headers: { "X-Part": "look" } });
  } catch {
    toast("The server cannot be reached.");
    return;
  }
  if (mine !== turn) return;
  if (!answer.ok) {
    toast(`The server answered ${answer.status}.`);
    return;
  }
  place.innerHTML = await answer.text(); // rendered and escaped by the server
  const text = $("[data-look-text]", place).dataset.text;
  form.elements.a.value = text;
  if (push) history.pushState({}, "", address({ a: text }));
  draw();
  if (focus) $(`#${CSS.escape(focus)}`)?.focus({ preventScroll: true });
}

document.addEventListener("change", (event) => {
  const { decision } = event.target.dataset;
  if (decision) show(address({ change: decision, to: event.target.value }), { focus: event.target.id });
});
$("#look-space").addEventListener("change", () => {
  location.assign(address({ a: null, o: null, trial: null, data: null })); // another space: another notation, another data set
});
$("#look-data").addEventListener("change", () => location.assign(address({})));
$("[data-random]").addEventListener("click", () => show(address({ a: null, trial: null, r: String(Math.floor(Math.random() * 1e6)) })));
addEventListener("popstate", () => location.reload());
form.addEventListener("submit", (event) => {
  // a bundle's architecture.json brings its space and data along, and much that the address has no room for
  let value = null;
  try {
    value = JSON.parse(form.elements.a.value);
  } catch {
    return; // another notation, or the server says what is wrong
  }
  if (typeof value?.choices !== "object" || typeof value.space?.name !== "string") return;
  event.preventDefault();
  const { name, ...options } = value.space;
  location.assign(address({ s: name, o: JSON.stringify(options), data: value.data?.name || null, trial: null, a: JSON.stringify(value.choices) }));
});
form.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && event.target.matches("textarea")) form.requestSubmit();
});
draw();
