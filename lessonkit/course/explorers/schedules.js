// All schedules on one picture: the chosen one in bold, what it means in `fit`'s words, and what is
// good and bad about it.

import { constant, cosine, cycleEpochs, general, linear, oneCycle, sgdr, stepDecay, triangular } from "./formulas.js";
import { COLOURS, Panel } from "./drawing.js";

const MAKERS = { constant, "step decay": stepDecay, linear, cosine, sgdr, triangular, "one cycle": oneCycle };
const LOOKS = {
  constant: { colour: "currentColor", dash: "" },
  "step decay": { colour: COLOURS.orange, dash: "7,3" },
  linear: { colour: COLOURS.sky, dash: "9,3,2,3" },
  cosine: { colour: COLOURS.green, dash: "2,2.5" },
  sgdr: { colour: COLOURS.blue, dash: "7,2,2,2,2,2" },
  triangular: { colour: COLOURS.red, dash: "2,5" },
  "one cycle": { colour: COLOURS.pink, dash: "12,4" },
};
const DIGITS = 12; // of numbers in the lines to copy: what they make is what is shown
const ROOM = { left: 70 }; // for 5e−05 beside the axis' own label

export const epochsOf = (v) =>
  v.kind === "sgdr" ? cycleEpochs(v.n_cycle, v.cycle_len, v.cycle_mult) : [v.epochs];
const total = (v) => epochsOf(v).reduce((sum, n) => sum + n, 0);

// What a kind's function gets besides the LR, in its order and by Python's names, over as many
// epochs as the chosen kind takes.
function argumentsOf(kind, v, batches) {
  const [steps, lr_min] = [total(v) * batches, v.floor * v.lr];
  return {
    constant: { steps },
    "step decay": { steps, drop: v.drop, every: v.every * batches },
    linear: { steps, lr_min },
    cosine: { steps, lr_min },
    sgdr: { n_cycle: v.n_cycle, cycle_len: v.cycle_len, cycle_mult: v.cycle_mult, steps_per_epoch: batches, lr_min },
    triangular: { steps, cycle: v.cycle * batches, lr_min },
    "one cycle": { steps, warm_up: v.warm_up, start_div: v.start_div, final_div: v.final_div },
  }[kind];
}

// The LR of every mini-batch of one kind.
export const lrsOf = (kind, v, batches) => MAKERS[kind](v.lr, ...Object.values(argumentsOf(kind, v, batches)));

// In words with few digits, to copy with all.
function call(v, batches, [ofTheLR, ofOthers] = [3, 6]) {
  const named = Object.entries(argumentsOf(v.kind, v, batches)).map(([name, value]) => `, ${name}=${general(value, ofOthers)}`);
  return `schedule.${v.kind.replace(" ", "_")}(${general(v.lr, ofTheLR)}${named.join("")})`;
}

// The same in the lesson's words, for what `fit` says with its own arguments.
function fitCall(v) {
  const lr = general(v.lr, DIGITS);
  if (v.kind === "constant") return `learn.fit(${lr}, ${v.epochs})`;
  if (v.floor > 0) return "";
  if (v.kind === "cosine") return `learn.fit(${lr}, 1, cycle_len=${v.epochs})`;
  if (v.kind !== "sgdr") return "";
  const mult = v.cycle_mult > 1 ? `, cycle_mult=${v.cycle_mult}` : "";
  return `learn.fit(${lr}, ${v.n_cycle}, cycle_len=${v.cycle_len}${mult})`;
}

const FLOOR = "with a floor this high the weights never come to rest.";

function meaning(v) {
  const restless = v.floor >= 0.3 ? ` And ${FLOOR}` : "";
  const [all, plural] = [total(v), (n) => (n === 1 ? "" : "s")];
  const epochs = `${all} epoch${plural(all)}`;
  switch (v.kind) {
    case "constant":
      return `${epochs} at one LR. Good: nothing to choose but the LR, and you can stop whenever you like. Bad: at a high LR the weights overshoot to the very end; at a low one they never get far.`;
    case "step decay":
      if (v.drop === 1) return `${epochs}; the LR is multiplied by 1 again and again, and so it stays where it is.`;
      if (v.every >= v.epochs) return `${epochs}; the LR would first drop after ${v.every}, and so it stays where it is.`;
      return `${epochs}; after every ${v.every} the LR is multiplied by ${general(v.drop)}. Good: quick first, careful later. Bad: when to drop and by how much are two more things to tune, and after the last drop little happens.`;
    case "linear":
      return `${epochs} along a straight line down. Good: nothing to choose but its end, and often as good as a cosine. Bad: you must know beforehand how long you train.${restless}`;
    case "cosine":
      return restless
        ? `${epochs} along half a cosine, which ends at ${general(100 * v.floor)} % of the top. Good: no step is lost at a tiny LR. Bad: ${FLOOR}`
        : `${epochs} along half a cosine: one cycle of cycle_len=${v.epochs}. Good: long at a high LR, and it comes to rest at the end. Bad: you must know beforehand how long you train.`;
    case "sgdr":
      if (v.n_cycle === 1) return `One cycle of ${epochs}: nothing restarts, this is a plain cosine. Good: long at a high LR. Bad: you must know beforehand how long you train.${restless}`;
      if (total(v) === v.n_cycle) return `${v.n_cycle} cycles of one epoch each. Good: after each of them there is a finished network to keep. Bad: an epoch may be too short to come to rest, and each restart undoes what was reached.${restless}`;
      return `${v.n_cycle} cosine cycles of ${epochsOf(v).join(", ")} epochs. Good: each restart may leave a narrow pit, and each end is a network to keep${v.cycle_mult > 1 ? "; cycle_mult gives the last cycle most of the time" : ""}. Bad: the loss climbs back at each restart, so stop only at the end of a cycle.${restless}`;
    case "triangular":
      if (v.cycle > v.epochs) return `${epochs}, not one whole triangle of ${v.cycle}: the LR ${v.cycle >= 2 * v.epochs ? "only rises" : "isn't down again at the end"}.${restless}`;
      return `${epochs}, up and down every ${v.cycle}. Good: it tries a whole range of LRs again and again, so the range need not be exact. Bad: it is at rest at the foot of each triangle at most.${restless}`;
    default: {
      const end = 1 / (v.start_div * v.final_div); // of the highest LR
      if (end === 1) return `${epochs} at one LR: with start_div and final_div of 1 nothing is left of the cycle.`;
      const share = `${general(100 * v.warm_up)} % of the steps`;
      const [up, good] = v.start_div > 1
        ? [`a warm-up over ${share}`, "the warm-up lets you take a higher top than from a cold start"]
        : [`no warm-up, as it stays at the top for ${share}`, "long at a high LR"];
      return `${epochs}: ${up}, and at the end an LR of ${general(lrsOf(v.kind, v, 100).at(-1), 2)}. Good: ${good}. Bad: you must know beforehand how long you train, and it has the most to choose.${end >= 0.3 ? " And with an end this high the weights never come to rest." : ""}`;
    }
  }
}

export function tellSchedules(v, batches) {
  const epochs = epochsOf(v);
  const sum = epochs.join(" + ") + (epochs.length > 1 ? ` = ${total(v)}` : "");
  const words = `${sum} epoch${total(v) === 1 ? "" : "s"}`;
  const at = general(lrsOf(v.kind, v, batches)[v.step], 3);
  return `${call(v, batches)}: ${words} of ${batches} mini-batches. At step ${v.step}, in epoch ${Math.floor(v.step / batches) + 1}, the LR is ${at}.`;
}

// Not more points than pixels: a line of more can't be told from it.
const MOST = 1200;
const thinned = (n) =>
  n <= MOST ? Array.from({ length: n }, (_, i) => i) : Array.from({ length: MOST }, (_, i) => Math.round((i * (n - 1)) / (MOST - 1)));

export const schedulesExplorer = {
  name: "schedules",
  general,
  limits: (v, data) => ({ step: [0, data.steps_per_epoch * total(v) - 1] }),
  comment: meaning,
  code: (v, data) => [`lrs = ${call(v, data.steps_per_epoch, [DIGITS, DIGITS])}`, fitCall(v) || "learn.fit_schedule(lrs)"].join("\n"),
  presets: [
    { name: "fit(0.1, 7)", values: { kind: "constant", lr: 0.1, epochs: 7 } },
    { name: "one cosine", values: { kind: "cosine", lr: 0.1, epochs: 7, floor: 0 } },
    { name: "restarts, 1 + 2 + 4", values: { kind: "sgdr", lr: 0.1, n_cycle: 3, cycle_len: 1, cycle_mult: 2, floor: 0 } },
    { name: "restarts too often", values: { kind: "sgdr", lr: 0.1, n_cycle: 5, cycle_len: 1, cycle_mult: 1, floor: 0 } },
    { name: "a floor too high", values: { kind: "cosine", lr: 0.1, epochs: 7, floor: 0.5 } },
    { name: "stairs, log scale", values: { kind: "step decay", lr: 0.1, epochs: 9, drop: 0.1, every: 3, log_scale: true } },
    { name: "one cycle", values: { kind: "one cycle", lr: 0.1, epochs: 7 } },
  ],
  draw({ width, values: v, data }) {
    const fine = data.steps_per_epoch;
    const n = total(v) * fine;
    // The others' lines needn't have more points than pixels: as if an epoch had fewer mini-batches.
    const coarse = Math.max(1, Math.min(fine, Math.ceil(MOST / total(v))));
    const batches = (kind) => (kind === v.kind ? fine : coarse);
    const shown = Object.keys(MAKERS).filter((kind) => v.others || kind === v.kind);
    const drawn = Object.fromEntries(shown.map((kind) => [kind, lrsOf(kind, v, batches(kind)).slice(0, total(v) * batches(kind))]));
    const all = Object.values(drawn);
    // One by one: as arguments of a single call, 125,000 numbers are too many.
    const furthest = (pick) => all.reduce((end, lrs) => lrs.reduce((a, b) => pick(a, b), end), all[0][0]);
    const [top, low] = [furthest(Math.max) || v.lr, furthest(Math.min)];
    const y = v.log_scale ? [Math.max(low, top * 1e-6) / 2, 2 * top] : [-0.04 * top, 1.1 * top];
    const panel = new Panel({
      width, height: 320, x: [-0.01 * n, 1.01 * n], y, logY: v.log_scale,
      xLabel: "mini-batch", yLabel: "learning rate", title: v.kind, margin: ROOM,
    });
    for (const kind of [...shown.filter((kind) => kind !== v.kind), v.kind]) {
      const places = thinned(drawn[kind].length);
      const look = kind === v.kind ? { ...LOOKS[kind], dash: "", width: 4 } : { ...LOOKS[kind], width: 1.5 };
      panel.line(places.map((i) => (i * fine) / batches(kind)), places.map((i) => drawn[kind][i]), look, kind);
    }
    panel.upright(v.step, { width: 1, opacity: 0.5 });
    panel.marks([v.step], [drawn[v.kind][v.step]], { shape: "star", size: 9, colour: COLOURS.orange }, "the step");
    return { html: panel.html(), told: tellSchedules(v, data.steps_per_epoch) };
  },
  // A click on the picture chooses the step.
  click({ event, picture, values, data }) {
    const svg = picture.querySelector("svg");
    const n = total(values) * data.steps_per_epoch;
    const panel = new Panel({ width: svg.clientWidth, x: [-0.01 * n, 1.01 * n], y: [0, 1], margin: ROOM });
    const step = Math.round(panel.valueAtX(event.clientX - svg.getBoundingClientRect().left));
    return step >= 0 && step < n ? { step } : null;
  },
};
