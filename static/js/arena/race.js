/* race.js: a race under way: what changes by itself is asked for every two seconds, charts when new runs have been drawn. */
import { $, $$, setText } from "../core/dom.js";
import { chartOf, mountAll } from "../core/charts.js";

const EVERY = 2000;
const race = $("#race");
const live = $("[data-race-live]");
mountAll();

function put(into, from) {
  if (!into || into.innerHTML === from.innerHTML) return;
  if (into.contains(document.activeElement) || $(".menu[open]", into)) return; // not under the hand
  into.replaceChildren(...document.importNode(from, true).childNodes);
}

function freshness(state, word) {
  live.dataset.live = state;
  setText(live, word);
}

const ended = () => !["waiting", "running"].includes(race.dataset.state);

async function look() {
  if (document.hidden || ended()) return;
  try {
    const answer = await fetch(location.href, { credentials: "same-origin", headers: { "X-Part": "race" } });
    if (answer.redirected || answer.status === 403) return freshness("offline", "logged out: load the page again");
    if (!answer.ok) return freshness("paused", "live updates paused");
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const part of $$("[data-part]", page)) put($(`[data-part="${part.dataset.part}"]`), part);
    document.title = page.title;
    const now = $("#race", page).dataset;
    const drawn = now.drawn !== race.dataset.drawn;
    race.dataset.drawn = now.drawn;
    race.dataset.state = now.state;
    if (drawn) for (const element of $$("[data-figure]")) chartOf(element)?.refresh();
    freshness(ended() ? "off" : "live", ended() ? "ended" : "live");
  } catch {
    freshness("offline", "offline");
  }
}

if (!ended()) {
  const timer = setInterval(() => (ended() ? clearInterval(timer) : look()), EVERY);
  document.addEventListener("visibilitychange", () => !document.hidden && look());
}
