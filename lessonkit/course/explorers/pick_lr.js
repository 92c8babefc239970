// The LR finder's curve, and the training that the LR you pick on it really gives.

import { exponential, general, smooth } from "./formulas.js";
import { COLOURS, Panel, panelWidths } from "./drawing.js";

const RULES = {
  // Shape, colour, size, hollow: the first is a large frame, as it often stands around the second.
  improving: ["square", COLOURS.orange, 8, true],
  lowest: ["down", "currentColor", 5],
  suggestion: ["circle", COLOURS.red, 5],
  steepest: ["diamond", COLOURS.green, 5],
  valley: ["plus", COLOURS.blue, 5],
};

// Numbers that are none travel as null.
const losses = (run) => run.losses.map((loss) => loss ?? NaN);
const kept = (run) => {
  const end = run.losses.findIndex((loss) => loss === null);
  return losses(run).slice(0, end < 0 ? undefined : end);
};
const same = (a, b) => Math.abs(a - b) <= 1e-9 * Math.abs(b);
const runAt = (data, lr) => data.runs.find((run) => same(run.lr, lr));

export function tellPick(lr, data) {
  const run = runAt(data, lr);
  if (!run) return `Training at LR ${exponential(lr)} …`;
  const fine = kept(run);
  if (fine.length < run.losses.length)
    return `At LR ${exponential(lr)} the loss is no longer a number after ${fine.length} steps.`;
  const end = smooth(fine)[fine.length - 1];
  return `At LR ${exponential(lr)} the loss goes from ${fine[0].toFixed(2)} to ${general(end, 2)} in ${fine.length} steps.`;
}

function finderPanel(width, data, lr) {
  const { lrs, smoothed } = data.found;
  const sorted = smoothed.filter(Number.isFinite).sort((a, b) => a - b); // the last may be infinite: null
  const [low, high] = [sorted[0], Math.max(smoothed[0], sorted[sorted.length >> 1])];
  const room = high - low + 1e-9;
  const panel = new Panel({
    width, x: [0.7e-5, 14], y: [low - 0.15 * room, high + 0.6 * room], logX: true,
    xLabel: "learning rate", yLabel: "training loss", title: `LR finder; dashed: you picked ${exponential(lr)}`,
  });
  panel.line(lrs, data.found.losses, { width: 1, opacity: 0.35 }, "loss of each batch");
  panel.line(lrs, smoothed, { width: 2.5 }, "smoothed");
  for (const [rule, [shape, colour, size, hollow]] of Object.entries(RULES)) {
    if (!data.found.rules[rule]) continue; // the sweep was too short for it
    const [x, y] = data.found.rules[rule];
    panel.marks([x], [y], { shape, colour, size, hollow }, `${rule} ${exponential(x)}`);
  }
  panel.upright(lr, { colour: COLOURS.red, dash: "6,4" });
  return panel;
}

export const pick_lrExplorer = {
  name: "pick_lr",
  general,
  // A page can't train: its slider stops at the stored runs.
  stops: (data, still) => (still ? { learning_rate: data.runs.map((run) => run.lr).sort((a, b) => a - b) } : {}),
  draw({ width, values, data, static: still }) {
    const lr = values.learning_rate;
    const [left, right] = panelWidths(width, [1, 1]);
    const finder = finderPanel(left, data, lr);
    const run = runAt(data, lr);
    if (!run) return { html: finder.html(), told: tellPick(lr, data) };
    const fine = kept(run);
    const places = run.losses.map((_, i) => i);
    const chart = new Panel({
      width: right, x: [0, run.losses.length], y: [0, 2 * run.losses[0]],
      xLabel: "step", yLabel: "training loss", title: "the training it gives",
    });
    chart.line(places, fine, { width: 1, opacity: 0.35 }, "loss of each batch");
    chart.line(places, smooth(fine), { colour: COLOURS.red, width: 2.5 }, `smoothed, LR ${exponential(lr)}`);
    const others = data.runs
      .filter((other) => other !== run && kept(other).length === other.losses.length)
      .map((other) => ({ lr: other.lr, curve: smooth(losses(other)) }))
      .sort((a, b) => a.curve[a.curve.length - 1] - b.curve[b.curve.length - 1]);
    if (others.length) {
      const [best] = others;
      chart.line(best.curve.map((_, i) => i), best.curve, { colour: COLOURS.blue, dash: "8,3,2,3", width: 1.8 }, `best of the others, LR ${exponential(best.lr)}`);
    }
    const few = still ? ` Stored runs: this page has ${data.runs.length} of them, and trains none.` : "";
    return { html: finder.html() + chart.html(), told: tellPick(lr, data) + few };
  },
};
