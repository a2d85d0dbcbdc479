// The newest predictions, and of those that say why, why.
import { $, h, table } from "../dom.js";
import { count, number, share } from "../format.js";

const REASONS = 5;
let shown = "";

export function draw(store) {
  const { predictions, explained } = store.recent ?? { predictions: [], explained: [] };
  const key = JSON.stringify([predictions.at(-1), explained.at(-1)]);
  if (key === shown) return;
  shown = key;
  const classes = store.hello.model.task === "classification";
  const head = [["id"], ["prediction"], [classes ? "certainty" : "interval"], ["label"], ["right"], ["loss", "num optional"], ["offset", "num optional"]];
  const rows = [...predictions].reverse().map((each) => row(each, classes));
  const parts = [table(head, rows.slice(0, 8), "No prediction yet.")];
  if (explained.length) parts.push(why(explained.at(-1)));
  $("predictions").replaceChildren(...parts);
}

function row(each, classes) {
  const known = each.label !== undefined;
  const verdict = !known || !classes || each.prediction == null ? null : each.prediction === each.label;
  return h("tr", {},
    h("td", { class: "id", title: each.id }, `${each.id}`),
    h("td", {}, each.prediction == null ? "–" : number(each.prediction)),
    h("td", {}, ...(classes ? certainty(each) : [interval(each)]).filter((part) => part != null)),
    h("td", {}, known ? number(each.label) : "–"),
    h("td", { class: verdict ? "right" : "wrong" }, verdict == null ? "" : verdict ? "✓" : "✗", verdict == null ? null : h("span", { class: "hidden" }, verdict ? "right" : "wrong")),
    h("td", { class: "num optional" }, number(each.loss)),
    h("td", { class: "num optional" }, count(each.source.offset)));
}

function certainty(each) {
  const top = Math.max(...Object.values(each.probabilities ?? {}));
  if (!Number.isFinite(top)) return ["–"];
  const set = each.prediction_set ? h("span", { class: "muted" }, ` {${each.prediction_set.join(", ")}}`) : null;
  return [share(top), h("span", { class: "meter", "aria-hidden": "true" }, h("i", { style: { width: `${100 * top}%` } })), set];
}

function interval(each) {
  return each.interval ? `${number(each.interval.lower)} … ${number(each.interval.upper)}` : "–";
}

function why(each) {
  const reasons = Object.entries(each.explanation.contributions).sort((a, b) => Math.abs(b[1]) - Math.abs(a[1]));
  return h("div", {}, h("h3", {}, `Why ${each.id} was predicted as ${number(each.prediction)}`),
    h("div", { class: "chips" }, ...reasons.slice(0, REASONS).map(([name, x]) =>
      h("span", { class: `chip ${x < 0 ? "down" : "up"}` }, `${name} `, h("b", {}, `${x < 0 ? "−" : "+"}${number(Math.abs(x))}`)))));
}
