// Which signals moved, and the latest alerts.
import { $, h, table } from "../dom.js";
import { brief, clock, count } from "../format.js";

/** From what to what, where an alert says so: a feature of texts has no mean. */
export const change = ({ before, after }) => (before == null ? "other values" : `${brief(before)} → ${brief(after)}`);

const SHOWN = 6;
const LISTED = 4;
const MOVED = 1; // standard deviations

export function draw(store) {
  const ranking = rank(store.now.values);
  const top = Math.max(...ranking.map((each) => each.size), MOVED);
  const rows = ranking.slice(0, SHOWN).map((each) =>
    h("li", { class: each.hot ? "hot" : "" },
      h("span", { class: "name", title: each.signal }, each.signal),
      h("span", { class: "bar", "aria-hidden": "true" }, h("i", { style: { width: `${(100 * each.size) / top}%` } })),
      h("span", {}, each.text)));
  $("drift-ranking").replaceChildren(...(rows.length ? rows : [h("li", {}, h("span", { class: "empty" }, "Nothing has moved."))]));
  const alerts = (store.recent?.alerts ?? []).slice(-LISTED).reverse();
  $("alerts").replaceChildren(table(
    [["at"], ["signal"], ["before → after", "num"]],
    alerts.map((alert) => h("tr", {}, h("td", {}, clock(alert.seen)), h("td", { class: "id", title: `at offset ${count(alert.source.offset)}` }, alert.feature ?? alert.signal),
      h("td", { class: "num still" }, change(alert)))),
    "No alert since this worker owns the partition.",
  ));
}

/** By how far each signal has moved, where that is measured; else by how often it raised an alert. */
function rank({ shift, alerts }) {
  const entries = shift
    ? Object.entries(shift).filter(([, x]) => x != null).map(([signal, x]) => ({ signal: signal.replace(/^features\//, ""), size: Math.abs(x), hot: Math.abs(x) >= MOVED, text: `${x.toFixed(1)} σ` }))
    : Object.entries(alerts ?? {}).map(([signal, x]) => ({ signal, size: x, hot: x > 0, text: `${count(x)} alert${x === 1 ? "" : "s"}` }));
  return entries.sort((a, b) => b.size - a.size);
}
