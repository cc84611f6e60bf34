/* arch-outline-form.js: outlineForm(element, outline, {restrict, onToggle, onSelect}, following) -> {redraw(outline, options), restrict(next), select(id), destroy()}
   the picture of a space whose options are buttons (aria-pressed): pressed = may be chosen, struck and pale = left out.
     restrict  {decision: [values]}; a decision that it does not name has all its options
     onToggle(names, value, on)  names: all decisions this row stands for; value: the raw option; on: it shall be in
     onSelect(partId)            the blocks are buttons too
   Without onToggle the options cannot be changed. The page answers by restrict(next) or redraw(...); focus stays where it was. The last option of a decision cannot be left out. */
import { h, s } from "./dom.js";
import { connections, frame, GAP, saidIn } from "./arch-outline.js";
import { classOf, text } from "./arch-parts.js";

const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);

/** "true", "false" or "mixed": whether all, none or some of the decisions may take a value. */
function pressed(decision, value, restrict) {
  const all = decision.names?.length ? decision.names : [decision.name];
  const names = all.filter((name) => decision.fewer?.[name]?.some((other) => same(other, value)) ?? true); // some offer fewer
  const on = names.filter((name) => !restrict[name] || restrict[name].some((other) => same(other, value))).length;
  return on === names.length ? "true" : on ? "mixed" : "false";
}

export function outlineForm(element, outline, options, following) {
  let shown = outline;
  let { restrict = {}, onToggle = null, onSelect = null } = options;
  let chosen = null;
  let buttons = []; // {button, decision, value}
  let blocks = new Map();

  function mark() {
    const left = new Map();
    for (const { decision, value } of buttons) if (pressed(decision, value, restrict) !== "false") left.set(decision, (left.get(decision) || 0) + 1);
    for (const { button, decision, value } of buttons) {
      const state = pressed(decision, value, restrict);
      button.setAttribute("aria-pressed", state);
      const only = state !== "false" && left.get(decision) === 1;
      button.toggleAttribute("data-only", only);
      if (only || !onToggle) button.setAttribute("aria-disabled", "true");
      else button.removeAttribute("aria-disabled");
      button.title = only ? "the last one: at least one option stays" : state === "mixed" ? "in some of the places this row stands for" : "";
    }
    for (const [id, block] of blocks) block.setAttribute("aria-pressed", String(id === chosen));
  }

  function choice(decision) {
    const values = decision.values || decision.options;
    const row = decision.options.map((words, i) => {
      const value = values[i];
      const button = h("button", { class: "outline-option", type: "button", "data-key": `${decision.name}\n${JSON.stringify(value)}` }, String(words));
      button.addEventListener("click", () => {
        if (button.getAttribute("aria-disabled")) return;
        onToggle?.(decision.names?.length ? decision.names : [decision.name], value, button.getAttribute("aria-pressed") !== "true");
      });
      buttons.push({ button, decision, value });
      return button;
    });
    return h("div", { class: "outline-choice", role: "group", "aria-label": decision.title }, h("div", { class: "outline-options" }, row), h("div", { class: "small muted" }, decision.title));
  }

  function block(part, { left, axis, block: wide }, top, height) {
    const said = saidIn(part);
    const g = s("g", onSelect
      ? { class: "node opens", role: "button", tabindex: "0", "aria-label": [part.title, part.detail, part.repeat].filter(Boolean).join(", "), "data-key": part.id }
      : { class: "node" });
    if (part.repeat) g.append(s("rect", { x: left + 4, y: top - 4, width: wide, height, rx: 3, class: `op ${classOf(part)}` }));
    g.append(s("rect", { x: left, y: top, width: wide, height, rx: 3, class: `op ${classOf(part)}` }));
    said.forEach((line, k) => g.append(text(axis, top + height / 2 + 4 + (k - (said.length - 1) / 2) * 16, line, k ? "t2" : "t1")));
    if (onSelect) {
      g.addEventListener("click", () => onSelect(part.id));
      g.addEventListener("keydown", (event) => {
        if (event.key !== "Enter" && event.key !== " ") return;
        event.preventDefault();
        onSelect(part.id);
      });
      blocks.set(part.id, g);
    }
    return g;
  }

  const follow = following(element, (width) => {
    const focused = element.contains(document.activeElement) ? document.activeElement.dataset.key : null;
    buttons = [];
    blocks = new Map();
    const places = frame(shown, width);
    const rows = shown.parts.map((part) => {
      const aside = part.decisions?.length && part.kind !== "input" ? null : part.detail;
      const repeat = part.repeat && !(part.detail || "").includes(part.repeat) ? part.repeat : ""; // many say it there already
      const said = [aside, repeat].filter(Boolean).join(", ");
      const least = Math.max(30, saidIn(part).length * 16 + 12);
      return h("div", { class: "outline-row", css: { "min-height": `${least}px` } },
        said ? h("p", { class: "small muted" }, said) : null,
        (part.decisions || []).map(choice));
    });
    const svg = s("svg", { class: "arch outline-blocks", role: "group", "aria-label": "places of the space" });
    const holder = h("div", { class: `outline-form${width - places.right > 460 ? " wide" : ""}`, css: { "--right": `${places.right}px`, "--gap": `${GAP}px` } }, svg, rows);
    element.replaceChildren(holder);
    const top = rows.map((row) => row.offsetTop);
    const height = rows.map((row) => row.offsetHeight);
    const H = holder.offsetHeight + 4;
    for (const [name, value] of Object.entries({ width: places.right - 8, height: H, viewBox: `0 -4 ${places.right - 8} ${H}` })) svg.setAttribute(name, value);
    shown.parts.forEach((part, i) => {
      svg.append(block(part, places, top[i], height[i]));
      if (rows[i].childElementCount) svg.append(s("path", { d: `M${places.left + places.block + 6},${top[i] + height[i] / 2}H${places.right - 10}`, class: "base" }));
    });
    connections(svg, shown, places, top, height);
    mark();
    if (focused) [...element.querySelectorAll("[data-key]")].find((one) => one.dataset.key === focused)?.focus({ preventScroll: true });
  });
  return {
    redraw(next, more = {}) {
      if (next) shown = next;
      ({ restrict, onToggle, onSelect } = { restrict, onToggle, onSelect, ...more });
      follow.run();
    },
    restrict(next) {
      restrict = next || {};
      mark();
    },
    select(id) {
      chosen = id;
      mark();
    },
    destroy: follow.destroy,
  };
}
