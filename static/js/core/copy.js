/* copy.js: <button data-copy="text"> or <button data-copy-from="#id"> (value or text of that node) or <button data-copy-link> (this address). */
import { $, toast } from "./dom.js";

export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // no clipboard on plain http off localhost: the old way, through a selection
    const area = document.createElement("textarea");
    area.value = text;
    area.className = "sr-only";
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    if (!done) {
      toast("The browser did not allow copying: select the text and copy it by hand.");
      return false;
    }
  }
  toast("Copied");
  return true;
}

export function start() {
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-copy], [data-copy-from], [data-copy-link]");
    if (!button) return;
    const from = button.dataset.copyFrom && $(button.dataset.copyFrom);
    copy("copyLink" in button.dataset ? location.href : from ? from.value ?? from.textContent : button.dataset.copy);
  });
}
