/* samples.js: how the costs of a space's networks spread, and what is odd about it: sampled by the server chunk by chunk, drawn as they come.
   sampling({question, chunks, onFindings(n)}) -> {start(answer), stop(), say()} */
import { $, $$, h, icon, setText } from "../core/dom.js";
import { mount } from "../core/charts.js";

const WORDS = { never_built: "never built", never_matters: "never matters", same_function: "same function", settled: "settled" };

export function sampling({ question, chunks, onFindings }) {
  const charts = Object.fromEntries($$("[data-cost]").map((node) => [node.dataset.cost, mount(node)]));
  const bar = $(".samples-progress");
  const list = $("#findings");
  let running = null;
  let odd = 0;

  function progress(done) {
    bar.hidden = done === null || done >= chunks;
    if (done === null) return;
    bar.setAttribute("aria-valuenow", done);
    $("i", bar).style.setProperty("--p", `${(100 * done) / chunks}%`);
  }

  function findings(found) {
    odd = found.filter((finding) => finding.kind !== "settled").length;
    list.replaceChildren(...found.map((finding) =>
      h("li", { class: finding.kind === "settled" ? "muted" : "warn", dataset: { kind: finding.kind } },
        icon(finding.kind === "settled" ? "info" : "warn", 12),
        h("span", {}, h("b", {}, `${WORDS[finding.kind]}: `), finding.text))));
    onFindings(odd);
  }

  async function run(signal) {
    let seen = null;
    progress(0);
    for (let chunk = 0; chunk < chunks; chunk += 1) {
      let answer;
      try {
        answer = await question("chunk", { chunk, seen }, signal);
      } catch (error) {
        if (error.name !== "AbortError") setText($("#samples-words"), "sampling stopped: the server cannot be reached");
        progress(null);
        return;
      }
      if (signal.aborted) return;
      if (!answer.ok) {
        setText($("#samples-words"), (answer.said || ["sampling failed"]).join(" "));
        progress(null);
        return;
      }
      seen = answer.seen;
      for (const [metric, figure] of Object.entries(answer.figures)) charts[metric]?.set(figure);
      setText($("#samples-words"), answer.words);
      findings(answer.findings);
      progress(chunk + 1);
    }
  }

  return {
    start() {
      running?.abort();
      running = new AbortController();
      const { signal } = running;
      setTimeout(() => !signal.aborted && run(signal), 250); // typing goes on: the last state is sampled
    },
    stop() {
      running?.abort();
      progress(null);
      setText($("#samples-words"), "");
      list.replaceChildren();
    },
    say: () => onFindings(odd),
  };
}
