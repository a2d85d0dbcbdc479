// What the page knows: the past of one partition as columns of equal length, and the newest of everything else.
export class Store {
  constructor() {
    this.hello = null;
    this.now = null;
    this.recent = null;
    this.columns = { t: [] };
  }

  begin(hello) {
    this.hello = hello;
    this.columns = { ...hello.history };
    this.recent = null;
  }

  add(sample) {
    this.now = sample;
    const { columns } = this;
    if (columns.t.length && sample.t <= columns.t.at(-1)) return; // the past that came with `hello` has it
    const before = columns.t.length;
    columns.t.push(sample.t);
    for (const [name, value] of Object.entries(charted(sample.values))) {
      columns[name] ??= new Array(before).fill(null);
      columns[name].push(value);
    }
    for (const column of Object.values(columns)) {
      if (column.length <= before) column.push(null);
      if (column.length > this.hello.capacity) column.shift();
    }
  }

  /** Names below a prefix, such as `weight.`, without it. */
  names(prefix) {
    return Object.keys(this.columns).filter((name) => name.startsWith(prefix)).map((name) => name.slice(prefix.length));
  }

  /** Change a second of a counter over the last `span` seconds, at each moment; null where it began anew. */
  rates(name, span = 2) {
    const { t } = this.columns;
    const values = this.columns[name] ?? [];
    let first = 0;
    return t.map((moment, i) => {
      while (first < i && t[first] < moment - span - 0.05) first += 1;
      const change = values[i] - values[first];
      return first === i || values[i] == null || values[first] == null || change < 0 ? null : change / (moment - t[first]);
    });
  }

  /** First index within the last `seconds`. */
  since(seconds) {
    const { t } = this.columns;
    const start = t.at(-1) - seconds;
    return Math.max(0, t.findIndex((moment) => moment >= start));
  }
}

const CHARTED = ["events", "loss", "lag", "score", "weight"];

function charted(values) {
  const out = {};
  for (const name of CHARTED) {
    const value = values[name];
    if (value !== null && typeof value === "object") {
      for (const [key, each] of Object.entries(value)) out[`${name}.${key}`] = each;
    } else if (value !== undefined) out[name] = value;
  }
  return out;
}
