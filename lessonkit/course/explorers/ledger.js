// The ledger to look through: by verdict, notebook and unit, down to the runs of a single row.

import { general } from "./formulas.js";
import { COLOURS, Panel, panelWidths } from "./drawing.js";

const ALL = "all";
const ROW = 17; // pixels
const WIDTHS = [6, 20, 100];
const LOOKS = {
  holds: { shape: "circle", colour: COLOURS.green },
  undecided: { shape: "diamond", colour: "currentColor", hollow: true },
  "does not hold here": { shape: "cross", colour: COLOURS.red, size: 6 },
};

const passing = (v, data) =>
  data.rows.filter(
    (row) =>
      (v.verdict === ALL || v.verdict === row.verdict) &&
      (v.notebook === ALL || row.chapters.includes(v.notebook)) &&
      (v.unit === ALL || v.unit === row.unit),
  );

export function tellLedger(v, data) {
  const rows = passing(v, data);
  return rows.length ? rows[Math.min(v.row, rows.length) - 1].told : "No row of the ledger passes these filters.";
}

// Every row by its name: what is claimed as a strip, the interval, and the mean as the verdict's mark.
function forest(width, rows, chosen, all, limit) {
  const names = Math.min(230, width * 0.45);
  const margin = { left: names, right: 12, top: 28, bottom: 42 };
  const panel = new Panel({
    width, height: ROW * rows.length + margin.top + margin.bottom, margin,
    x: [-limit - 0.3, limit + 0.3], y: [0.5 - rows.length, 0.5], yTicks: [],
    xTicks: [-6, -4, -2, 0, 2, 4, 6].map((x) => [x, String(x).replace("-", "−")]),
    xLabel: "effect in units of δ", title: `${rows.length} of ${all} rows`,
  });
  panel.band(panel.x, [-chosen - 0.5, -chosen + 0.5], COLOURS.sky, 0.3);
  const cut = (value) => Math.max(-limit, Math.min(limit, value));
  rows.forEach((row, i) => {
    const [low, high] = row.strip;
    panel.band([low, high], [-i - 0.42, -i + 0.42], "currentColor", 0.1);
    const look = LOOKS[row.verdict];
    panel.line([cut(row.low), cut(row.high)], [-i, -i], { colour: look.colour, width: 1.8 });
    const inside = Math.abs(row.mean) <= limit ? row.mean : Math.sign(row.mean) * (limit - 0.4); // beside its arrow
    panel.marks([inside], [-i], { size: 4, ...look });
    if (row.low < -limit) panel.marks([-limit], [-i], { shape: "left", size: 4 });
    if (row.high > limit) panel.marks([limit], [-i], { shape: "right", size: 4 });
    const letters = Math.floor(names / 7.2);
    const name = `${row.number}  ${row.name}`;
    panel.text(panel.x[0], -i, name.length > letters ? `${name.slice(0, letters - 1)}…` : name, {
      outside: true, anchor: "end", dx: -8, dy: 4, size: 11.5, weight: i === chosen ? 700 : 400,
    });
  });
  panel.upright(0, { width: 1.2 });
  for (const end of [-1, 1]) panel.upright(end, { width: 1, dash: "2,3", opacity: 0.6 });
  return panel;
}

function runs(width, row) {
  const furthest = Math.max(...row.effects.map(Math.abs), ...[row.low, row.high].map((x) => Math.min(100, Math.abs(x))));
  const limit = WIDTHS.find((wide) => 1.05 * furthest < wide) ?? WIDTHS[WIDTHS.length - 1];
  const panel = new Panel({
    width, x: [-limit, limit], y: [-0.35, 1.1], yTicks: [[-0.18, "mean"], [0.5, "runs"]],
    xLabel: "effect in units of δ", title: `${row.number}  ${row.name}`,
  });
  const places = row.effects.map((_, i) => 1 - i / Math.max(1, row.effects.length - 1));
  panel.marks(row.effects, places, { colour: COLOURS.grey, size: row.effects.length < 60 ? 4 : 2 });
  const look = LOOKS[row.verdict];
  panel.line([row.low, row.high], [-0.18, -0.18], { colour: look.colour, width: 2.5 });
  panel.marks([row.mean], [-0.18], { ...look, size: 7 });
  panel.upright(0, { width: 1.2 });
  for (const end of [-1, 1]) panel.upright(end, { width: 1, dash: "2,3", opacity: 0.6 });
  return panel;
}

// The list scrolls so far that the chosen row is in its middle.
const keepInSight = (row) => (picture) => {
  const list = picture.querySelector(".scrolled");
  list.scrollTop = Math.max(0, 28 + row * ROW - list.clientHeight / 2);
};

export const ledgerExplorer = {
  name: "ledger",
  role: "group", // the list in it scrolls; what is chosen is told below
  general,
  limits: (v, data) => ({ row: [1, Math.max(1, passing(v, data).length)] }),
  draw({ width, values: v, data }) {
    const rows = passing(v, data);
    if (!rows.length) return { html: "", told: tellLedger(v, data) };
    const [left, right] = panelWidths(width, [1.15, 1], 300);
    const list = forest(left, rows, v.row - 1, data.rows.length, data.limit);
    const beside = runs(right, rows[v.row - 1]);
    Object.entries(LOOKS).forEach(([name, look]) => beside.named(name, { size: 5, ...look }));
    beside.named("further out than 6 δ", { shape: "right", size: 5 });
    return {
      html: `<div class="scrolled" tabindex="0" data-lm-suppress-shortcuts="true" role="group" aria-label="picture of the rows; the slider chooses one, which is told below">${list.html()}</div>${beside.html()}`,
      told: tellLedger(v, data),
      after: keepInSight(v.row - 1),
    };
  },
  // A click on a row chooses it.
  click({ event, picture, values, data }) {
    const svg = picture.querySelector("svg");
    if (!svg || !svg.contains(event.target)) return null;
    const row = Math.floor((event.clientY - svg.getBoundingClientRect().top - 28) / ROW) + 1;
    return row >= 1 && row <= passing(values, data).length ? { row } : null;
  },
};
