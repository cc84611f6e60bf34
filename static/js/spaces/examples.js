/* examples.js: architectures of the space to page through: the same number shows the same one.
   examples({question, look}) -> {start(answer)} */
import { $, setText, toast } from "../core/dom.js";
import { drawPicture } from "../core/arch.js";
import { si } from "../core/arch-parts.js";

export function examples({ question, look }) {
  const place = $("#example");
  let number = 0;
  let picture = null;
  let state = null;
  let turn = 0;

  /** The address of the page that looks at it; "" where the options are too long for one: a kept version has a short name. */
  function address(text) {
    const { name, ...options } = state.state.space;
    const kept = document.querySelector('[name="form:space"]')?.value;
    if (kept && state.same_as !== null) return `${look}?${new URLSearchParams({ s: `v${kept}.${state.same_as}`, a: text })}`;
    const query = new URLSearchParams({ s: name, data: state.state.data.name, a: text });
    if (Object.keys(options).length) query.set("o", JSON.stringify(options));
    const url = `${look}?${query}`;
    return url.length < 8000 ? url : "";
  }

  async function show() {
    const mine = (turn += 1);
    const answer = await question("example", { number }).catch(() => null);
    if (mine !== turn) return;
    const link = $("[data-example-look]");
    if (!answer?.ok) {
      setText($("#example-words"), answer?.said?.join(" ") || "The example could not be drawn.");
      place.replaceChildren();
      picture = null;
      link.hidden = true;
      return;
    }
    const { costs } = answer;
    setText($("#example-words"), `${number + 1}: ${answer.name}, ${si(costs.n_params)} parameters, ${si(costs.n_macs)} multiply-adds, ${si(costs.activation_bytes)}B of activations`);
    link.href = address(answer.text);
    link.hidden = !link.getAttribute("href");
    if (picture) picture.redraw(answer.picture);
    else picture = drawPicture(place, answer.picture, { pixels: answer.picture.pixels });
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-example]");
    if (!button || !state) return;
    if (button.dataset.example === "another") number = 20 + Math.floor(Math.random() * 9980);
    else if (number + Number(button.dataset.example) < 0) {
      toast("This is the first one.");
      return;
    } else number = Math.min(9999, number + Number(button.dataset.example));
    show();
  });

  return {
    start(answer) {
      state = answer;
      show();
    },
  };
}
