// Label against prediction: a confusion matrix, or for a regression every point beside the line of no error.
import { $, css, h, setText } from "../dom.js";
import { count, number, share } from "../format.js";

let shown = "";

export function begin() {
  shown = "";
}

export function draw(store) {
  scores(store.now.values);
  const outcomes = store.recent?.outcomes;
  if (!outcomes) return;
  const key = JSON.stringify(outcomes);
  if (key === shown) return;
  shown = key;
  const box = $("outcomes");
  if (outcomes.residuals) {
    setText($("outcomes-title"), "Predicted against true");
    setText($("outcomes-window"), `last ${count(outcomes.residuals.length)} labelled events`);
    box.replaceChildren(...(outcomes.residuals.length > 1 ? residuals(outcomes.residuals) : [nothing()]));
    return;
  }
  const total = outcomes.counts.flat().reduce((sum, x) => sum + x, 0);
  setText($("outcomes-title"), "Confusion matrix");
  setText($("outcomes-window"), `last ${count(total)} labelled events`);
  box.replaceChildren(total ? confusion(outcomes) : nothing());
}

/** Every further score of the model, where there are more than one. */
function scores({ score, coverage }) {
  const all = coverage == null ? score : { ...score, "coverage/model": coverage };
  const own = Object.entries(all ?? {}).filter(([key]) => key.endsWith("/model")).map(([key, x]) => [key.replace("/model", ""), x]);
  const facts = own.length > 1 ? own.flatMap(([name, x]) => [h("dt", {}, name.replaceAll("_", " ")), h("dd", { "data-score": name }, number(x))]) : [];
  $("scores").replaceChildren(...facts);
}

const nothing = () => h("p", { class: "empty" }, "No labelled event yet.");

function confusion({ classes, counts }) {
  const head = h("tr", {}, h("td", {}), ...classes.map((name) => h("th", { scope: "col", title: name }, name)), h("th", { scope: "col" }, "found"));
  const rows = counts.map((row, i) => {
    const sum = row.reduce((a, b) => a + b, 0);
    const cells = row.map((value, j) => cell(value, sum, i === j));
    return h("tr", {}, h("th", { scope: "row", title: classes[i] }, classes[i]), ...cells, h("td", { class: "recall" }, sum ? share(row[i] / sum, 0) : "–"));
  });
  return h("table", { class: "confusion", style: { "--classes": classes.length } }, h("caption", {}, "rows: true label, columns: prediction"), h("thead", {}, head), h("tbody", {}, ...rows));
}

function cell(value, sum, right) {
  const strength = sum ? Math.round(6 + 40 * (value / sum)) : 0;
  const tint = value ? `color-mix(in srgb, ${css(right ? "--accent" : "--bad")} ${strength}%, ${css("--sunk")})` : css("--sunk");
  return h("td", { style: { background: tint } }, count(value));
}

function residuals(pairs) {
  const all = pairs.flat();
  const [low, high] = [Math.min(...all), Math.max(...all)];
  const place = (x) => (high > low ? (100 * (x - low)) / (high - low) : 50);
  const dots = pairs.map(([label, prediction]) => h("circle", { cx: `${place(label).toFixed(2)}%`, cy: `${(100 - place(prediction)).toFixed(2)}%`, r: 3 }));
  const errors = pairs.map(([label, prediction]) => prediction - label);
  const mean = errors.reduce((a, b) => a + b, 0) / errors.length;
  const title = `${pairs.length} events, mean error ${number(mean)}`;
  return [
    h("svg", { class: "residuals", role: "img", "aria-label": `Predicted against true: ${title}` }, h("line", { x1: "0%", y1: "100%", x2: "100%", y2: "0%" }), ...dots),
    h("div", { class: "axis" }, h("span", {}, number(low)), h("span", {}, "true label →, prediction ↑"), h("span", {}, number(high))),
    h("p", { class: "empty" }, `mean error ${number(mean)}`),
  ];
}
