/* log.js: the drawer with the search's log: loaded when it is opened, then kept by the log events. */
import { $, h } from "../core/dom.js";

const MOST = 400;

export function follow(body, page) {
  const dialog = body?.closest("dialog");
  if (!dialog) return;
  let loaded = false;
  const atEnd = () => body.scrollHeight - body.scrollTop - body.clientHeight < 40;

  new MutationObserver(async () => {
    if (!dialog.open || loaded) return;
    loaded = true;
    const answer = await fetch(body.dataset.log, { credentials: "same-origin" });
    body.innerHTML = answer.ok ? await answer.text() : "";
    if (!answer.ok) body.textContent = `The log could not be loaded (${answer.status}).`;
    body.scrollTop = body.scrollHeight;
  }).observe(dialog, { attributes: true, attributeFilter: ["open"] });

  document.addEventListener("search:events", ({ detail }) => {
    if (!loaded) return;
    const follows = atEnd();
    for (const { kind, data } of detail) {
      if (kind !== "log") continue;
      $("p.muted", body)?.remove();
      const time = new Date(data.at);
      body.append(h("div", { class: "event" },
        h("time", { datetime: data.at }, time.toLocaleTimeString("en-GB")),
        h("span", {}, h("span", { class: "muted" }, data.what), " ",
          data.trial ? h("a", { class: "link", href: `/searches/${page.dataset.search}/trials/${data.trial}/` }, `#${data.trial}`) : null,
          data.trial ? " " : null, data.message)));
    }
    while (body.children.length > MOST) body.firstElementChild.remove();
    if (follows) body.scrollTop = body.scrollHeight;
  });
}
