// The row of numbers that says at a glance how things are.
import { $, h, setText } from "../dom.js";
import { count, number, rate } from "../format.js";
import { score } from "../score.js";

const TILES = { rate: "Events a second", score: "", loss: "Loss", lag: "Lag", alerts: "Drift alerts", letters: "Dead letters" };
const tiles = new Map();

export function begin(store) {
  if (!tiles.size) {
    for (const [key, title] of Object.entries(TILES)) {
      const parts = { dt: h("dt", {}, title), value: h("dd", { class: "value", id: `tile-${key}` }), note: h("dd", { class: "note", id: `note-${key}` }) };
      tiles.set(key, { ...parts, box: h("div", { class: "tile" }, parts.dt, parts.value, parts.note) });
    }
    $("tiles").replaceChildren(...[...tiles.values()].map((tile) => tile.box));
  }
  setText(tiles.get("score").dt, score(store).title);
}

export function draw(store) {
  const { values, totals } = store.now;
  const rates = store.rates("events");
  put("rate", rate(rates.at(-1)), `${count(totals.events)} in all`);
  spark("rate", rates);
  scoreTile(store);
  put("loss", number(round(values.loss)), `mean of ${count(store.hello.window)} events`);
  spark("loss", store.columns.loss ?? []);
  put("lag", count(totals.lag), totals.lag > 0 ? "events wait" : "nothing waits", totals.lag > 10_000 ? "warn" : "");
  spark("lag", store.columns.lag ?? []);
  const alerts = Object.values(values.alerts ?? {}).reduce((sum, each) => sum + each, 0);
  const last = store.recent?.alerts.at(-1);
  put("alerts", count(alerts), last ? `last at offset ${count(last.source.offset)}` : "no change for the worse");
  put("letters", count(totals.dead_letters), totals.dead_letters ? "see the reasons below" : "every event was usable",
    totals.dead_letters ? "warn" : "");
}

function scoreTile(store) {
  const { model, best, format, gain } = score(store);
  const words = best ? [h("b", {}, gain.text), ` against ${best.title}`] : [""];
  put("score", format(model), "", gain.kind);
  tiles.get("score").note.replaceChildren(...words);
  spark("score", store.columns[score(store).key] ?? []);
}

const round = (x) => (x == null ? null : Number(x.toPrecision(4)));

function put(key, value, note, kind = "") {
  const tile = tiles.get(key);
  setText(tile.value, value);
  if (note) setText(tile.note, note);
  tile.box.dataset.kind = kind;
}

function spark(key, values) {
  const tile = tiles.get(key);
  const points = values.slice(-120).map((y, x) => [x, y]).filter(([, y]) => y != null);
  if (points.length < 3) return;
  const ys = points.map(([, y]) => y);
  const [low, high] = [Math.min(...ys), Math.max(...ys)];
  const last = points.at(-1)[0];
  const line = points.map(([x, y]) => `${((100 * x) / last).toFixed(2)},${(28 - (high > low ? (24 * (y - low)) / (high - low) : 0)).toFixed(2)}`);
  const d = `M${line.join("L")}`;
  if (!tile.spark) {
    tile.spark = h("path", { d });
    tile.box.append(h("svg", { class: "spark", viewBox: "0 0 100 30", preserveAspectRatio: "none", "aria-hidden": "true" }, tile.spark));
  }
  tile.spark.setAttribute("d", `${d}L101,31L-1,31Z`);
}
