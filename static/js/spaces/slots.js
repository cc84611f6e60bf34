/* slots.js: the decisions of a space, place by place, each with its options as boxes: what the drawing toggles together can be
   toggled one by one here, by keyboard too.
   slots({element, toggle(names, value, on), lift(names), readonly}) -> {show(answer, restrict), open(partId)} */
import { $, $$, h, setText } from "../core/dom.js";

const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);

export function slots({ element, toggle, readonly }) {
  let drawn = "";
  let boxes = [];

  function option(name, value, words) {
    const input = h("input", { class: "check", type: "checkbox", disabled: readonly, onchange: (event) => toggle([name], value, event.target.checked) });
    boxes.push({ name, value, input });
    return h("label", {}, input, words);
  }

  function row(answer, name) {
    const words = answer.words[name];
    return h("div", { class: "slot", role: "group", "aria-label": answer.titles[name] },
      h("span", { class: "slot-name" }, answer.titles[name]),
      h("span", { class: "options" }, answer.offered[name].map((value, i) => option(name, value, words[i]))));
  }

  function draw(answer) {
    boxes = [];
    const taken = new Set();
    const order = Object.keys(answer.offered);
    const open = new Set($$("details[open]", element).map((node) => node.dataset.part));
    const groups = answer.outline.parts.map((part) => {
      const names = (part.decisions || []).flatMap((decision) => decision.names || [decision.name]).filter((name) => answer.offered[name] && !taken.has(name)).sort((a, b) => order.indexOf(a) - order.indexOf(b));
      names.forEach((name) => taken.add(name));
      return { id: part.id, title: part.title, names };
    }).filter((group) => group.names.length);
    const rest = Object.keys(answer.offered).filter((name) => !taken.has(name));
    if (rest.length) groups.push({ id: "others", title: "others", names: rest });
    element.replaceChildren(...groups.map((group) => {
      const many = group.names.length === 1 ? "1 decision" : `${group.names.length} decisions`;
      const details = h("details", { class: "more slot-part", dataset: { part: group.id }, open: open.has(group.id) || groups.length === 1 },
        h("summary", {}, h("b", {}, group.title), h("span", { class: "small muted" }, many), h("span", { class: "small muted", dataset: { restricted: "" } })));
      const fill = () => {
        if (details.open && details.children.length === 1) {
          details.append(h("div", { class: "slot-rows" }, group.names.map((name) => row(answer, name))));
          mark();
        }
      };
      details.names = group.names;
      details.addEventListener("toggle", fill);
      fill();
      return details;
    }));
  }

  let restricted = {};
  function mark() {
    for (const { name, value, input } of boxes) {
      const kept = restricted[name];
      input.checked = !kept || kept.some((other) => same(other, value));
    }
    for (const details of $$("details.slot-part", element)) {
      const n = details.names.filter((name) => restricted[name]).length;
      setText($("[data-restricted]", details), n ? `${n} restricted` : "");
    }
  }

  return {
    show(answer, restrict) {
      restricted = restrict || {};
      const key = JSON.stringify([answer.offered, answer.outline.parts.map((part) => part.id)]);
      if (key !== drawn) {
        drawn = key;
        draw(answer);
      }
      mark();
    },
    open(part) {
      const details = $(`details[data-part="${CSS.escape(part)}"]`, element);
      if (!details) return;
      $("#tab-slots").click();
      details.open = true;
      details.scrollIntoView({ block: "nearest" });
      $("summary", details).focus();
    },
  };
}
