/* table.js: tables that are read while they change.

   selection({table, bar, max, onChange}) -> {chosen(): [id], set(ids), clear()}
     rows: tr[data-id] with input.check[data-choose]; the chosen row gets aria-selected and --c = its category colour (cat-1.. in order of
     choice); the bar ([hidden] while nothing is chosen) has [data-count]; [data-clear] empties; shift-click chooses a range;
     input.check[data-choose-all] in the head.
   columns({table, key, defaults, menu}) -> {visible(): Set}: th[data-col] and td[data-col]; `menu` (.menu-list) is filled with checks; the
     choice is kept in localStorage under `key`; th[data-col][data-fixed] cannot be hidden.
   newRows({chip, onShow(n)}) -> {add(n), reset()}: the "12 new" chip in place of moving rows; a click on it empties it. */
import { $, $$, h, setText } from "./dom.js";

const DASHES = ["solid", "dash", "dot", "dashdot"];

/** Colour and dash of the n-th chosen thing (0-based), as in the charts. */
export const look = (n) => ({ role: `cat-${(n % 8) + 1}`, dash: DASHES[n % DASHES.length] });

export function selection({ table, bar, max = 8, onChange = () => {} }) {
  let chosen = [];
  let lastBox = null;
  const boxes = () => $$("[data-choose]", table);

  function show() {
    for (const row of $$("tr[data-id]", table)) {
      const at = chosen.indexOf(row.dataset.id);
      row.setAttribute("aria-selected", String(at >= 0));
      const box = $("[data-choose]", row);
      if (box) {
        box.checked = at >= 0;
        box.disabled = at < 0 && chosen.length >= max;
      }
      if (at >= 0) row.style.setProperty("--c", `var(--${look(at).role})`);
      else row.style.removeProperty("--c");
    }
    const all = $("[data-choose-all]", table);
    if (all) {
      const ids = boxes().map((box) => box.closest("tr").dataset.id);
      all.checked = ids.length > 0 && ids.every((id) => chosen.includes(id));
      all.indeterminate = !all.checked && ids.some((id) => chosen.includes(id));
    }
    if (bar) {
      bar.hidden = chosen.length === 0;
      setText($("[data-count]", bar), chosen.length);
    }
  }

  function change(ids) {
    chosen = [...new Set(ids)].slice(0, max);
    show();
    onChange([...chosen]);
  }

  table.addEventListener("click", (event) => {
    const box = event.target.closest("[data-choose]");
    if (!box) return;
    const id = box.closest("tr").dataset.id;
    const list = boxes();
    const [from, to] = [list.indexOf(lastBox), list.indexOf(box)].sort((a, b) => a - b);
    const range = event.shiftKey && from >= 0 ? list.slice(from, to + 1).map((b) => b.closest("tr").dataset.id) : [id];
    lastBox = box;
    change(box.checked ? [...chosen, ...range] : chosen.filter((other) => !range.includes(other)));
  });
  $("[data-choose-all]", table)?.addEventListener("change", (event) => {
    change(event.target.checked ? boxes().map((box) => box.closest("tr").dataset.id) : []);
  });
  bar?.addEventListener("click", (event) => event.target.closest("[data-clear]") && change([]));
  chosen = boxes().filter((box) => box.checked).map((box) => box.closest("tr").dataset.id).slice(0, max);
  show();
  return { chosen: () => [...chosen], set: change, clear: () => change([]), refresh: show };
}

export function columns({ table, key, defaults, menu }) {
  const heads = $$("th[data-col]", table);
  const all = heads.map((head) => head.dataset.col);
  let visible = new Set(defaults || all);
  try {
    const kept = JSON.parse(localStorage.getItem(key));
    if (Array.isArray(kept)) visible = new Set(kept.filter((name) => all.includes(name)));
  } catch {
    // refused or damaged storage: the defaults
  }
  for (const head of heads) if ("fixed" in head.dataset) visible.add(head.dataset.col);

  function apply(root = table) {
    for (const cell of $$("[data-col]", root)) cell.hidden = !visible.has(cell.dataset.col);
  }
  for (const head of heads) {
    if ("fixed" in head.dataset) continue;
    const name = head.dataset.col;
    menu?.append(h("label", {}, h("input", {
      class: "check", type: "checkbox", checked: visible.has(name),
      onchange: (event) => {
        if (event.target.checked) visible.add(name);
        else visible.delete(name);
        apply();
        try {
          localStorage.setItem(key, JSON.stringify([...visible]));
        } catch {
          // not kept: holds for this page
        }
      },
    }), head.dataset.title || head.textContent.trim()));
  }
  apply();
  return { visible: () => new Set(visible), apply };
}

export function newRows({ chip, onShow }) {
  let count = 0;
  const show = () => {
    chip.hidden = count === 0;
    setText(chip, `${count} new`);
  };
  chip.addEventListener("click", () => {
    const shown = count;
    count = 0;
    show();
    onShow(shown);
  });
  show();
  return {
    add(n = 1) {
      count += n;
      show();
    },
    reset() {
      count = 0;
      show();
    },
  };
}
