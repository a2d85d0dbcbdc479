// The score beside its baselines, and the loss with drift marks, over time.
import { $, css, setText } from "../dom.js";
import { Chart } from "../chart.js";
import { brief, count, number, share } from "../format.js";
import { score } from "../score.js";
import { change } from "./drift.js";

const DASHES = [[6, 4], [2, 3]];
let scores = null;
let losses = null;
let keys = [];

export function begin(store) {
  scores?.destroy();
  losses?.destroy();
  const { key, title, format, baselines, metric } = score(store);
  setText($("score-title"), title);
  setText($("score-window"), `last ${count(store.hello.window)} events, beside what needs no model`);
  const lines = baselines.map((each, i) => ({ label: each.title, color: `--s${2 + i}`, width: 1.5, dash: DASHES[i] }));
  keys = [key, ...baselines.map((each) => each.key)];
  const wide = metric === "accuracy" ? (x) => share(x, 0) : brief;
  const range = metric === "accuracy" ? (_, low, high) => accuracyRange(low, high) : (_, low, high) => fromZero(low, high);
  scores = new Chart($("score-chart"), [{ label: "model", color: "--s1" }, ...lines], { format: wide, range });
  losses = new Chart($("loss-chart"), [{ label: "loss", color: "--s1", fill: css("--accent-soft") }], {
    format: brief, range: (_, low, high) => fromZero(low, high),
  });
}

export function draw(store, view) {
  const { t } = store.columns;
  if (!t.length) return;
  const end = t.at(-1);
  const start = Math.min(Math.max(t[0], end - view.range), end - 20);
  const marks = (store.recent?.alerts ?? []).map(asMark);
  scores.draw([t, ...keys.map((key) => store.columns[key] ?? t.map(() => null))], start, end);
  losses.draw([t, store.columns.loss ?? t.map(() => null)], start, end, marks);
  describe($("score-chart"), score(store).title, keys[0], store);
  describe($("loss-chart"), "Loss", "loss", store, `, ${marks.length} drift alerts marked`);
}

function asMark(alert) {
  return {
    key: `${alert.signal}/${alert.feature}/${alert.source.offset}`, t: alert.seen, offset: alert.source.offset,
    text: `drift of ${alert.feature ?? alert.signal} at offset ${count(alert.source.offset)}: ${change(alert)}`,
  };
}

function describe(box, title, key, store, more = "") {
  const values = (store.columns[key] ?? []).filter((x) => x != null);
  box.setAttribute("role", "group");
  box.setAttribute("aria-label", values.length
    ? `${title} over time: now ${number(values.at(-1))}, lowest ${number(Math.min(...values))}, highest ${number(Math.max(...values))}${more}`
    : `${title} over time: nothing yet`);
}

function accuracyRange(low, high) {
  if (low == null) return [0, 1];
  return [Math.max(0, low - Math.max(0.02, 0.1 * (high - low))), Math.min(1, high + Math.max(0.01, 0.05 * (high - low)))];
}

const fromZero = (low, high) => [Math.min(0, low ?? 0), (high ?? 1) * 1.12 || 1];
