/* arch-map.js: withMap(svg, label) -> element: a drawing that is wider than its place, in a scroller, under a small map of the whole of it.
   The frame on the map is what is in view; it is dragged or clicked. The map is for the eye and hand only: the scroller takes the keyboard. */
import { h, s } from "./dom.js";

const TALL = 64;

/** The same shapes without words. */
function small(svg, width) {
  const box = svg.viewBox.baseVal;
  const height = Math.min(TALL, Math.max(24, (box.height * width) / box.width));
  const map = s("svg", { class: "arch arch-map", width, height: Math.round(height), viewBox: `${box.x} ${box.y} ${box.width} ${box.height}`, preserveAspectRatio: "none", "aria-hidden": "true" });
  for (const shape of svg.querySelectorAll(".wire, .op, .joint")) {
    const copy = shape.cloneNode(false);
    const move = shape.closest("g.node")?.getAttribute("transform");
    if (move) copy.setAttribute("transform", move);
    map.append(copy);
  }
  return map;
}

export function withMap(svg, width, label) {
  const scroller = h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": `${label}; wider than the page, scrolls sideways` }, svg);
  const whole = svg.width.baseVal.value;
  const map = small(svg, width);
  const box = svg.viewBox.baseVal;
  const scale = box.width / whole;
  const frame = s("rect", { class: "map-frame", x: box.x, y: box.y, width: width * scale, height: box.height });
  map.append(frame);
  scroller.addEventListener("scroll", () => frame.setAttribute("x", box.x + scroller.scrollLeft * scale), { passive: true });
  const go = (event) => {
    const at = event.clientX - map.getBoundingClientRect().left;
    scroller.scrollLeft = (at / width) * whole - width / 2;
  };
  map.addEventListener("pointerdown", (event) => {
    map.setPointerCapture(event.pointerId);
    go(event);
  });
  map.addEventListener("pointermove", (event) => {
    if (event.buttons) go(event);
  });
  return h("div", { class: "arch-panned" }, map, scroller);
}
