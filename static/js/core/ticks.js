/* ticks.js: one tick a trial; above 120 trials one bar in proportion.
   drawTicks(element, states, label): element is .ticks, states a list in the order of proposal, up to the budget:
     "completed" | "pruned" | "failed" | "waiting" | "paused" | "cancelled" | "left" | {state: "running", percent: 40}
   Nodes are changed in place: nothing flickers. */
import { h } from "./dom.js";

const MOST = 120;
const ORDER = ["completed", "pruned", "failed", "cancelled", "running", "paused", "waiting", "left"];
const WORDS = { completed: "done", pruned: "stopped early", left: "to come" };

const nameOf = (item) => (typeof item === "string" ? item : item.state);

export function counts(states) {
  const out = new Map();
  for (const item of states) out.set(nameOf(item), (out.get(nameOf(item)) || 0) + 1);
  return out;
}

const sentence = (tally) => ORDER.filter((name) => tally.get(name)).map((name) => `${tally.get(name)} ${WORDS[name] || name}`).join(", ");

function keep(element, wanted) {
  while (element.children.length > wanted) element.lastChild.remove();
  while (element.children.length < wanted) element.append(h("i"));
}

export function drawTicks(element, states, label) {
  const tally = counts(states);
  const share = states.length > MOST;
  element.classList.toggle("ticks-share", share);
  element.setAttribute("role", "img");
  element.setAttribute("aria-label", label || `${states.length} trials: ${sentence(tally)}`);
  if (share) {
    const present = ORDER.filter((name) => tally.get(name));
    keep(element, present.length);
    present.forEach((name, i) => {
      const tick = element.children[i];
      tick.dataset.state = name;
      tick.style.setProperty("--n", tally.get(name));
      tick.title = `${tally.get(name)} ${WORDS[name] || name}`;
    });
    return;
  }
  keep(element, states.length);
  states.forEach((item, i) => {
    const tick = element.children[i];
    const name = nameOf(item);
    if (tick.dataset.state !== name) tick.dataset.state = name;
    if (name === "running") tick.style.setProperty("--p", `${Math.round(item.percent || 0)}%`);
    else tick.style.removeProperty("--p");
  });
}
