// Which signals moved, and the latest alerts.
import { $, h, table } from "../dom.js";
import { brief, clock, count } from "../format.js";

const SHOWN = 6;

export function draw(store) {
  const ranking = rank(store.now.values);
  const top = Math.max(...ranking.map((each) => each.size), 1e-12);
  const rows = ranking.slice(0, SHOWN).map((each) =>
    h("li", { class: each.alerts ? "hot" : "" },
      h("span", { class: "name", title: each.signal }, each.signal),
      h("span", { class: "bar", "aria-hidden": "true" }, h("i", { style: { width: `${(100 * each.size) / top}%` } })),
      h("span", {}, each.text)));
  $("drift-ranking").replaceChildren(...(rows.length ? rows : [h("li", {}, h("span", { class: "empty" }, "Nothing has moved."))]));
  const alerts = (store.recent?.alerts ?? []).slice(-5).reverse();
  $("alerts").replaceChildren(table(
    [["at"], ["signal"], ["before → after"], ["offset", "num optional"]],
    alerts.map((alert) => h("tr", {}, h("td", {}, clock(alert.seen)), h("td", {}, alert.signal),
      h("td", {}, `${brief(alert.before)} → ${brief(alert.after)}`), h("td", { class: "num optional" }, count(alert.source.offset)))),
    "No alert since this worker owns the partition.",
  ));
}

function rank(values) {
  return Object.entries(values.alerts ?? {})
    .map(([signal, alerts]) => ({ signal, alerts, size: alerts, text: `${count(alerts)} alert${alerts === 1 ? "" : "s"}` }))
    .sort((a, b) => b.size - a.size);
}
