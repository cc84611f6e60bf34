/* arch-differences.js: differences(pictures, labels, width) -> <figure>: the networks over each other, then the insides of their cells, each kind of
   cell for itself; what is the same everywhere is said, not drawn. */
import { h } from "./dom.js";
import { explains } from "./arch-card.js";
import { differenceDrawing, differing } from "./arch-difference.js";
import { graphDifference, graphsDiffer } from "./arch-difference-graph.js";
import { arrange, isChain } from "./arch-layout.js";

/** "normal cell, 18 times" -> "normal cell": the times may differ. */
const kindOfInside = (title) => title.replace(/, (once|\d+ times)$/, "");

function scroller(svg, width) {
  const wide = svg.width.baseVal.value > width + 1;
  return h("div", wide ? { class: "scroll", tabindex: "0", role: "region", "aria-label": "difference of the networks; scrolls sideways" } : { class: "scroll" }, svg);
}

/** Drawings of one set of graphs: rows where all are rows, layers otherwise. */
function drawingsOf(graphs, labels, width) {
  const plans = graphs.map(arrange);
  if (plans.every(isChain)) return { draw: () => differenceDrawing(plans, labels, width), differ: () => differing(plans) };
  return { draw: () => [graphDifference(graphs, labels, width)], differ: () => graphsDiffer(graphs) };
}

export function differences(pictures, given, width) {
  const figure = h("figure", { class: "arch-figure" });
  const labels = pictures.map((_, r) => ({ name: `network ${r + 1}`, ...given[r], role: given[r]?.role || `cat-${(r % 8) + 1}`, dash: given[r]?.dash || ["solid", "dash", "dot", "dashdot"][r % 4] }));
  const everyone = pictures.map((_, r) => r);
  const kinds = [...new Set(pictures.flatMap((picture) => (picture.details || []).map((detail) => kindOfInside(detail.title))))];
  const insides = kinds.map((kind) => {
    const found = pictures.map((picture) => (picture.details || []).find((detail) => kindOfInside(detail.title) === kind));
    // the drawn cell stands for cells of several sizes: only what it does is compared
    const graphs = found.filter(Boolean).map((detail) => ({ ...detail, nodes: detail.nodes.map((node) => ({ ...node, shape: [] })) }));
    return { kind, having: everyone.filter((r) => found[r]), graphs };
  }).filter(({ having }) => having.length > 1);

  const add = (graphs, which) => {
    for (const svg of drawingsOf(graphs, which.map((r) => labels[r]), width).draw()) {
      figure.append(scroller(svg, width));
      explains(figure, svg, { nodes: graphs.flatMap((graph) => graph.nodes) }, { whole: "" });
    }
  };
  if (!insides.length || drawingsOf(pictures, labels, width).differ()) add(pictures, everyone);
  else figure.append(h("p", { class: "small muted" }, "Around their cells the networks are the same."));
  const equal = [];
  for (const { kind, having, graphs } of insides) {
    if (!drawingsOf(graphs, labels, width).differ()) {
      equal.push(kind);
      continue;
    }
    const missing = everyone.filter((r) => !having.includes(r)).map((r) => labels[r].name);
    figure.append(h("p", { class: "small arch-kind" }, h("b", {}, `inside the ${kind}`), missing.length ? h("span", { class: "muted" }, `  not in ${missing.join(", ")}`) : null));
    add(graphs, having);
  }
  if (equal.length) figure.append(h("p", { class: "small muted" }, `The same inside: ${equal.join(", ")}.`));
  return figure;
}
