// Where a worker's time goes, how late predictions are, and how safe the state is.
import { $, css, h } from "../dom.js";
import { bytes, count, seconds, share } from "../format.js";

const SPAN_SECONDS = 30;
const past = [];

export function begin() {
  past.length = 0;
}

export function draw(store) {
  const { t, values, worker } = store.now;
  past.push({ t, stages: values.stages ?? {}, latency: values.latency ?? {}, commits: worker.commits ?? 0 });
  while (past.length > 2 && past[0].t < t - SPAN_SECONDS) past.shift();
  const [first, last] = [past[0], past.at(-1)];
  stages(changes(first.stages, last.stages));
  const late = changes(first.latency, last.latency);
  const beat = last.t > first.t ? (last.commits - first.commits) / (last.t - first.t) : null;
  const age = values.checkpoint_time == null ? null : Math.max(0, t - values.checkpoint_time);
  facts({
    "Latency, half of the batches": ["latency-50", seconds(quantile(late, 0.5))],
    "Latency, 95 of 100": ["latency-95", seconds(quantile(late, 0.95))],
    "Commits a second": ["commits", beat == null ? "–" : beat.toFixed(1)],
    "Checkpoint": ["checkpoint", `${bytes(values.checkpoint_bytes)}, ${age == null ? "none yet" : `${seconds(Math.round(age))} ago`}`],
    "Samples learned": ["learned", count(values.version)],
    "Partitions of this worker": ["assigned", count(worker.assigned)],
  });
}

function stages(spent) {
  const total = Object.values(spent).reduce((a, b) => a + b, 0);
  const parts = Object.entries(spent).filter(([, x]) => x > 0).sort((a, b) => b[1] - a[1]);
  if (!total) return;
  const colors = Object.fromEntries(Object.keys(spent).sort().map((name, i) => [name, css(`--m${1 + ((i * 4) % 9)}`)]));
  const bar = h("div", { class: "stages", "aria-hidden": "true" }, ...parts.map(([name, x]) => h("i", { style: { width: `${(100 * x) / total}%`, background: colors[name] } })));
  const legend = h("ol", { class: "legend" }, ...parts.map(([name, x]) =>
    h("li", {}, h("i", { style: { background: colors[name] } }), h("span", {}, name), h("b", {}, share(x / total, 0)))));
  $("stages").replaceChildren(bar, legend);
}

function facts(entries) {
  $("service").replaceChildren(...Object.entries(entries).flatMap(([name, [id, text]]) => [h("dt", {}, name), h("dd", { id: `fact-${id}` }, text)]));
}

function changes(before, after) {
  const moved = Object.entries(after).map(([key, x]) => [key, x - (before[key] ?? 0)]);
  return Object.fromEntries(moved.some(([, x]) => x > 0) ? moved : Object.entries(after));
}

/** Upper bound of the bucket below which a share of the observations lies, interpolated as Prometheus does. */
function quantile(buckets, q) {
  const bounds = Object.entries(buckets).map(([le, x]) => [Number(le === "+Inf" ? Infinity : le), x]).sort((a, b) => a[0] - b[0]);
  const total = bounds.at(-1)?.[1];
  if (!total) return null;
  let [low, below] = [0, 0];
  for (const [bound, cumulative] of bounds) {
    if (cumulative >= q * total) {
      return bound === Infinity ? low : low + ((bound - low) * (q * total - below)) / (cumulative - below || 1);
    }
    [low, below] = [bound, cumulative];
  }
  return low;
}
