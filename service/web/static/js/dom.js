// Elements from code. Text is always set as text: ids, labels and reasons come from whoever writes to Kafka.
export const $ = (id) => document.getElementById(id);

export function h(tag, properties = {}, ...children) {
  const element = tag === "svg" || svgTags.has(tag) ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value == null || value === false) continue;
    if (name === "style") for (const [key, each] of Object.entries(value)) element.style.setProperty(key, each);
    else element.setAttribute(name === "class" ? "class" : name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child != null));
  return element;
}
const svgTags = new Set(["path", "circle", "line", "rect", "g", "text", "title"]);

export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function table(head, rows, empty) {
  if (!rows.length) return h("p", { class: "empty" }, empty);
  const cells = head.map(([name, kind]) => h("th", { scope: "col", class: kind }, name));
  return h("table", {}, h("thead", {}, h("tr", {}, ...cells)), h("tbody", {}, ...rows));
}

export const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
