/* list.js: the page Spaces: sizes of the gallery's cards are counted by the server one after the other and written in as they come. */
import { $, $$, setText } from "../core/dom.js";

$("#gallery-data")?.addEventListener("change", (event) => event.target.form.requestSubmit());

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-unfold]");
  if (!button) return;
  const list = $(button.dataset.unfold);
  const first = $$(".card", list).find((card) => !card.offsetParent);
  delete list.dataset.folded;
  button.parentElement.remove();
  $("a", first)?.focus({ preventScroll: true });
});

const waiting = new Map();
const seen = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    if (!entry.isIntersecting) continue;
    seen.unobserve(entry.target);
    waiting.set(entry.target, entry.target.dataset.size);
  }
  ask();
}, { rootMargin: "400px" });

let asking = false;
async function ask() {
  if (asking) return;
  asking = true;
  for (const [node, url] of waiting) {
    waiting.delete(node);
    try {
      const answer = await fetch(url, { credentials: "same-origin", headers: { Accept: "application/json" } });
      const size = answer.ok ? (await answer.json()).size : "–";
      setText(node, /^[\d,]+$/.test(size) ? `${size} architectures` : size);
    } catch {
      setText(node, "–");
    }
  }
  asking = false;
}
for (const node of $$("[data-size]")) seen.observe(node);
