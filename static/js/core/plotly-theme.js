/* plotly-theme.js: the one Plotly template, read from the tokens. No colour or size is written in a chart.
   token(name), px(name), role(name) -> colour ("accent", "cat-1", "st-done", "ink-3/0.5" with an opacity)
   resolve(figurePart) -> deep copy in which every "role:NAME" has become a colour
   template(), layout(own), config; forget() after a change of theme (core/charts.js does it) */
const cache = new Map();
let probe = null;

export const token = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
export const px = (name) => parseFloat(token(name));
export const forget = () => cache.clear();

/** The colour of a role as rgb(): tokens are light-dark() pairs, so the browser has to resolve them. */
export function role(name) {
  if (cache.has(name)) return cache.get(name);
  if (!probe) {
    probe = document.createElement("span");
    probe.hidden = true;
    document.body.append(probe);
  }
  const [token, opacity] = name.split("/");
  probe.style.color = "";
  probe.style.color = `var(--${token})`;
  let colour = getComputedStyle(probe).color;
  if (opacity) colour = colour.replace(/^rgba?\(([^,]+),([^,]+),([^,)]+).*$/, `rgba($1,$2,$3, ${opacity})`);
  cache.set(name, colour);
  return colour;
}

export function resolve(part) {
  if (typeof part === "string") {
    if (part.startsWith("role:")) return role(part.slice(5));
    return part.includes("role:") ? part.replace(/role:([\w-]+(?:\/[\d.]+)?)/g, (_, name) => role(name)) : part;
  }
  if (Array.isArray(part)) return part.map(resolve);
  if (part && typeof part === "object" && !ArrayBuffer.isView(part)) {
    return Object.fromEntries(Object.entries(part).map(([key, value]) => [key, resolve(value)]));
  }
  return part;
}

export function template() {
  const size = px("t-s");
  const axis = {
    automargin: true, zeroline: false, showline: false, ticks: "outside", ticklen: 4, tickwidth: 1,
    tickcolor: role("axis"), gridcolor: role("grid"), gridwidth: 1, linecolor: role("axis"),
    tickfont: { size, color: role("ink-3") },
    title: { font: { size, color: role("ink-2") }, standoff: 8 },
    spikecolor: role("line-strong"), spikethickness: 1, spikedash: "solid",
  };
  return {
    layout: {
      font: { family: token("font"), size, color: role("ink-2") },
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      colorway: [1, 2, 3, 4, 5, 6, 7, 8].map((i) => role(`cat-${i}`)),
      colorscale: { sequential: "Cividis", sequentialminus: "Cividis" },
      margin: { l: 40, r: 16, t: 8, b: 44, pad: 0 },
      showlegend: false, // labels stand at the lines
      xaxis: { ...axis, showgrid: false, showline: true },
      yaxis: { ...axis, ticks: "", showgrid: true },
      hovermode: "closest", hoverdistance: 24,
      hoverlabel: {
        bgcolor: role("bg-raise"), bordercolor: role("line-strong"), align: "left",
        font: { family: token("font"), size, color: role("ink") },
      },
      annotationdefaults: { showarrow: false, font: { size, color: role("ink-2") } },
      shapedefaults: { line: { width: 1, color: role("line-strong") } },
      transition: { duration: 0 }, dragmode: "zoom",
      modebar: { bgcolor: "rgba(0,0,0,0)", color: role("ink-3"), activecolor: role("accent"), orientation: "h" },
    },
    data: {
      scatter: [{ line: { width: 1.5 }, marker: { size: 7, line: { width: 1.5, color: role("bg") } }, cliponaxis: false }],
      bar: [{ marker: { line: { width: 0 } } }],
      heatmap: [{ colorscale: "Cividis", colorbar: { thickness: 8, outlinewidth: 0, tickfont: { size, color: role("ink-3") } } }],
      box: [{ line: { width: 1 }, marker: { size: 4 } }],
    },
  };
}

/** A layout with the template in it; zoom survives live updates (uirevision). */
export const layout = (own = {}) => ({ uirevision: "keep", autosize: true, ...own, template: template() });

export const config = {
  displaylogo: false, responsive: false, displayModeBar: "hover", doubleClick: "reset",
  modeBarButtons: [["zoom2d", "pan2d", "resetScale2d", "toImage"]],
};
