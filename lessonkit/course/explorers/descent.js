// A ball that gradient descent moves down a bowl: step by step, or all at once.

import { descend, general } from "./formulas.js";
import { COLOURS, Panel, panelWidths } from "./drawing.js";

const STEPS = 30;
const SIDE = 5;
const [LOW, HIGH] = [1e-6, 1e4];

const close = (a, b) => Math.abs(a - b) <= 1e-8 + 1e-5 * Math.abs(b); // as numpy's isclose

// Does it converge? On a bowl that is known: up to an LR of 2/λ, or 2(1 + momentum)/λ.
function verdict({ learning_rate: lr, momentum, curvature }) {
  const limit = (2 * (1 + momentum)) / curvature;
  const formula = momentum ? `2(1 + ${general(momentum)})/λ` : "2/λ";
  let fate = "converges";
  if (close(lr, limit)) fate = "bounces forever";
  else if (lr > limit) fate = "diverges";
  else if (!momentum && lr >= 1 / curvature) fate = lr > 1 / curvature ? "converges, zigzag" : "converges in one step";
  return `${formula} = ${general(limit, 3)}: LR ${general(lr)} ${fate}`;
}

const lossAt = (x, { curvature }) => (curvature / 2) * x ** 2;

export const pathOf = (v) => descend((x) => v.curvature * x, v.start, v.learning_rate, STEPS, v.momentum);

export function tellDescent(v) {
  const path = pathOf(v);
  const outside = path.findIndex((x) => Math.abs(x) > SIDE);
  const [end, loss] = [path[STEPS], lossAt(path[STEPS], v)];
  const last =
    outside >= 0
      ? `It leaves the picture at step ${outside}`
      : `After ${STEPS} steps it is at ${general(end, 2)}, where the loss is ${general(loss, 2)}`;
  return `${verdict(v)}. The ball starts at ${general(v.start)}. ${last}.`;
}

export const descentExplorer = {
  name: "descent",
  general,
  steps: () => STEPS,
  presets: [
    { name: "too low", values: { learning_rate: 0.05, curvature: 1, momentum: 0 }, why: "LR 0.05 with λ = 1: each step leaves 95 % of the way. Nothing goes wrong, but thirty steps are not enough." },
    { name: "just right", values: { learning_rate: 1, curvature: 1, momentum: 0 }, why: "LR 1/λ: the bottom in a single step. Only a bowl with one known curvature allows that; a network has many." },
    { name: "zigzag", values: { learning_rate: 1.9, curvature: 1, momentum: 0 }, why: "Just below 2/λ: each step overshoots to the other side, and loses a fifth of its height." },
    { name: "too high", values: { learning_rate: 2.1, curvature: 1, momentum: 0 }, why: "Above 2/λ every step ends higher than it began. This is how training diverges." },
    { name: "momentum", values: { learning_rate: 0.05, curvature: 1, momentum: 0.85 }, why: "The low LR again, with momentum 0.85: much faster down, at the price of swinging past the bottom." },
  ],
  draw({ width, values: v, step }) {
    const [path, at] = [pathOf(v), step ?? STEPS];
    const losses = path.map((x) => lossAt(x, v));
    const made = path.slice(0, at + 1);
    const [left, right] = panelWidths(width, [1, 1]);
    const top = lossAt(SIDE, v);
    const bowl = new Panel({
      width: left, x: [-SIDE, SIDE], y: [-0.08 * top, top],
      xLabel: "weight x", yLabel: "loss ½ λ x²", title: verdict(v),
    });
    const xs = Array.from({ length: 161 }, (_, i) => -SIDE + (i * SIDE) / 80);
    bowl.line(xs, xs.map((x) => lossAt(x, v)), { opacity: 0.5, width: 1.5 });
    bowl.line(made, losses, { colour: COLOURS.blue, width: 1 });
    bowl.marks(made, losses, { colour: COLOURS.blue, size: 3 }, "steps");
    bowl.marks([path[0]], [losses[0]], { shape: "square", size: 6, colour: COLOURS.orange }, "start");
    bowl.marks([path[at]], [losses[at]], { shape: "star", size: 11, colour: COLOURS.red }, at ? `after ${at} step${at === 1 ? "" : "s"}` : "now");

    const chart = new Panel({
      width: right, x: [-0.5, STEPS + 0.5], y: [LOW / 3, HIGH * 3], logY: true,
      xLabel: "step", yLabel: "loss (log scale)", title: "loss at each step",
    });
    const steps = made.map((_, i) => i);
    const shown = steps.map((i) => Math.min(HIGH, Math.max(LOW, Number.isNaN(losses[i]) ? HIGH : losses[i])));
    chart.line(steps, shown, { colour: COLOURS.blue, width: 1 });
    chart.marks(steps, shown, { colour: COLOURS.blue, size: 3 });
    const beyond = (test, shape, name) => {
      const these = steps.filter((i) => test(losses[i]));
      if (these.length) chart.marks(these, these.map((i) => shown[i]), { shape, size: 5, colour: COLOURS.red }, name);
    };
    beyond((loss) => !(loss <= HIGH), "up", "higher than this picture");
    beyond((loss) => loss < LOW, "down", "lower than this picture");

    const told =
      step === null || step === STEPS
        ? tellDescent(v)
        : `${verdict(v)}. Step ${at}: the ball is at ${general(path[at], 3)}, where the loss is ${general(losses[at], 3)}.`;
    return { html: bowl.html() + chart.html(), told };
  },
};
