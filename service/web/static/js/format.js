// Numbers, times and sizes as people read them. `null` is "no value" everywhere.
const NONE = "–";
const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

export const count = (x) => (x == null ? NONE : whole.format(x));
export const rate = (x) => (x == null ? NONE : x >= 100_000 ? short.format(x) : x >= 10 || x === 0 ? whole.format(x) : x.toFixed(1));
export const share = (x, digits = 1) => (x == null ? NONE : `${(100 * x).toFixed(digits)} %`);

export function number(x) {
  if (x == null) return NONE;
  if (typeof x !== "number") return String(x);
  if (Number.isInteger(x) && Math.abs(x) < 1e9) return whole.format(x);
  const size = Math.abs(x);
  return size !== 0 && (size < 1e-3 || size >= 1e6) ? x.toExponential(2) : x.toPrecision(4);
}

/** A number on an axis or in a sentence: three digits, no zeros at the end. */
export const brief = (x) => (x == null ? NONE : Math.abs(x) >= 1e5 ? short.format(x) : `${Number(x.toPrecision(3))}`);

export function seconds(x) {
  if (x == null) return NONE;
  if (x < 0.001) return `${(x * 1e6).toFixed(0)} µs`;
  if (x < 1) return `${(x * 1e3).toFixed(x < 0.01 ? 1 : 0)} ms`;
  if (x < 120) return `${x.toFixed(x < 10 ? 1 : 0)} s`;
  return x < 7200 ? `${(x / 60).toFixed(0)} min` : `${(x / 3600).toFixed(1)} h`;
}

export function bytes(x) {
  if (x == null) return NONE;
  const step = Math.min(4, Math.max(0, Math.floor(Math.log2(Math.max(1, x)) / 10)));
  return `${(x / 1024 ** step).toFixed(step && x / 1024 ** step < 100 ? 1 : 0)} ${["B", "KiB", "MiB", "GiB", "TiB"][step]}`;
}

export const clock = (t) => new Date(1000 * t).toLocaleTimeString("en-GB");
