/* arch.js: draws networks from the JSON that the engine makes (nodes, edges, caption, details: kind, title, detail, shape, costs).

   drawPicture(element, picture, options) -> {redraw(picture), destroy()}
     Wide: from left to right, cost bars under the columns; below 720 px of room: from above to below, folded when long.
     options: bars (true) | pixels (64 grey values of an input image) | table (true: the same as a table under it) | fold (true, narrow only)
              caption (false; true writes the picture's caption above: pages usually have it in their section head)
   drawDifference(element, pictures, labels) -> {redraw(pictures, labels), destroy()}
     same columns for all; the first is the reference. labels: [{name, notes: [line, line], role: "cat-1", dash: "solid"}]
   drawOutline(element, outline) -> {redraw(outline), destroy()}     the picture of a space: {parts, edges} of SearchSpace.outline()
   pictureTable(picture) -> <table>
   All follow the width of their element and the theme by themselves. */
import { h } from "./dom.js";
import { drawHorizontal } from "./arch-horizontal.js";
import { drawVertical } from "./arch-vertical.js";
import { differenceDrawing } from "./arch-difference.js";
import { outlineDrawing } from "./arch-outline.js";
import { shapeWords } from "./arch-layout.js";

const NARROW = 680;
const FOLD_OVER = 520;

export function sentence(picture) {
  const steps = picture.nodes.filter((node) => !["add", "concat"].includes(node.kind)).map((node) => [node.title, node.detail].filter(Boolean).join(" "));
  const parts = [`Network of ${steps.length} steps: ${steps.join(", ")}.`];
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

const scroller = (svg, label) => h("div", { class: "scroll", tabindex: svg.width.baseVal.value > 1400 ? "0" : null, "aria-label": label }, svg);

export function drawPicture(element, picture, options = {}) {
  const { bars = true, table = true, fold = true, caption = false, pixels = null } = options;
  let shown = picture;
  let open = false;

  function main(width) {
    const label = sentence(shown);
    if (width >= NARROW) return scroller(drawHorizontal(shown, width, { bars, pixels, label }).svg);
    const { svg, steps, height } = drawVertical(shown, width, { bars, label });
    const folded = fold && !open && height > FOLD_OVER;
    const holder = h("div", { class: `arch-fold${folded ? " folded" : ""}` }, scroller(svg));
    if (folded) {
      holder.append(h("button", { class: "btn", type: "button", onclick: () => {
        open = true;
        holder.classList.remove("folded");
      } }, `Show all ${steps} steps`));
    }
    return holder;
  }

  function inside(detail, width) {
    const label = `${detail.title}: ${sentence(detail)}`;
    const flat = drawHorizontal(detail, width, { bars: false, plain: true, label, most: 44 });
    const fits = flat.least <= width;
    const svg = fits || width >= NARROW ? flat.svg : drawVertical(detail, width, { bars: false, plain: true, label }).svg;
    return h("div", { class: "arch-inside" },
      h("p", { class: "small" }, h("b", {}, detail.title), detail.caption ? h("span", { class: "muted" }, `  ${detail.caption}`) : null), scroller(svg));
  }

  const follow = following(element, (width) => {
    element.replaceChildren(h("figure", { class: "arch-figure" },
      caption && shown.caption ? h("figcaption", { class: "small muted" }, shown.caption) : null,
      main(width),
      (shown.details || []).map((detail) => inside(detail, width)),
      table ? tableBelow(shown) : null));
  });
  return {
    redraw(next) {
      if (next) shown = next;
      follow.run();
    },
    destroy: follow.destroy,
  };
}

export function drawDifference(element, pictures, labels) {
  let [shown, names] = [pictures, labels];
  const follow = following(element, (width) => {
    element.replaceChildren(h("figure", { class: "arch-figure" }, scroller(differenceDrawing(shown, names, width))));
  });
  return {
    redraw(nextPictures, nextLabels) {
      if (nextPictures) [shown, names] = [nextPictures, nextLabels || names];
      follow.run();
    },
    destroy: follow.destroy,
  };
}

export function drawOutline(element, outline) {
  let shown = outline;
  const follow = following(element, (width) => element.replaceChildren(scroller(outlineDrawing(shown, width))));
  return {
    redraw(next) {
      if (next) shown = next;
      follow.run();
    },
    destroy: follow.destroy,
  };
}
