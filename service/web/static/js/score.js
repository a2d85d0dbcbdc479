// The score beside its baselines: accuracy, where more is better, or the mean absolute error, where less is.
import { number, share } from "./format.js";

const TITLES = { no_change: "repeating the last label", majority: "the most frequent label", mean: "the mean label" };
const BASELINES = { classification: ["no_change", "majority"], regression: ["no_change", "mean"] };

export function score({ hello, now }) {
  const classes = hello.model.task === "classification";
  const metric = classes ? "accuracy" : "mae";
  const all = now.values.score ?? {};
  const baselines = BASELINES[hello.model.task].map((name) => (
    { name, title: TITLES[name], key: `score.${metric}/${name}`, value: all[`${metric}/${name}`] ?? null }));
  const known = baselines.filter((each) => each.value != null);
  const best = known.length ? known.reduce((a, b) => (classes === b.value > a.value ? b : a)) : null;
  const model = all[`${metric}/model`] ?? null;
  return {
    metric, model, baselines, best,
    key: `score.${metric}/model`,
    title: classes ? "Rolling accuracy" : "Mean absolute error",
    format: classes ? (x) => share(x) : number,
    gain: gain(model, best, classes),
  };
}

function gain(model, best, classes) {
  if (model == null || !best) return { text: "", kind: "" };
  const lead = classes ? model - best.value : best.value - model;
  const text = classes ? `${signed(100 * lead, 1)} points` : best.value ? `${signed(100 * lead / best.value, 0)} %` : "";
  return { text, kind: lead > 0 ? "good" : lead < 0 ? "bad" : "" };
}

const signed = (x, digits) => `${x < 0 ? "−" : "+"}${Math.abs(x).toFixed(digits)}`;
