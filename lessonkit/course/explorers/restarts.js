// A ball in a narrow pit beside a wide one, and a schedule that may throw it out.

import { PITS, constant, cosine, general, roll, sgdr, twoPits } from "./formulas.js";
import { COLOURS, Panel, panelWidths } from "./drawing.js";

const BATCHES = 20; // an epoch
const LIMIT = 0.044; // 2/λ of the narrow pit
const HEIGHTS = [0.1, 0.25, 0.6, 1.6];

export function lrsOf(v) {
  const restarted = sgdr(v.learning_rate, v.n_cycle, v.cycle_len, v.cycle_mult, BATCHES, 0);
  const n = restarted.length;
  if (v.how === "constant, LR / 20") return constant(v.learning_rate / 20, n);
  if (v.how === "constant") return constant(v.learning_rate, n);
  return v.how === "cosine" ? cosine(v.learning_rate, n, 0) : restarted;
}

// In words, where the last steps were.
function ending(path) {
  const last = path.slice(-5);
  for (const { name, place, width, bottom } of PITS) {
    if (last.every((x) => Math.abs(x - place) < 2 * width)) {
      const atBottom = Math.abs(path[path.length - 1] - bottom) < 0.4 * width;
      const rests = atBottom && Math.max(...last) - Math.min(...last) < 0.1 * width;
      return `${rests ? "rests" : "still moves"} in the ${name} pit`;
    }
  }
  return `is still on its way, at ${general(path[path.length - 1], 2)}`;
}

export const tellRestarts = (v) =>
  `${v.how}, LR ${general(v.learning_rate)}: the ball starts at ${general(v.start)} and ${ending(roll(v.start, lrsOf(v)))}.`;

// Where the reasons below hold, wherever the explorer began.
const USUAL = { learning_rate: 0.2, start: -1.5, n_cycle: 3, cycle_len: 1, cycle_mult: 2 };

export const restartsExplorer = {
  name: "restarts",
  general,
  steps: (v) => lrsOf(v).length,
  presets: [
    { name: "careful", values: { ...USUAL, how: "constant, LR / 20" }, why: "A low LR stays in the pit that it starts in, narrow or not." },
    { name: "bold", values: { ...USUAL, how: "constant" }, why: "A high LR leaves the narrow pit within a few steps, and rests in the wide one, which can hold it." },
    { name: "one cosine", values: { ...USUAL, how: "cosine" }, why: "A cosine does both: out of the narrow pit while the LR is high, and to rest in the wide one." },
    { name: "restarts", values: { ...USUAL, how: "sgdr" }, why: "Each restart is another chance to leave; the end of each cycle is a place to look at." },
    { name: "too low to leave", values: { ...USUAL, how: "sgdr", learning_rate: 0.04 }, why: "Below 2/λ of the narrow pit (0.044) no number of restarts gets the ball out." },
  ],
  draw({ width, values: v, step }) {
    const lrs = lrsOf(v);
    const [path, n] = [roll(v.start, lrs), lrs.length];
    const at = step ?? n;
    const made = path.slice(0, at + 1);
    const widths = panelWidths(width, [1.15, 1, 1], 240);
    const xs = Array.from({ length: 321 }, (_, i) => -4 + i / 40);
    const pits = new Panel({ width: widths[0], x: [-4, 4], y: [-0.1, 2.3], xLabel: "weight x", yLabel: "loss", title: "from the square to the star" });
    pits.line(xs, xs.map(twoPits), { opacity: 0.55, width: 1.5 });
    pits.marks(made, made.map(twoPits), { colour: COLOURS.blue, size: 2.5 });
    pits.marks([path[0]], [twoPits(path[0])], { shape: "square", size: 6, colour: COLOURS.orange });
    pits.marks([path[at]], [twoPits(path[at])], { shape: "star", size: 11, colour: COLOURS.red });

    const high = HEIGHTS.find((height) => height > 1.05 * Math.max(...lrs));
    const chart = new Panel({ width: widths[1], x: [0, 1.03 * n], y: [0, high], xLabel: "step", yLabel: "learning rate", title: `${v.how}: ${n} steps` });
    chart.line(lrs.map((_, i) => i), lrs, { colour: COLOURS.blue });
    chart.across(LIMIT, { colour: COLOURS.red, dash: "2,4" });
    chart.text(n, LIMIT, "2/λ, narrow pit", { anchor: "end", dx: -4, dy: -6 });
    if (at < n) chart.marks([at], [lrs[at]], { shape: "star", size: 9, colour: COLOURS.red });

    const places = new Panel({
      width: widths[2], x: [0, 1.03 * n], y: [-4, 4], xLabel: "step", title: "place of the ball",
      yTicks: PITS.map(({ name, bottom }) => [bottom, name]), yLabel: "pit",
    });
    PITS.forEach(({ bottom }) => places.across(bottom, { width: 1, dash: "5,4", opacity: 0.7 }));
    places.line(made.map((_, i) => i), made, { colour: COLOURS.blue, width: 1 });
    places.marks(made.map((_, i) => i), made, { colour: COLOURS.blue, size: 1.8 });
    places.marks([at], [path[at]], { shape: "star", size: 9, colour: COLOURS.red });

    const told = at === n ? tellRestarts(v) : `Step ${at} of ${n}, LR ${general(lrs[at], 2)}: the ball is at ${general(path[at], 3)}.`;
    return { html: pits.html() + chart.html() + places.html(), told };
  },
};
