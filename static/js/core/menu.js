/* menu.js: <details class="menu" data-menu><summary class="btn">More</summary><div class="menu-list">links, buttons</div></details>
   Works without this file; it adds: one open at a time, Escape and a click elsewhere close, arrow keys, Home and End move.
   Also opens and closes <dialog>: [data-opens="#id"], [data-closes], click on the backdrop, and asks before a
   form with [data-confirm="sentence"] is sent ([data-confirm-label] names the button). */
import { $, $$, h } from "./dom.js";

const items = (menu) => $$(".menu-list :is(a, button, input):not([disabled])", menu);

function onKey(event) {
  const menu = event.target.closest?.("[data-menu]");
  if (!menu) return;
  if (event.key === "Escape" && menu.open) {
    menu.open = false;
    $("summary", menu).focus();
    event.preventDefault();
    return;
  }
  const step = { ArrowDown: 1, ArrowUp: -1, Home: -Infinity, End: Infinity }[event.key];
  if (!step || event.target.matches("input[type=text], input[type=search]")) return;
  const list = items(menu);
  if (!list.length) return;
  menu.open = true;
  const at = list.indexOf(document.activeElement);
  const next = Number.isFinite(step) ? (at + step + list.length) % list.length : step < 0 ? 0 : list.length - 1;
  list[at < 0 && step < 0 ? list.length - 1 : next].focus();
  event.preventDefault();
}

function closeOthers(keep) {
  for (const menu of $$("[data-menu][open]")) if (menu !== keep) menu.open = false;
}

/** Ask in a dialog; resolves to true or false. */
export function confirm(sentence, label = "Go on", danger = true) {
  return new Promise((resolve) => {
    const dialog = h("dialog", { class: "dialog", "aria-label": sentence },
      h("p", {}, sentence),
      h("div", { class: "dialog-end" },
        h("button", { class: "btn", type: "button", onclick: () => dialog.close("") }, "Leave it"),
        h("button", { class: danger ? "btn btn-danger" : "btn btn-primary", type: "button", onclick: () => dialog.close("yes") }, label)));
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes");
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}

async function onSubmit(event) {
  const form = event.target;
  const asked = event.submitter?.dataset.confirm ? event.submitter : form;
  if (!asked.dataset?.confirm || form.dataset.confirmed) return;
  event.preventDefault();
  event.stopImmediatePropagation();
  if (!(await confirm(asked.dataset.confirm, asked.dataset.confirmLabel))) return;
  form.dataset.confirmed = "yes";
  form.requestSubmit(event.submitter);
  delete form.dataset.confirmed;
}

export function start() {
  document.addEventListener("keydown", onKey);
  document.addEventListener("submit", onSubmit, true);
  document.addEventListener("click", (event) => {
    closeOthers(event.target.closest("[data-menu]"));
    const opener = event.target.closest("[data-opens]");
    if (opener) {
      const dialog = $(opener.dataset.opens);
      if (dialog && !dialog.open) dialog.showModal();
      closeOthers(null);
    }
    if (event.target.closest("[data-closes]") || event.target.matches?.("dialog[open].drawer, dialog[open].dialog")) {
      const inside = event.target.closest("[data-closes]") || outside(event);
      if (inside) event.target.closest("dialog")?.close();
    }
  });
}

/** True when a click on a dialog's own box is really one on its backdrop. */
function outside(event) {
  const box = event.target.getBoundingClientRect();
  return event.clientX < box.left || event.clientX > box.right || event.clientY < box.top || event.clientY > box.bottom;
}
