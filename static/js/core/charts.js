/* charts.js: draws the figures that the server makes, keeps them alive, and says them in words.

   <div class="chart" data-figure="/searches/7/figures/best/" data-height="288" data-label="Best so far"></div>
   The address answers {data, layout, summary?, table?: {columns, rows, more?}, small?: {data?, layout?}, height?, empty?}:
     data, layout  Plotly's own; any colour may be "role:accent", "role:cat-1", "role:st-done", "role:ink-3/0.5" (core/plotly-theme.js)
     summary       one sentence, read by screen readers (the page says in words what everybody should read)
     table         the same data for reading; made from the traces where it is missing
     small         laid over data / layout (by index, deep) where the chart is narrower than 480 px
     empty         said instead of a chart while there is nothing to draw
     only_table    nothing is drawn: the table stands in the chart's place

   mountAll(root)            every [data-figure] under root; call once per page, and again for parts that htmx brings
   mount(element) -> Chart   .refresh() fetches again and redraws, .show(url) another address, .set(figure) without a request, .setNow(figure) the same while it is dragged,
                             .on("click" | "hover" | "selected" | "relayout", callback), .plot (the Plotly node), .destroy()
   chartOf(element) -> Chart | undefined
   Nothing is fetched or drawn before it comes into view. The first change is drawn at once, then at most four a second. */
import { $$, h } from "./dom.js";
import { rateLimited } from "./rate.js";
import { config, forget, layout, px, resolve } from "./plotly-theme.js";
import { onThemeChange } from "./theme.js";
import { tableOf } from "./chart-table.js";

const charts = new Map();
const SMALL = 480;
const EVENTS = { click: "plotly_click", hover: "plotly_hover", selected: "plotly_selected", relayout: "plotly_relayout" };

/** Objects deep, lists of objects (traces, annotations) by index; lists of values are replaced. */
function laidOver(base, top) {
  if (top === undefined) return base;
  if (!base || typeof base !== "object" || !top || typeof top !== "object") return top;
  if (Array.isArray(top) !== Array.isArray(base)) return top;
  if (Array.isArray(top) && !top.every((part) => part && typeof part === "object")) return top;
  const out = Array.isArray(base) ? [...base] : { ...base };
  for (const key of Object.keys(top)) out[key] = laidOver(out[key], top[key]);
  return out;
}

class Chart {
  constructor(element) {
    this.element = element;
    this.url = element.dataset.figure;
    this.figure = null;
    this.visible = false;
    this.stale = true; // something newer is to be fetched
    this.dirty = false; // something fetched is to be drawn
    this.handlers = [];
    this.plot = h("div", { class: "plot" });
    this.summary = h("p", { class: "chart-summary sr-only", hidden: true });
    this.details = h("details", { class: "as-table", hidden: true }, h("summary", {}, "as a table"));
    this.details.addEventListener("toggle", () => this.fillTable());
    element.style.setProperty("--h", `${element.dataset.height || 288}px`);
    element.dataset.state = "loading";
    element.append(this.plot, this.summary, this.details);
    this.redraw = rateLimited(() => this.draw());
    this.reload = rateLimited(() => this.fetch());
    this.seen = new IntersectionObserver(([entry]) => this.onView(entry.isIntersecting), { rootMargin: "160px" });
    this.seen.observe(element);
    this.sized = new ResizeObserver(() => this.onResize());
    this.sized.observe(element);
  }

  onView(visible) {
    this.visible = visible;
    if (!visible) return;
    if (this.stale) this.reload();
    else if (this.dirty) this.redraw();
  }

  onResize() {
    const width = this.element.clientWidth;
    if (!width || !this.drawnWidth || Math.abs(width - this.drawnWidth) < 2) return;
    if (this.visible) this.redraw();
    else this.dirty = true;
  }

  refresh() {
    this.stale = true;
    if (this.visible) this.reload();
  }

  show(url) {
    if (url === this.url) return this.refresh();
    this.url = url;
    return this.refresh();
  }

  async fetch() {
    if (!this.url) return;
    this.stale = false;
    const asked = this.url;
    this.request?.abort();
    this.request = new AbortController();
    try {
      const answer = await fetch(asked, { headers: { Accept: "application/json" }, credentials: "same-origin", signal: this.request.signal });
      if (!answer.ok) throw new Error(`the server answered ${answer.status}`);
      this.set(await answer.json());
    } catch (error) {
      if (error.name === "AbortError") return;
      this.stale = true;
      if (!this.figure) this.say(`This chart could not be loaded: ${error.message}. It is tried again with the next change.`, "failed");
    }
  }

  set(figure) {
    this.figure = figure;
    this.stale = false;
    this.dirty = true;
    if (this.visible) this.redraw();
  }

  /** What a hand drags: drawn with the next frame, not at most four times a second. */
  setNow(figure) {
    this.figure = figure;
    this.dirty = true;
    if (this.visible && !this.soon) this.soon = requestAnimationFrame(() => {
      this.soon = 0;
      if (this.dirty) this.draw();
    });
  }

  say(text, state) {
    this.element.dataset.state = state;
    this.note ||= this.element.appendChild(h("p", { class: "chart-note" }));
    this.note.textContent = text;
    this.note.hidden = false;
    this.plot.hidden = true;
    this.details.hidden = true;
    this.summary.hidden = true;
  }

  draw() {
    if (!this.figure || !this.element.isConnected) return;
    if (this.drawing) { // one at a time: Plotly finishes its margins later, and two at once mix their layouts
      this.dirty = true;
      return;
    }
    if (!this.element.clientWidth) { // hidden for now: drawn when it is seen
      this.dirty = true;
      return;
    }
    this.dirty = false;
    const { figure } = this;
    this.element.classList.toggle("only-table", Boolean(figure.only_table && !figure.empty));
    if (figure.only_table && !figure.empty) {
      this.showTable(figure);
      return;
    }
    if (!figure.data?.length) {
      this.say(figure.empty || "Nothing to draw yet.", "empty");
      return;
    }
    if (!window.Plotly) {
      this.say("The chart library did not load. The data is below, as a table.", "failed");
      this.describe(figure);
      return;
    }
    if (this.note) this.note.hidden = true;
    this.plot.hidden = false;
    if (this.element.dataset.state !== "drawn") this.element.dataset.state = "drawing";
    if (figure.height) this.element.style.setProperty("--h", `${figure.height}px`);
    const narrow = this.element.clientWidth < SMALL && figure.small;
    const data = narrow ? laidOver(figure.data, figure.small.data) : figure.data;
    const own = narrow ? laidOver(figure.layout, figure.small.layout) : figure.layout;
    this.drawnWidth = this.element.clientWidth;
    const drawn = withFonts(layout(resolve(own || {})));
    drawn.width = this.drawnWidth;
    drawn.height = this.plot.clientHeight || 288;
    this.drawing = true;
    window.Plotly.react(this.plot, resolve(data), drawn, config).then(() => {
      this.element.dataset.state = "drawn";
      this.listen();
      this.element.dispatchEvent(new CustomEvent("chart:drawn", { bubbles: true }));
    }).finally(() => {
      this.drawing = false;
      if (this.dirty && this.visible) this.redraw();
    });
    this.describe(figure);
  }

  describe(figure) {
    const label = figure.summary || this.element.dataset.label || "";
    this.plot.setAttribute("role", "img");
    this.plot.setAttribute("aria-label", label);
    this.summary.textContent = figure.summary || "";
    this.summary.hidden = !figure.summary;
    this.details.hidden = false;
    this.fillTable();
  }

  showTable(figure) {
    if (this.note) this.note.hidden = true;
    this.plot.hidden = true;
    this.details.hidden = false;
    this.details.open = true;
    this.fillTable();
    this.element.dataset.state = "drawn";
    this.element.dispatchEvent(new CustomEvent("chart:drawn", { bubbles: true }));
    this.summary.textContent = figure.summary || "";
    this.summary.hidden = !figure.summary;
  }

  fillTable() {
    if (!this.details.open || !this.figure) return;
    const table = tableOf(this.figure);
    const old = this.details.querySelector(".scroll"); // keeps how far somebody has scrolled
    if (old) old.replaceChildren(table);
    else this.details.append(h("div", { class: "scroll", tabindex: "0" }, table));
  }

  on(name, callback) {
    this.handlers.push([EVENTS[name] || name, callback]);
    this.listen();
    return this;
  }

  listen() {
    if (!this.plot.on) return; // Plotly adds it with the first drawing
    while (this.handlers.length) this.plot.on(...this.handlers.shift());
  }

  destroy() {
    this.seen.disconnect();
    this.sized.disconnect();
    this.request?.abort();
    if (window.Plotly && this.plot.on) window.Plotly.purge(this.plot);
    this.element.replaceChildren();
    charts.delete(this.element);
  }
}

/** Annotations do not inherit the template's size once they have a font of their own. */
function withFonts(drawn) {
  const size = px("t-s");
  for (const note of drawn.annotations || []) {
    note.showarrow ??= false;
    if (note.font) note.font.size ??= size;
  }
  return drawn;
}

export const chartOf = (element) => charts.get(element);

export function mount(element) {
  if (!charts.has(element)) charts.set(element, new Chart(element));
  return charts.get(element);
}

export function mountAll(root = document) {
  for (const [element, chart] of charts) if (!element.isConnected) chart.destroy();
  return $$("[data-figure]", root).map(mount);
}

onThemeChange(() => {
  forget();
  for (const chart of charts.values()) {
    chart.dirty = true;
    if (chart.visible) chart.redraw();
  }
});
