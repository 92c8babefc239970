// Plots as SVG: a panel has two axes, linear or logarithmic, and turns what is put into it to text.

import { general } from "./formulas.js";

const MARGIN = { left: 56, right: 14, top: 28, bottom: 42 };

const escaped = (text) =>
  String(text).replace(/[&<>"]/g, (c) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[c]);

// Round places between two ends, about `count` of them, and never one alone: that is no scale.
export function ticksBetween(low, high, count = 5) {
  const raw = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].find((factor) => factor * power >= raw * 0.999) * power;
  const first = Math.ceil(low / step - 1e-9);
  const places = [];
  for (let k = first; k * step <= high + 1e-9 * step; k++) places.push(Number((k * step).toPrecision(12)));
  return places.length < 2 && count < 10 ? ticksBetween(low, high, 2 * count) : places;
}

// Powers of ten between two ends; where there is one at most, 2 and 5 times them, too, or still more.
function decades(low, high) {
  const [first, last] = [Math.ceil(Math.log10(low) - 1e-9), Math.floor(Math.log10(high) + 1e-9)];
  const every = Math.max(1, Math.ceil((last - first) / 5));
  const powers = [];
  for (let k = first; k <= last; k += every) powers.push(10 ** k);
  if (powers.length > 1) return powers;
  const finer = (factors) =>
    [first - 1, first].flatMap((k) => factors.map((n) => Number(`${n}e${k}`))).filter((value) => low <= value && value <= high);
  const few = finer([1, 2, 5]);
  return few.length > 1 ? few : finer([1, 2, 3, 5, 7]);
}

function label(value, log) {
  const power = Math.log10(value);
  if (log && Math.abs(power - Math.round(power)) < 1e-9) return `10<tspan dy="-5" font-size="9">${Math.round(power)}</tspan>`;
  return general(value, 4).replace("-", "−");
}

const SHAPES = {
  circle: (r) => `M${-r},0a${r},${r} 0 1,0 ${2 * r},0a${r},${r} 0 1,0 ${-2 * r},0`,
  square: (r) => `M${-r},${-r}h${2 * r}v${2 * r}h${-2 * r}z`,
  diamond: (r) => `M0,${-1.25 * r}L${1.25 * r},0L0,${1.25 * r}L${-1.25 * r},0z`,
  up: (r) => `M0,${-r}L${r},${r}L${-r},${r}z`,
  down: (r) => `M0,${r}L${r},${-r}L${-r},${-r}z`,
  left: (r) => `M${-r},0L${r},${-r}V${r}z`,
  right: (r) => `M${r},0L${-r},${-r}V${r}z`,
  plus: (r) => `M${-r},-2h${r - 2}v${2 - r}h4v${r - 2}h${r - 2}v4h${2 - r}v${r - 2}h-4v${2 - r}h${2 - r}z`,
  cross: (r) => `M${-r},${-0.6 * r}L${-0.6 * r},${-r}L0,${-0.4 * r}L${0.6 * r},${-r}L${r},${-0.6 * r}L${0.4 * r},0L${r},${0.6 * r}L${0.6 * r},${r}L0,${0.4 * r}L${-0.6 * r},${r}L${-r},${0.6 * r}L${-0.4 * r},0z`,
  star: (r) =>
    `M${Array.from({ length: 10 }, (_, i) => {
      const [far, angle] = [i % 2 ? 0.45 * r : r, (i * Math.PI) / 5];
      return `${far * Math.sin(angle)},${-far * Math.cos(angle)}`;
    }).join("L")}z`,
};

const style = ({ colour = "currentColor", width = 2, dash = "", opacity = 1 }) =>
  `style="fill:none;stroke:${colour};stroke-width:${width};stroke-dasharray:${dash || "none"};opacity:${opacity}"`;

const markStyle = ({ colour = "currentColor", hollow = false, edge = "var(--edge)", size = 4 }) => {
  const thick = hollow ? 2 : size < 3 ? 0 : 1; // around a small mark an edge would be most of it
  return `style="fill:${hollow ? "var(--paper)" : colour};stroke:${hollow ? colour : edge};stroke-width:${thick}"`;
};

// A swatch of a line or mark, for legends: no mark is larger than its line of text.
function swatch(look) {
  const line = look.line ? `<path d="M1,8H27" ${style(look)}/>` : "";
  const mark = look.shape ? `<path d="${SHAPES[look.shape](Math.min(look.size ?? 5, 7))}" transform="translate(14,8)" ${markStyle(look)}/>` : "";
  return `<svg width="28" height="16" aria-hidden="true">${line}${mark}</svg>`;
}

/* A plot. `x` and `y` are [low, high]; with `logX` and `logY` the axes are logarithmic; `xTicks` and
   `yTicks` are lists of [place, label] where the usual ones won't do. Sizes are pixels; `margin` has
   the sides that differ from MARGIN. */
export class Panel {
  constructor(options) {
    Object.assign(this, { xLabel: "", yLabel: "", title: "", height: 300 }, options, { margin: { ...MARGIN, ...options.margin } });
    this.inner = {
      width: this.width - this.margin.left - this.margin.right,
      height: this.height - this.margin.top - this.margin.bottom,
    };
    this.parts = [];
    this.outside = [];
    this.legend = [];
  }

  atX(value) {
    const [low, high] = this.logX ? this.x.map(Math.log) : this.x;
    return (((this.logX ? Math.log(value) : value) - low) / (high - low)) * this.inner.width;
  }

  atY(value) {
    const [low, high] = this.logY ? this.y.map(Math.log) : this.y;
    return (1 - ((this.logY ? Math.log(value) : value) - low) / (high - low)) * this.inner.height;
  }

  valueAtX(pixel) {
    const [low, high] = this.logX ? this.x.map(Math.log) : this.x;
    const value = low + ((pixel - this.margin.left) / this.inner.width) * (high - low);
    return this.logX ? Math.exp(value) : value;
  }

  valueAtY(pixel) {
    const [low, high] = this.logY ? this.y.map(Math.log) : this.y;
    const value = low + (1 - (pixel - this.margin.top) / this.inner.height) * (high - low);
    return this.logY ? Math.exp(value) : value;
  }

  named(name, look) {
    if (name) this.legend.push(`<span>${swatch(look)}${escaped(name)}</span>`);
  }

  // Coordinates further out than this are drawn inexactly, so they are cut; they are out of sight.
  static near = (pixel) => Math.max(-1e5, Math.min(1e5, pixel)).toFixed(1);

  line(xs, ys, look = {}, name = "") {
    const points = [];
    xs.forEach((x, i) => {
      if (Number.isFinite(ys[i])) points.push(`${Panel.near(this.atX(x))},${Panel.near(this.atY(ys[i]))}`);
    });
    if (points.length === 1) this.dots(xs, ys, { colour: look.colour, size: 2.9 }); // a line of one point is nothing
    else this.parts.push(`<polyline points="${points.join(" ")}" ${style(look)}/>`);
    this.named(name, { ...look, line: true });
  }

  // Many round dots as one path, of strokes without length and with round ends: quicker than as many.
  dots(xs, ys, { colour = "currentColor", size = 4 }) {
    const points = xs.map((x, i) => (Number.isFinite(ys[i]) ? `M${Panel.near(this.atX(x))},${Panel.near(this.atY(ys[i]))}h0` : ""));
    const round = (stroke, width) =>
      `<path d="${points.join("")}" style="fill:none;stroke:${stroke};stroke-width:${width};stroke-linecap:round"/>`;
    this.parts.push((size < 3 ? "" : round("var(--edge)", 2 * size + 1.5)) + round(colour, 2 * size - 0.5));
  }

  marks(xs, ys, look = {}, name = "") {
    const [shape, looks] = [SHAPES[look.shape ?? "circle"](look.size ?? 4), markStyle(look)];
    const many = xs.length > 1 && !look.shape && !look.hollow;
    if (many) this.dots(xs, ys, look);
    else xs.forEach((x, i) => {
      if (!Number.isFinite(ys[i])) return;
      const place = `${Panel.near(this.atX(x))},${Panel.near(this.atY(ys[i]))}`;
      this.parts.push(`<path d="${shape}" transform="translate(${place})" ${looks}/>`);
    });
    this.named(name, { shape: "circle", ...look });
  }

  across(y, look = {}, name = "") {
    this.parts.push(`<path d="M0,${this.atY(y).toFixed(1)}H${this.inner.width}" ${style(look)}/>`);
    this.named(name, { ...look, line: true });
  }

  upright(x, look = {}, name = "") {
    this.parts.push(`<path d="M${this.atX(x).toFixed(1)},0V${this.inner.height}" ${style(look)}/>`);
    this.named(name, { ...look, line: true });
  }

  band(x, y, colour, opacity = 0.15) {
    const [left, right, top, bottom] = [this.atX(x[0]), this.atX(x[1]), this.atY(y[1]), this.atY(y[0])];
    this.parts.push(
      `<rect x="${left}" y="${top}" width="${right - left}" height="${bottom - top}" style="fill:${colour};opacity:${opacity}"/>`,
    );
  }

  picture(address, x, y) {
    const [left, right, top, bottom] = [this.atX(x[0]), this.atX(x[1]), this.atY(y[1]), this.atY(y[0])];
    this.parts.push(
      `<image href="${address}" x="${left}" y="${top}" width="${right - left}" height="${bottom - top}" preserveAspectRatio="none" style="image-rendering:pixelated"/>`,
    );
  }

  text(x, y, words, { anchor = "start", dx = 0, dy = 0, size = 12, outside = false, weight = 400 } = {}) {
    const [left, top] = outside ? [this.margin.left, this.margin.top] : [0, 0];
    (outside ? this.outside : this.parts).push(
      `<text x="${this.atX(x) + left + dx}" y="${this.atY(y) + top + dy}" text-anchor="${anchor}" font-size="${size}" font-weight="${weight}">${escaped(words)}</text>`,
    );
  }

  axis() {
    const { left, top } = this.margin;
    const [right, bottom] = [left + this.inner.width, top + this.inner.height];
    const parts = [];
    const few = Math.max(2, Math.round(this.inner.width / 75));
    const usual = (ends, log, count) =>
      (log ? decades(...ends) : ticksBetween(...ends, count)).map((value) => [value, label(value, log)]);
    for (const [value, words] of this.xTicks ?? usual(this.x, this.logX, few)) {
      const x = (left + this.atX(value)).toFixed(1);
      parts.push(`<path class="grid" d="M${x},${top}V${bottom}"/>`);
      parts.push(`<text x="${x}" y="${bottom + 16}" text-anchor="middle">${words}</text>`);
    }
    for (const [value, words] of this.yTicks ?? usual(this.y, this.logY, 5)) {
      const y = (top + this.atY(value)).toFixed(1);
      parts.push(`<path class="grid" d="M${left},${y}H${right}"/>`);
      parts.push(`<text x="${left - 7}" y="${Number(y) + 4}" text-anchor="end">${words}</text>`);
    }
    parts.push(`<path class="frame" d="M${left},${top}V${bottom}H${right}"/>`);
    parts.push(`<text class="label" x="${(left + right) / 2}" y="${this.height - 8}" text-anchor="middle">${escaped(this.xLabel)}</text>`);
    parts.push(`<text class="label" transform="translate(13,${(top + bottom) / 2}) rotate(-90)" text-anchor="middle">${escaped(this.yLabel)}</text>`);
    parts.push(`<text class="title" x="${(left + right) / 2}" y="17" text-anchor="middle">${escaped(this.title)}</text>`);
    return parts.join("");
  }

  // The whole plot as HTML, with its legend below. The sentence beside it says what is to be seen.
  html() {
    const { left, top } = this.margin;
    const legend = this.legend.length ? `<div class="legend" aria-hidden="true">${this.legend.join("")}</div>` : "";
    return (
      `<div class="panel" style="width:${this.width}px"><svg width="${this.width}" height="${this.height}" aria-hidden="true">${this.axis()}` +
      `<svg x="${left}" y="${top}" width="${this.inner.width}" height="${this.inner.height}">${this.parts.join("")}</svg>` +
      `${this.outside.join("")}</svg>${legend}</div>`
    );
  }
}

// Places panels side by side where there is room for them, else below one another.
export function panelWidths(available, shares, narrowest = 270) {
  const total = shares.reduce((sum, share) => sum + share, 0);
  const gap = 12 * (shares.length - 1);
  const side = shares.map((share) => Math.floor(((available - gap) * share) / total));
  return Math.min(...side) >= narrowest ? side : shares.map(() => Math.floor(available));
}

// Okabe and Ito's colours, in tones that can be seen on white as well as on black paper.
export const COLOURS = {
  orange: "#c77700",
  sky: "#3d9bd0",
  green: "#009e73",
  blue: "#2f7fc8",
  red: "#d5522e",
  pink: "#bf6a99",
  grey: "#8a8a8a",
};
