/* new.js: the forms of the arena. Another problem has other columns, so that the form is asked for again with what was typed. */
import { $, $$, setText } from "../core/dom.js";
import { once } from "../core/form.js";

const form = $("#race-form");
for (const each of $$("form.race-form")) once(each);

$("[data-reloads]")?.addEventListener("change", () => {
  const typed = new URLSearchParams([...new FormData(form)].filter(([name, value]) => value && !["token", "csrfmiddlewaretoken"].includes(name)));
  location.href = `${form.dataset.new}?${typed}`;
});

form?.addEventListener("input", () => {
  const chosen = $$("[name=entrants]:checked", form).length;
  const total = chosen * Number($("[name=budget]", form).value) * Number($("[name=seeds]", form).value);
  setText($("[data-total]", form), Number.isFinite(total) && total > 0 ? `${total.toLocaleString("en")} queries in all` : "");
});
