/* arch.js: draws networks from the JSON that the engine makes (nodes, edges, caption, details: kind, title, detail, shape, costs).

   drawPicture(element, picture, options) -> {redraw(picture), destroy()}
     A row with ways beside it (most networks): from left to right in one row or more, cost bars under the columns; below 680 px of room from
     above to below, folded when long. Any other graph: in layers; under a map of the whole where it is wider than its place.
     Every step has a card on hover and focus; a cell opens its inside.
     options: bars (true) | pixels (64 grey values of an input image) | table (true: the same as a table under it) | fold (true)
              caption (false; true writes the picture's caption above: pages usually have it in their section head)
   drawDifference(element, pictures, labels) -> {redraw(pictures, labels), destroy()}
     same places for all; the first is the reference. labels: [{name, notes: [line, line], role: "cat-1", dash: "solid"}]
   drawOutline(element, outline, options) -> {redraw(outline, options), destroy()}     the picture of a space: {parts, edges} of SearchSpace.outline()
     options {restrict, onToggle, onSelect} make it a form, see arch-outline-form.js; the answer then has restrict(next) and select(partId) too
   pictureTable(picture) -> <table>
   All follow the width of their element and the theme by themselves. */
import { h } from "./dom.js";
import { explains } from "./arch-card.js";
import { differences } from "./arch-differences.js";
import { drawGraph } from "./arch-graph.js";
import { drawHorizontal } from "./arch-horizontal.js";
import { arrange, isChain, shapeWords } from "./arch-layout.js";
import { withMap } from "./arch-map.js";
import { outlineDrawing } from "./arch-outline.js";
import { outlineForm } from "./arch-outline-form.js";
import { si } from "./arch-parts.js";
import { drawVertical } from "./arch-vertical.js";

const NARROW = 680;
const UPRIGHT = 1100; // up to here a row that can neither fit nor be cut is drawn from above to below
const FOLD_OVER = { narrow: 520, wide: 960 };

export function sentence(picture) {
  const steps = picture.nodes.filter((node) => !["add", "concat", "mul"].includes(node.kind)).map((node) => [node.title, node.detail].filter(Boolean).join(" "));
  // a screen reader gets the first of a long network here, and every step by the arrow keys or in the table
  const said = steps.length > 40 ? [...steps.slice(0, 12), `and ${steps.length - 12} more`] : steps;
  const parts = [`Network of ${steps.length} steps: ${said.join(", ")}.`];
  if (picture.n_params) parts.push(`${picture.n_params.toLocaleString("en")} parameters, ${(picture.n_macs || 0).toLocaleString("en")} multiply-adds.`);
  if (picture.caption) parts.push(picture.caption);
  return parts.join(" ");
}

export function pictureTable(picture) {
  const number = (value) => (value ? value.toLocaleString("en") : "–");
  return h("table", { class: "table table-plain" },
    h("thead", {}, h("tr", {}, h("th", {}, "step"), h("th", {}, "operation"), h("th", {}, "from"), h("th", {}, "output"), h("th", { class: "num" }, "parameters"), h("th", { class: "num" }, "multiply-adds"))),
    h("tbody", {}, picture.nodes.map((node) => {
      const sources = picture.edges.filter((edge) => edge.target === node.id).map((edge) => picture.nodes.find((other) => other.id === edge.source));
      const [channels, space] = shapeWords(node);
      return h("tr", {},
        h("td", {}, node.group || ""), h("td", {}, [node.title, node.detail].filter(Boolean).join(" ")),
        h("td", { class: "wrap" }, sources.map((source) => (source ? [source.group, source.title].filter(Boolean).join(", ") : "")).join(" + ")),
        h("td", {}, space ? `${channels} × ${space}` : channels),
        h("td", { class: "num" }, number(node.n_params)), h("td", { class: "num" }, number(node.n_macs)));
    })));
}

/** Draw now and whenever the width of the element changes by more than a scroll bar. */
function following(element, draw) {
  let drawn = 0;
  const run = () => {
    const width = element.clientWidth;
    if (!width) return;
    drawn = width;
    draw(width);
  };
  const watch = new ResizeObserver(() => {
    if (Math.abs(element.clientWidth - drawn) > 2) run();
  });
  run();
  watch.observe(element);
  return { run, destroy: () => watch.disconnect() };
}

function tableBelow(picture) {
  const details = h("details", { class: "as-table" }, h("summary", {}, "as a table"));
  details.addEventListener("toggle", () => {
    if (details.open && details.children.length === 1) details.append(h("div", { class: "scroll", tabindex: "0" }, pictureTable(picture)));
  });
  return details;
}

function scroller(svg, width, label) {
  if (svg.width.baseVal.value <= width + 1) return h("div", { class: "scroll" }, svg);
  return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": `${label}; scrolls sideways` }, svg);
}

/** A long drawing shows its beginning, and a button for the rest. `state.open` keeps what was asked for. */
function folded(content, height, most, words, state) {
  const shut = !state.open && height > most * 1.2; // a button for the last few steps would only be in the way
  const holder = h("div", { class: `arch-fold${shut ? " folded" : ""}`, css: { "--most": `${Math.round(most * 0.77)}px` } }, content);
  if (!shut) return holder;
  const show = () => {
    state.open = true;
    holder.classList.remove("folded");
  };
  holder.append(h("button", { class: "btn", type: "button", onclick: show }, words));
  holder.addEventListener("focusin", (event) => event.target.closest("g.node") && show());
  return holder;
}

/** The drawing of one graph in the way that suits it: {element, svg}. */
function drawing(graph, width, { bars = true, plain = false, fold = true, pixels = null, label, state }) {
  const narrow = width < NARROW;
  const plan = arrange(graph);
  if (!isChain(plan)) {
    const { svg, height } = drawGraph(graph, width, { plain, label, vertical: narrow ? true : undefined });
    const content = svg.width.baseVal.value > width && !narrow ? withMap(svg, width, graph.title || "network") : scroller(svg, width, graph.title || "network");
    const most = fold ? FOLD_OVER[narrow ? "narrow" : "wide"] : Infinity;
    return { svg, element: folded(content, height, most, "Show the whole drawing", state) };
  }
  if (narrow) {
    const flat = plain ? drawHorizontal(graph, width, { bars: false, plain, label, most: 44, wrap: false, plan }) : null;
    if (flat && flat.least <= width) return { svg: flat.svg, element: scroller(flat.svg, width, label) };
    const { svg, steps, height } = drawVertical(graph, width, { bars: bars && !plain, plain, label });
    return { svg, element: folded(scroller(svg, width, graph.title || "network"), height, fold && !plain ? FOLD_OVER.narrow : Infinity, `Show all ${steps} steps`, state) };
  }
  const flat = drawHorizontal(graph, width, { bars: bars && !plain, plain, pixels, label, most: plain ? 44 : 76, plan });
  if (flat.width > width + 1 && width < UPRIGHT) { // cannot be cut into rows that fit
    const { svg, steps, height } = drawVertical(graph, Math.min(width, 560), { bars: bars && !plain, plain, label });
    return { svg, element: folded(scroller(svg, width, graph.title || "network"), height, fold ? FOLD_OVER.wide : Infinity, `Show all ${steps} steps`, state) };
  }
  const { svg, height, rows } = flat;
  return { svg, element: folded(scroller(svg, width, graph.title || "network"), height, fold ? FOLD_OVER.wide : Infinity, `Show all ${rows} rows`, state) };
}

/** What the bars in the blocks of a layered drawing mean, and the sums that the columns of a row would show. */
function legend(picture, svg) {
  if (!svg.classList.contains("graph") || !picture.n_macs) return null;
  return h("p", { class: "small muted" }, `${si(picture.n_params)} parameters, ${si(picture.n_macs)} multiply-adds; the bar in a block is its share of the largest`);
}

export function drawPicture(element, picture, options = {}) {
  const { bars = true, table = true, fold = true, caption = false, pixels = null } = options;
  let shown = picture;
  let states = new Map(); // what was unfolded, by drawing
  let chosen = null; // of many insides one is shown
  const stateOf = (name) => {
    if (!states.has(name)) states.set(name, { open: false });
    return states.get(name);
  };

  function inside(detail, width, open) {
    const { svg, element: drawn } = drawing(detail, width, { plain: true, label: `${detail.title}: ${sentence(detail)}`, fold, state: stateOf(detail.title) });
    const place = h("div", { class: "arch-inside", tabindex: "-1", "data-inside": detail.title },
      h("p", { class: "small" }, h("b", {}, detail.title), detail.caption ? h("span", { class: "muted" }, `  ${detail.caption}`) : null), drawn);
    place.ready = (figure) => explains(figure, svg, detail, { open, whole: "this cell" });
    return place;
  }

  const follow = following(element, (width) => {
    const details = shown.details || [];
    const { svg, element: drawn } = drawing(shown, width, { bars, fold, pixels, label: sentence(shown), state: stateOf("") });
    const holder = h("div", {});
    const figure = h("figure", { class: "arch-figure" },
      caption && shown.caption ? h("figcaption", { class: "small muted" }, shown.caption) : null,
      drawn, legend(shown, svg), holder, table ? tableBelow(shown) : null);

    function fillInsides() {
      const many = details.length > 2;
      const visible = many ? details.filter((detail, i) => (chosen === null ? i === 0 : detail.title === chosen)) : details;
      const places = visible.map((detail) => inside(detail, width, open));
      holder.replaceChildren(
        ...(many ? [h("div", { class: "chips arch-insides", role: "group", "aria-label": "Insides" },
          details.map((detail) => h("button", { class: "chip", type: "button", "aria-pressed": String(visible.includes(detail)), "data-opens": detail.title, onclick: () => open(detail.title, false) }, detail.title.replace(/, once$/, ""))))] : []),
        h("div", { class: "arch-places" }, places));
      for (const place of places) place.ready(figure);
    }
    function open(title, move = true) {
      if (details.length > 2 && chosen !== title) {
        chosen = title;
        fillInsides();
      }
      const place = [...holder.querySelectorAll("[data-inside]")].find((one) => one.dataset.inside === title);
      if (!place) return;
      if (!move) {
        [...holder.querySelectorAll(".chip")].find((chip) => chip.dataset.opens === title)?.focus({ preventScroll: true });
        return;
      }
      place.scrollIntoView({ block: "nearest", behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" });
      place.focus({ preventScroll: true });
    }

    element.replaceChildren(figure);
    if (details.length && chosen !== null && !details.some((detail) => detail.title === chosen)) chosen = null;
    fillInsides();
    explains(figure, svg, shown, { open });
  });
  return {
    redraw(next) {
      if (next) {
        shown = next;
        states = new Map();
      }
      follow.run();
    },
    destroy: follow.destroy,
  };
}

export function drawDifference(element, pictures, labels) {
  let [shown, names] = [pictures, labels];
  const follow = following(element, (width) => {
    element.replaceChildren(differences(shown, names, width));
  });
  return {
    redraw(nextPictures, nextLabels) {
      if (nextPictures) [shown, names] = [nextPictures, nextLabels || names];
      follow.run();
    },
    destroy: follow.destroy,
  };
}

export function drawOutline(element, outline, options = {}) {
  if (options.onToggle || options.onSelect) return outlineForm(element, outline, options, following);
  let shown = outline;
  const follow = following(element, (width) => element.replaceChildren(scroller(outlineDrawing(shown, width), width, "space")));
  return {
    redraw(next) {
      if (next) shown = next;
      follow.run();
    },
    destroy: follow.destroy,
  };
}
