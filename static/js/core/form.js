/* form.js: helpers for forms.
   debounce(run, ms = 300)                      the last call, after a pause
   values(form) -> {name: value | [values]}     as the server would get them
   setErrors(form, {name: [sentences]})         at the field (row [data-field=name]); unknown names go to [data-form-errors]; clears the others
   focusFirstError(form)
   busy(button, promise)                        aria-busy and disabled while it lasts (no double click)
   once(form)                                   a second submit of the same form does nothing; Back makes it usable again
   post(url, data | FormData) -> {ok, status, json}   with the CSRF token
   keepDraft(form, key) -> {clear(), restored}  keeps what was typed in sessionStorage until it is sent */
import { $, $$, h, icon } from "./dom.js";

export function debounce(run, milliseconds = 300) {
  let timer;
  return (...given) => {
    clearTimeout(timer);
    timer = setTimeout(() => run(...given), milliseconds);
  };
}

export function values(form) {
  const out = {};
  for (const [name, value] of new FormData(form)) {
    if (value instanceof File) continue;
    if (!(name in out)) out[name] = value;
    else out[name] = [].concat(out[name], value);
  }
  return out;
}

function show(row, sentences) {
  const fields = $$(".field, input, select, textarea", row).filter((field) => field.name);
  let box = $(".error", row);
  row.classList.toggle("has-error", sentences.length > 0);
  if (!sentences.length) {
    box?.remove();
    for (const field of fields) {
      field.removeAttribute("aria-invalid");
      if (field.getAttribute("aria-describedby")?.endsWith("-error")) field.removeAttribute("aria-describedby");
    }
    const help = $(".help", row);
    if (help) help.hidden = false;
    return;
  }
  const id = `${fields[0]?.id || row.dataset.field}-error`;
  if (!box) {
    box = h("div", { class: "error", role: "alert" }, icon("failed", 12), h("span"));
    (row.querySelector(":scope > div") || row).append(box);
  }
  box.id = id;
  $("span", box).textContent = sentences.join(" ");
  const help = $(".help", row);
  if (help) help.hidden = true;
  for (const field of fields) {
    field.setAttribute("aria-invalid", "true");
    field.setAttribute("aria-describedby", id);
  }
}

export function setErrors(form, errors) {
  const rows = $$("[data-field]", form);
  const known = new Set(rows.map((row) => row.dataset.field));
  for (const row of rows) show(row, [].concat(errors[row.dataset.field] || []));
  const rest = Object.entries(errors).filter(([name]) => !known.has(name)).flatMap(([, sentences]) => sentences);
  const place = $("[data-form-errors]", form);
  if (place) {
    place.hidden = rest.length === 0;
    place.replaceChildren(...rest.map((text) => h("div", { class: "error", role: "alert" }, icon("failed", 12), h("span", {}, text))));
  }
}

export function focusFirstError(form) {
  const row = $(".has-error", form);
  for (let fold = row?.closest("details"); fold; fold = fold.parentElement.closest("details")) fold.open = true;
  $(".field, input, select, textarea", row || form)?.focus();
}

export async function busy(button, promise) {
  if (button) {
    button.disabled = true;
    button.setAttribute("aria-busy", "true");
  }
  try {
    return await promise;
  } finally {
    if (button) {
      button.disabled = false;
      button.removeAttribute("aria-busy");
    }
  }
}

export function once(form) {
  let sent = false;
  form.addEventListener("submit", (event) => {
    if (sent) event.preventDefault();
    else if (!event.defaultPrevented) sent = true;
  });
  addEventListener("pageshow", () => {
    sent = false;
  });
}

export function csrfToken() {
  const header = document.body.getAttribute("hx-headers");
  return header ? JSON.parse(header)["X-CSRFToken"] : $("[name=csrfmiddlewaretoken]")?.value || "";
}

export async function post(url, data = {}) {
  const isForm = data instanceof FormData;
  const answer = await fetch(url, {
    method: "POST",
    credentials: "same-origin",
    headers: { Accept: "application/json", "X-CSRFToken": csrfToken(), ...(isForm ? {} : { "Content-Type": "application/json" }) },
    body: isForm ? data : JSON.stringify(data),
  });
  const json = answer.headers.get("Content-Type")?.includes("json") ? await answer.json() : null;
  return { ok: answer.ok, status: answer.status, json };
}

export function keepDraft(form, key) {
  let restored = false;
  try {
    const kept = JSON.parse(sessionStorage.getItem(key) || "null");
    for (const field of kept ? form.elements : []) {
      if (!(field.name in kept) || field.type === "hidden" || field.type === "file") continue;
      const wanted = [].concat(kept[field.name]);
      if (field.type === "checkbox" || field.type === "radio") field.checked = wanted.includes(field.value);
      else [field.value] = wanted;
      restored = true;
    }
  } catch {
    // a damaged draft is no draft
  }
  form.addEventListener("input", debounce(() => {
    try {
      sessionStorage.setItem(key, JSON.stringify(values(form)));
    } catch {
      // storage refused: nothing is kept
    }
  }));
  return { restored, clear: () => sessionStorage.removeItem(key) };
}
