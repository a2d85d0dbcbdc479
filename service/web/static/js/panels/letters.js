// Events that could not be used: how many of which kind, and the newest with their reasons.
import { $, h, table } from "../dom.js";
import { clock, count } from "../format.js";

export function draw(store) {
  const kinds = Object.entries(store.now.values.dead_letters ?? {}).filter(([, x]) => x > 0).sort((a, b) => b[1] - a[1]);
  const chips = kinds.map(([problem, x]) => h("span", { class: "chip" }, `${problem} `, h("b", { "data-problem": problem }, count(x))));
  const letters = (store.recent?.dead_letters ?? []).slice(-6).reverse();
  const rows = letters.map((each) => h("tr", {}, h("td", {}, clock(each.seen)), h("td", {}, each.problem),
    h("td", { class: "why" }, each.reason), h("td", { class: "num optional" }, count(each.source.offset))));
  $("letters").replaceChildren(
    ...(chips.length ? [h("div", { class: "chips" }, ...chips)] : []),
    table([["at"], ["problem"], ["reason"], ["offset", "num optional"]], rows, "None: every event was usable."),
  );
}
