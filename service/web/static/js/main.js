// Brings the stream, the store and the panels together. Draws at most once a frame, and not while paused.
import { $, h, setText } from "./dom.js";
import { Store } from "./store.js";
import { Stream } from "./stream.js";
import { condition } from "./condition.js";
import * as tiles from "./panels/tiles.js";
import * as quality from "./panels/quality.js";
import * as weights from "./panels/weights.js";
import * as outcomes from "./panels/outcomes.js";
import * as drift from "./panels/drift.js";
import * as service from "./panels/service.js";
import * as predictions from "./panels/predictions.js";
import * as letters from "./panels/letters.js";

const store = new Store();
const panels = [tiles, quality, weights, outcomes, drift, service, predictions, letters];
const view = { paused: false, silent: false, range: 300, waiting: false, fresh: true };

function draw() {
  view.waiting = false;
  if (!store.now || document.hidden) return;
  if (view.fresh) {
    for (const panel of panels) panel.begin?.(store);
    view.fresh = false;
  }
  for (const panel of panels) panel.draw(store, view);
}

function soon() {
  if (view.waiting || view.paused) return;
  view.waiting = true;
  requestAnimationFrame(draw);
}

function tellCondition() {
  const { kind, text, banner } = condition(store, view.silent);
  $("state").dataset.kind = kind;
  setText($("state-text"), text);
  $("banner").hidden = !banner;
  setText($("banner"), banner);
}

const stream = new Stream({
  hello(data) {
    store.begin(data);
    view.fresh = true;
    setText($("model"), data.model.name);
    setText($("about"), `${data.model.task} of ${data.topic} · group ${data.group}`);
    setText($("version"), `nnstream ${data.version}`);
    document.title = `${data.model.name} · nnstream`;
  },
  sample(data) {
    store.add(data);
    choosePartitions(data);
    tellCondition();
    soon();
  },
  recent(data) {
    store.recent = data;
    soon();
  },
  silent(silent) {
    view.silent = silent;
    tellCondition();
  },
});

function choosePartitions({ owned, partition }) {
  const select = $("partition");
  $("partition-control").hidden = owned.length < 2;
  if (select.options.length !== owned.length || owned.some((number, i) => Number(select.options[i].value) !== number)) {
    select.replaceChildren(...owned.map((number) => h("option", { value: number }, `${number}`)));
  }
  if (partition !== null) select.value = `${partition}`;
}

function isDark() {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

function tellTheme() {
  setText($("theme"), isDark() ? "Light theme" : "Dark theme");
  view.fresh = true;
  soon();
}

$("theme").addEventListener("click", () => {
  const theme = isDark() ? "light" : "dark";
  document.documentElement.dataset.theme = theme;
  try {
    localStorage.setItem("nnstream-theme", theme);
  } catch {
    // storage may be forbidden; the choice then lasts as long as the page
  }
  tellTheme();
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", tellTheme);
document.addEventListener("visibilitychange", soon);
$("partition").addEventListener("change", (event) => stream.open(event.target.value));
$("range").addEventListener("change", (event) => {
  view.range = Number(event.target.value);
  soon();
});
$("pause").addEventListener("click", () => {
  view.paused = !view.paused;
  $("pause").setAttribute("aria-pressed", `${view.paused}`);
  setText($("pause"), view.paused ? "Resume" : "Pause");
  soon();
});

tellTheme();
stream.open(null);
