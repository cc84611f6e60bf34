/* tabs.js: tabs(list, onShow): a [role=tablist] whose tabs show and hide their panels; arrow keys move. */
import { $, $$ } from "../core/dom.js";

export function tabs(list, onShow = () => {}) {
  const all = $$("[role=tab]", list);
  function select(tab) {
    for (const other of all) {
      other.setAttribute("aria-selected", String(other === tab));
      other.tabIndex = other === tab ? 0 : -1;
      $(`#${other.getAttribute("aria-controls")}`).hidden = other !== tab;
    }
    const url = new URL(location.href);
    url.hash = tab === all[0] ? "" : tab.id.replace("tab-", "");
    history.replaceState(null, "", url.hash ? url : url.pathname + url.search);
    onShow(tab);
  }
  for (const tab of all) {
    tab.addEventListener("click", () => select(tab));
    tab.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (!step) return;
      const other = all[(all.indexOf(tab) + step + all.length) % all.length];
      select(other);
      other.focus();
    });
  }
  const wanted = all.find((tab) => tab.id === `tab-${location.hash.slice(1)}`);
  if (wanted) select(wanted);
  return { select: (id) => select($(`#tab-${id}`)) };
}
