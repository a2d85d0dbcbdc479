// The share of each network in the mixture: stacked over time, and now.
import { $, css, h } from "../dom.js";
import { Chart } from "../chart.js";
import { share } from "../format.js";

const LISTED = 5;
let chart = null;
let members = [];

export function begin(store) {
  chart?.destroy();
  chart = null;
  members = store.names("weight.");
  $("weights-card").hidden = !members.length;
  if (!members.length) return;
  // The first series is the sum of all and lies behind; each next one leaves out one member more.
  const series = members.map((name, i) => ({ label: name, color: color(i), fill: soft(color(i)), width: 0 }));
  chart = new Chart($("weights-chart"), series, { format: (x) => share(x, 0), range: () => [0, 1], legend: false });
}

export function draw(store, view) {
  if (members.length !== store.names("weight.").length) begin(store);
  if (!chart) return;
  const { t } = store.columns;
  const stacked = [];
  for (const name of [...members].reverse()) {
    const below = stacked.at(-1);
    stacked.push(store.columns[`weight.${name}`].map((x, i) => (x == null ? null : x + (below?.[i] ?? 0))));
  }
  const end = t.at(-1);
  chart.draw([t, ...stacked.reverse()], Math.min(Math.max(t[0], end - view.range), end - 20), end);
  const now = members.map((name, i) => ({ name, i, weight: store.columns[`weight.${name}`].at(-1) }));
  now.sort((a, b) => b.weight - a.weight);
  const rest = now.slice(LISTED).reduce((sum, each) => sum + each.weight, 0);
  $("weights-legend").replaceChildren(
    ...now.slice(0, LISTED).map(({ name, i, weight }) => item(css(color(i)), name, weight)),
    ...(now.length > LISTED ? [item("transparent", `${now.length - LISTED} others`, rest)] : []),
  );
  $("weights-chart").setAttribute("role", "img");
  $("weights-chart").setAttribute("aria-label", `Ensemble weights over time; now ${now[0].name} leads with ${share(now[0].weight)}`);
}

const item = (background, name, weight) =>
  h("li", {}, h("i", { style: { background } }), h("span", { title: name }, name), h("b", {}, share(weight)));

const color = (i) => `--m${1 + (i % 9)}`;

/** The colour as it looks at 75 % on the card; opaque, since the layers lie on each other. */
function soft(name) {
  const [top, under] = [css(name), css("--card")].map((hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16)));
  return `rgb(${top.map((x, i) => Math.round(0.75 * x + 0.25 * under[i])).join(" ")})`;
}
