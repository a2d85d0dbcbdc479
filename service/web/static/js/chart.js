// A line chart over time on uPlot: theme colours, one cursor over all charts, drift marks that can be focused.
import uPlot from "../vendor/uPlot.js";
import { css, h } from "./dom.js";
import { clock } from "./format.js";

const HEIGHT = 210;

export class Chart {
  /**
   * @param box element to draw in
   * @param series [{label, color (a CSS variable), fill (a colour), width, dash}], one for each column of data after the times
   * @param options `format` of values, `range` of the y axis as in uPlot, `marks`, `legend`
   */
  constructor(box, series, { format, range, legend = true } = {}) {
    this.box = box;
    this.marks = [];
    this.elements = new Map();
    this.plot = new uPlot(this.#options(series, format, range, legend), [[], ...series.map(() => [])], box);
    new ResizeObserver(() => this.#resize()).observe(box);
    this.#resize();
  }

  destroy() {
    this.plot.destroy();
    this.box.replaceChildren();
  }

  /** Draw the columns, seen from `start` to `end` (seconds since 1970), and the drift marks that lie there. */
  draw(columns, start, end, marks = []) {
    this.plot.batch(() => {
      this.plot.setData(columns, false);
      this.plot.setScale("x", { min: start, max: end });
    });
    if (this.plot.cursor.idx == null) this.plot.setLegend({ idx: columns[0].length - 1 });
    this.#placeMarks(marks.filter((mark) => mark.t >= start && mark.t <= end));
  }

  #options(series, format, range, legend) {
    const axis = {
      stroke: css("--muted"), grid: { stroke: css("--grid"), width: 1 }, ticks: { show: false },
      font: "12px Inter, system-ui, sans-serif", labelFont: "12px Inter, system-ui, sans-serif",
    };
    return {
      width: this.box.clientWidth || 300,
      height: HEIGHT,
      legend: { show: legend, live: legend, markers: { width: 0, fill: (_, i) => css(series[i - 1]?.color ?? "--muted") } },
      cursor: { sync: { key: "time" }, y: false, points: { size: 6 }, drag: { x: false, y: false } },
      padding: [8, 26, 0, 0],
      scales: { x: { time: true, auto: false }, y: { auto: true, range } },
      axes: [
        { ...axis, space: 70, size: 28, values: (_, ticks) => ticks.map(clock) },
        { ...axis, size: 52, values: (_, ticks) => ticks.map((tick) => format(tick)) },
      ],
      series: [
        { value: (_, t) => (t == null ? "" : clock(t)), label: "at" },
        ...series.map((each) => ({
          label: each.label,
          stroke: css(each.color),
          width: each.width ?? 2,
          dash: each.dash,
          fill: each.fill,
          points: { show: false },
          spanGaps: false,
          value: (_, x) => (x == null ? "–" : format(x)),
        })),
      ],
    };
  }

  #resize() {
    const width = Math.floor(this.box.clientWidth);
    if (width > 0 && width !== this.plot.width) this.plot.setSize({ width, height: HEIGHT });
  }

  #placeMarks(marks) {
    const seen = new Set();
    for (const mark of marks) {
      seen.add(mark.key);
      let element = this.elements.get(mark.key);
      if (!element) {
        element = h("span", { class: "mark", role: "img", tabindex: "0", "aria-label": mark.text, "data-offset": mark.offset },
          h("span", { class: "grip" }), h("span", { class: "tip" }, mark.text));
        this.elements.set(mark.key, element);
        this.plot.over.append(element);
      }
      const x = this.plot.valToPos(mark.t, "x");
      element.style.left = `${x}px`;
      element.classList.toggle("left", x > this.plot.over.clientWidth / 2);
    }
    for (const [key, element] of this.elements) {
      if (!seen.has(key)) {
        element.remove();
        this.elements.delete(key);
      }
    }
  }
}
