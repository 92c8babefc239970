// What the explorers work out. Python is the truth: tests/test_javascript.py runs this file beside
// lessonkit's functions of the same names, on a thousand random inputs each.
// Nothing here touches a page, so that any JavaScript engine can run it.

// --- lessonkit/schedule.py: the LR of every mini-batch -------------------------------------------

const steps = (n, lrAt) => Array.from({ length: n }, (_, i) => lrAt(i));
const halfCosine = (start, end, share) => end + ((start - end) / 2) * (1 + Math.cos(Math.PI * share));

export const constant = (lr, n) => steps(n, () => lr);

export const stepDecay = (lr, n, drop, every) => steps(n, (i) => lr * drop ** Math.floor(i / every));

export const linear = (lr, n, lrMin) => steps(n, (i) => lrMin + (lr - lrMin) * (1 - i / n));

export const cosine = (lr, n, lrMin) => steps(n, (i) => halfCosine(lr, lrMin, i / n));

export const cycleEpochs = (nCycle, cycleLen, cycleMult) =>
  Array.from({ length: nCycle }, (_, k) => cycleLen * cycleMult ** k);

export const sgdr = (lr, nCycle, cycleLen, cycleMult, stepsPerEpoch, lrMin) =>
  cycleEpochs(nCycle, cycleLen, cycleMult).flatMap((n) => cosine(lr, n * stepsPerEpoch, lrMin));

export const triangular = (lr, n, cycle, lrMin) =>
  steps(n, (i) => lrMin + (lr - lrMin) * (1 - Math.abs((2 * (i % cycle)) / cycle - 1)));

export function oneCycle(lr, n, warmUp, startDiv, finalDiv) {
  const peak = warmUp * n - 1;
  const [start, end] = [lr / startDiv, lr / startDiv / finalDiv];
  const up = (i) => (peak > 0 ? halfCosine(start, lr, i / peak) : lr);
  return steps(n, (i) => (i <= peak ? up(i) : halfCosine(lr, end, (i - peak) / (n - 1 - peak))));
}

// --- gradient_descent.py: a ball in a bowl -------------------------------------------------------

// Where gradient descent goes from `start`; a place that is too large for a number is infinite.
export function descend(gradient, start, lr, n, momentum) {
  const places = [start];
  let velocity = 0;
  while (places.length <= n) {
    const last = places[places.length - 1];
    if (!Number.isFinite(last)) {
      places.push(last);
    } else {
      velocity = momentum * velocity + gradient(last);
      places.push(last - lr * velocity);
    }
  }
  return places;
}

// --- loss_surface.py: two pits in a flat bowl ----------------------------------------------------

export const PITS = [
  { name: "narrow", place: -1.5, width: 0.15, depth: 1.0134, bottom: -1.495 },
  { name: "wide", place: 1.5, width: 0.8, depth: 1.0, bottom: 1.367 },
];
const BOWL = 0.15;
const below = (pit, x) => pit.depth * Math.exp(-(((x - pit.place) / pit.width) ** 2) / 2);

export const twoPits = (x) => PITS.reduce((loss, pit) => loss - below(pit, x), 1 + (BOWL * x * x) / 2);

export const twoPitsSlope = (x) =>
  PITS.reduce((slope, pit) => slope + (below(pit, x) * (x - pit.place)) / pit.width ** 2, BOWL * x);

export function roll(start, lrs) {
  const places = [start];
  for (const lr of lrs) {
    const last = places[places.length - 1];
    places.push(last - lr * twoPitsSlope(last));
  }
  return places;
}

// --- lessonkit/augment.py: one matrix a picture --------------------------------------------------

// From output to input coordinates, which run from -1 to 1: two rows of three numbers.
export function affine({ mirror = false, quarterTurns = 0, degrees = 0, zoom = 1, right = 0, down = 0 }) {
  const angle = (degrees * Math.PI) / 180 + (quarterTurns * Math.PI) / 2;
  const side = mirror ? -1 : 1;
  const [cos, sin] = [Math.cos(angle) / zoom, Math.sin(angle) / zoom];
  // From output back to input, the shift comes off first: it is turned and mirrored with the rest.
  const [x, y] = [2 * right, 2 * down];
  return [
    [side * cos, -side * sin, side * (y * sin - x * cos)],
    [sin, cos, -x * sin - y * cos],
  ];
}

// A place on an axis of n pixels, mirrored at its ends until it lies within them.
function reflected(at, n) {
  const turn = 2 * n;
  const wrapped = (((at + 0.5) % turn) + turn) % turn;
  return Math.min(n - 1, Math.max(0, (wrapped > n ? turn - wrapped : wrapped) - 0.5));
}

// Look up a square picture of RGBA bytes through a matrix; outside of it lies its mirror image.
export function move(pixels, n, matrix) {
  const moved = new Float64Array(pixels.length);
  const [[a, b, c], [d, e, f]] = matrix;
  const coordinate = (i) => (2 * i + 1) / n - 1;
  for (let row = 0; row < n; row++) {
    for (let column = 0; column < n; column++) {
      const [u, v] = [coordinate(column), coordinate(row)];
      const x = reflected(((a * u + b * v + c + 1) * n - 1) / 2, n);
      const y = reflected(((d * u + e * v + f + 1) * n - 1) / 2, n);
      const [left, top] = [Math.floor(x), Math.floor(y)];
      const [right, bottom] = [Math.min(left + 1, n - 1), Math.min(top + 1, n - 1)];
      const [alongRow, downwards] = [x - left, y - top];
      for (let channel = 0; channel < 4; channel++) {
        const above = 4 * top * n + channel;
        const under = 4 * bottom * n + channel;
        moved[4 * (row * n + column) + channel] =
          (1 - downwards) * ((1 - alongRow) * pixels[above + 4 * left] + alongRow * pixels[above + 4 * right]) +
          downwards * ((1 - alongRow) * pixels[under + 4 * left] + alongRow * pixels[under + 4 * right]);
      }
    }
  }
  return moved;
}

// --- lessonkit/lr_finder.py ----------------------------------------------------------------------

export function smooth(losses, weight = 0.9) {
  let mean = 0;
  return losses.map((loss, i) => {
    mean = weight * mean + (1 - weight) * loss;
    return mean / (1 - weight ** (i + 1));
  });
}

// --- Numbers as Python writes them ---------------------------------------------------------------

// Mantissa and exponent, rounded as Python does it: a half that is exactly one goes to the even digit.
function scientific(value, decimals) {
  const [exact, exponent] = value.toExponential(100).split("e");
  const digits = exact.replace(/[-.]/g, "");
  if (!/^50*$/.test(digits.slice(decimals + 1)) || digits[decimals] % 2) return value.toExponential(decimals).split("e");
  return [(value < 0 ? "-" : "") + digits[0] + (decimals ? `.${digits.slice(1, decimals + 1)}` : ""), exponent];
}

// Python's f"{value:.{digits}g}".
export function general(value, digits = 6) {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "nan" : value < 0 ? "-inf" : "inf";
  if (value === 0) return Object.is(value, -0) ? "-0" : "0";
  const rounded = scientific(value, digits - 1);
  const exponent = Number(rounded[1]);
  if (exponent >= -4 && exponent < digits) {
    const fixed = Number(rounded.join("e")).toFixed(digits - 1 - exponent);
    return fixed.includes(".") ? fixed.replace(/\.?0+$/, "") : fixed;
  }
  return exponential(value, digits - 1, true);
}

// Python's f"{value:.{decimals}e}".
export function exponential(value, decimals = 1, short = false) {
  if (!Number.isFinite(value)) return general(value);
  const [mantissa, exponent] = scientific(value, decimals);
  const kept = short && mantissa.includes(".") ? mantissa.replace(/\.?0+$/, "") : mantissa;
  return `${kept}e${exponent[0]}${exponent.slice(1).padStart(2, "0")}`;
}
