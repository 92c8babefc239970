// The head of the network: one linear layer on the frozen body's activations, trained here.
//
// Python is the truth: tests/test_train_page.py runs this file beside lessonkit's Learner, its LR
// finder and its rules. Nothing here touches a page, so that any JavaScript engine can run it.

import { smooth } from "./formulas.js";

const [BETA1, BETA2, EPS, DECAY] = [0.9, 0.99, 1e-8, 0.01]; // lessonkit's `adamw`
const LONGEST = 1; // the gradient's norm is clipped at this
const BATCH = 32; // pictures in a mini-batch, at most
const EXPLODED = 20; // times the first loss, or that of guessing

// --- The layer ---

// All zero, so that all classes are equally likely before training.
export const newHead = (classes, features) => ({ weight: zeros(classes * features), bias: zeros(classes), classes, features });
const zeros = (n) => new Float64Array(n);
export const copyHead = (head) => ({ ...head, weight: head.weight.slice(), bias: head.bias.slice() });

// Probabilities of each class, for the activations of one picture.
export function probabilities({ weight, bias, classes, features }, x) {
  const logits = Array.from(bias);
  for (let c = 0; c < classes; c++) for (let i = 0; i < features; i++) logits[c] += weight[c * features + i] * x[i];
  const highest = Math.max(...logits);
  const powers = logits.map((logit) => Math.exp(logit - highest));
  const sum = powers.reduce((a, b) => a + b);
  return powers.map((power) => power / sum);
}

// Mean cross-entropy and accuracy; `xs` are activations, `labels` numbers of classes.
export function validate(head, xs, labels) {
  let [loss, right] = [0, 0];
  xs.forEach((x, i) => {
    const p = probabilities(head, x);
    loss -= Math.log(Math.max(p[labels[i]], 1e-300)) / xs.length;
    right += p.indexOf(Math.max(...p)) === labels[i];
  });
  return { loss, accuracy: right / xs.length };
}

// --- One step ---

// AdamW, with the gradient's norm clipped: (LR, activations, labels) -> the loss before the step.
export function optimizer(head) {
  const state = [head.weight, head.bias].map((values) => ({ values, gradient: zeros(values.length), mean: zeros(values.length), square: zeros(values.length) }));
  const [ofWeight, ofBias] = state;
  let t = 0;

  return function step(lr, xs, labels) {
    let [loss, norm] = [0, 0];
    for (const { gradient } of state) gradient.fill(0);
    xs.forEach((x, n) => {
      const p = probabilities(head, x);
      loss -= Math.log(Math.max(p[labels[n]], 1e-300)) / xs.length;
      for (let c = 0; c < head.classes; c++) {
        const slope = (p[c] - (c === labels[n] ? 1 : 0)) / xs.length;
        ofBias.gradient[c] += slope;
        for (let i = 0; i < head.features; i++) ofWeight.gradient[c * head.features + i] += slope * x[i];
      }
    });
    for (const { gradient } of state) for (const g of gradient) norm += g * g;
    const shorter = Math.min(1, LONGEST / (Math.sqrt(norm) + 1e-6));
    t += 1;
    for (const { values, gradient, mean, square } of state) {
      const decay = values === head.weight ? 1 - lr * DECAY : 1; // biases don't decay
      for (let i = 0; i < values.length; i++) {
        const g = gradient[i] * shorter;
        mean[i] = BETA1 * mean[i] + (1 - BETA1) * g;
        square[i] = BETA2 * square[i] + (1 - BETA2) * g * g;
        const spread = Math.sqrt(square[i] / (1 - BETA2 ** t)) + EPS;
        values[i] = values[i] * decay - (lr * mean[i]) / (1 - BETA1 ** t) / spread;
      }
    }
    return loss;
  };
}

// --- Mini-batches ---

// Random numbers from 0 to 1 that are the same for the same seed (mulberry32).
export function randomness(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

export function shuffled(list, random) {
  const mixed = [...list];
  for (let i = mixed.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [mixed[i], mixed[j]] = [mixed[j], mixed[i]];
  }
  return mixed;
}

export const batchesOf = (n) => Math.ceil(n / BATCH);

// One epoch's mini-batches, as rows: a new order, in parts of nearly equal size.
export function epochOf(n, random) {
  const [order, parts] = [shuffled(Array.from({ length: n }, (_, i) => i), random), batchesOf(n)];
  const ends = Array.from({ length: parts + 1 }, (_, k) => k * Math.floor(n / parts) + Math.min(k, n % parts));
  return ends.slice(1).map((end, k) => order.slice(ends[k], end));
}

// A fifth of each class's pictures, one at least, are kept aside and never trained on.
export function split(labels, random) {
  const aside = new Set();
  for (const label of new Set(labels)) {
    const rows = shuffled([...labels.keys()].filter((i) => labels[i] === label), random);
    rows.slice(0, Math.max(1, Math.round(0.2 * rows.length))).forEach((row) => aside.add(row));
  }
  const rows = [...labels.keys()];
  return { train: rows.filter((i) => !aside.has(i)), valid: rows.filter((i) => aside.has(i)) };
}

// --- The LR finder ---

const SETTLED = 10;

// Losses at LRs from 1e-5 to 10 over 100 mini-batches, until the loss explodes. The head is a copy.
export function findLr(head, xs, labels, batches, n = 100) {
  const step = optimizer(copyHead(head));
  const [lrs, losses] = [[], []];
  for (let i = 0; i < n; i++) {
    const rows = batches();
    lrs.push(1e-5 * 1e6 ** (i / (n - 1)));
    losses.push(step(lrs[i], rows.map((row) => xs[row]), rows.map((row) => labels[row])));
    if (!Number.isFinite(losses[i]) || exploded(losses)) break;
  }
  if (!Number.isFinite(losses[losses.length - 1])) losses[losses.length - 1] = Infinity;
  return { lrs, losses, ...rules(lrs, losses) };
}

function exploded(losses, stop = 4) {
  if (losses.length <= SETTLED) return false;
  const [smoothed, first] = [smooth(losses), losses.slice(0, SETTLED)];
  const [best, scatter] = [Math.min(...smoothed), Math.max(...first) - Math.min(...first)];
  const nearZero = Math.min(...losses) <= 0 || Math.min(...first) < scatter;
  const scale = nearZero ? Math.max(Math.abs(best), losses[0] - best, scatter) : best;
  return smoothed[smoothed.length - 1] > best + (stop - 1) * scale;
}

// What the lesson's rules read off the curve; NaN where it ended before the loss rose.
export function rules(lrs, losses) {
  const [n, smoothed] = [losses.length, smooth(losses)];
  const tenth = losses.slice(0, Math.max(1, Math.floor(n / 10)));
  const start = tenth.reduce((a, b) => a + b) / tenth.length;
  const settled = Math.min(Math.floor(n / 10), n - 1);
  const later = smoothed.slice(settled);
  const lowest = settled + later.indexOf(Math.min(...later));
  const neverFalls = smoothed[lowest] > start - 0.05 * Math.abs(start);
  const rises = neverFalls ? start + 0.1 * Math.abs(start) : smoothed[lowest] + 0.1 * (start - smoothed[lowest]);
  let risen = neverFalls ? smoothed.findLastIndex((loss) => loss <= rises) + 1 : lowest;
  while (!neverFalls && risen < n && !(smoothed[risen] > rises)) risen += 1;
  const suggestion = risen < n ? lrs[neverFalls ? risen : lowest] / 10 : NaN;
  const slopes = slopesOf(lrs, smoothed);
  const before = slopes.slice(0, lowest + 1);
  const third = Math.min(...before) / 3;
  const improving = neverFalls || third >= 0 ? suggestion : lrs[before.findLastIndex((slope) => slope <= third)];
  const steepest = lrs[slopes.indexOf(Math.min(...slopes))];
  return { smoothed, neverFalls, lowest: lrs[lowest], suggestion, improving, steepest };
}

// Change of the smoothed loss per decade of LR.
function slopesOf(lrs, smoothed) {
  const [x, last] = [lrs.map(Math.log10), lrs.length - 1];
  const slope = (low, high) => (smoothed[high] - smoothed[low]) / (x[high] - x[low]);
  return smoothed.map((_, i) => (last < 1 ? 0 : slope(Math.max(i - 1, 0), Math.min(i + 1, last))));
}

// --- A fit ---

/* Train `head` along `lrs`, one for each mini-batch; `epochs` hands out an epoch's mini-batches.
   Yields after each epoch what lessonkit's table has. Throws, and puts the head back as it was,
   when the loss explodes. */
export function* fit(head, lrs, epochs, train, valid) {
  const [before, step, losses] = [copyHead(head), optimizer(head), []];
  const guessing = Math.log(head.classes);
  for (let epoch = 1; losses.length < lrs.length; epoch++) {
    const first = losses.length;
    for (const rows of epochs()) {
      const lr = lrs[losses.length];
      losses.push(step(lr, rows.map((row) => train.xs[row]), rows.map((row) => train.labels[row])));
      if (!(losses[losses.length - 1] <= EXPLODED * Math.max(losses[0], guessing))) {
        head.weight.set(before.weight);
        head.bias.set(before.bias);
        throw new Error(`The loss exploded in epoch ${epoch}; the network is as it was before. Choose a lower learning rate, such as ${(Math.max(...lrs) / 10).toPrecision(1)}.`);
      }
    }
    const mean = losses.slice(first).reduce((a, b) => a + b) / (losses.length - first);
    yield { epoch, losses: losses.slice(first), trainLoss: mean, train: validate(head, train.xs, train.labels), valid: validate(head, valid.xs, valid.labels) };
  }
}
