// One picture under each transform, and what a preset and a network make of it.

import { affine, general, move } from "./formulas.js";

const NAMES = ["the picture", "mirror", "quarter turn", "half turn", "rotate", "zoom", "shift", "light"];
const TINY = 1e-9;

// The eight changes as what `affine` takes, and the light that the last one adds.
export const changes = ({ degrees, zoom, shift }) => [
  {}, { mirror: true }, { quarterTurns: 1 }, { quarterTurns: 2 }, { degrees }, { zoom }, { right: shift, down: shift }, {},
];

// RGBA bytes [n, n, 4] changed in one of the eight ways: bytes again, rounded as Python does.
export function changed(pixels, n, which, v) {
  const moved = move(pixels, n, affine(changes(v)[which]));
  const bytes = new Uint8ClampedArray(moved); // rounds halves to even, and keeps 0 to 255
  if (which === 7) for (let i = 0; i < moved.length; i++) bytes[i] = i % 4 === 3 ? moved[i] : moved[i] + 255 * v.light;
  return bytes;
}

export function allowed(preset, { degrees, zoom, shift, light }) {
  return [
    true, preset.mirror, preset.turns, preset.turns,
    Math.abs(degrees) <= preset.degrees + TINY || (preset.turns && degrees % 90 === 0), zoom <= preset.max_zoom + TINY,
    Math.abs(shift) <= preset.shift + TINY, Math.abs(light) <= preset.lighting + TINY,
  ];
}

const percent = (value, digits = 0) => `${(100 * value).toFixed(digits)}%`;
const strengths = (v) => ["", "", "", "", ` ${general(v.degrees)}°`, ` × ${general(v.zoom, 3)}`, ` ${percent(v.shift)}`, ` ${v.light >= 0 ? "+" : ""}${percent(v.light)}`];

export function tellAugmentations(v, data) {
  const may = allowed(data.presets[v.preset], v);
  const listed = NAMES.filter((_, i) => i && may[i]).join(", ") || "none of them";
  const { truth } = data.pictures[v.picture];
  const said = `Picture ${v.picture}, ${truth}, and seven changes of it. ${v.preset} allows ${listed}.`;
  const guesses = current(v, data);
  return guesses ? `${said} The network says ${truth} to ${guesses.filter(([name]) => name === truth).length} of the 8.` : said;
}

// What the network takes the eight for, if it has been asked about these very ones.
const current = (v, data) => {
  const asked = data.asked;
  const match = asked && ["picture", "degrees", "zoom", "shift", "light"].every((name) => asked.values[name] === v[name]);
  return match ? asked.guesses : null;
};

const pixels = new Map(); // address -> {n, bytes}, or while it is being read those who wait for it

// The pixels, or null for now; then `again` is called when they are there.
function read(address, again) {
  const known = pixels.get(address);
  if (known?.bytes) return known;
  if (known) known.add(again);
  else {
    const waiting = new Set([again]);
    pixels.set(address, waiting);
    const image = new Image();
    image.onload = () => {
      const canvas = document.createElement("canvas");
      Object.assign(canvas, { width: image.width, height: image.height });
      const context = canvas.getContext("2d", { willReadFrequently: true });
      context.drawImage(image, 0, 0);
      pixels.set(address, { n: image.width, bytes: context.getImageData(0, 0, image.width, image.height).data });
      waiting.forEach((act) => act());
    };
    image.src = address;
  }
  return null;
}

// Eight canvases with words above and below; each is painted again only when it changes.
function tiles(place) {
  if (!place.querySelector(".tiles")) {
    const tile = `<figure><figcaption class="above"></figcaption><canvas></canvas><figcaption class="below"></figcaption></figure>`;
    place.innerHTML = `<div class="tiles">${tile.repeat(8)}</div>`;
  }
  return [...place.querySelectorAll("figure")];
}

export const augmentationsExplorer = {
  name: "augmentations",
  role: "group", // its parts are read one by one
  general,
  // A page has the pictures that it was given, and no others.
  limits(v, data, still) {
    const numbers = Object.keys(data.pictures).map(Number);
    return still ? { picture: [Math.min(...numbers), Math.max(...numbers)] } : {};
  },
  draw(scene) {
    const { values: v, data, picture: place, static: still, again } = scene;
    const shown = data.pictures[v.picture];
    if (!shown) return { told: `Fetching picture ${v.picture} …` };
    const source = read(shown.address, again);
    const [may, guesses] = [allowed(data.presets[v.preset], v), current(v, data)];
    tiles(place).forEach((tile, i) => {
      const [above, canvas, below] = tile.children;
      above.textContent = NAMES[i] + strengths(v)[i];
      const guess = guesses ? `\n${guesses[i][0] === shown.truth ? "✓" : "✗"} ${guesses[i][0]}, ${percent(guesses[i][1])}` : data.asked && !still ? "\n…" : "";
      below.textContent = (i ? `${v.preset}: ${may[i] ? "yes" : "no"}` : `the truth: ${shown.truth}`) + guess;
      tile.className = may[i] ? "yes" : "no";
      const key = JSON.stringify([v.picture, changes(v)[i], i === 7 ? v.light : 0]);
      if (!source || canvas.dataset.key === key) return;
      canvas.dataset.key = key;
      Object.assign(canvas, { width: source.n, height: source.n });
      canvas.getContext("2d").putImageData(new ImageData(changed(source.bytes, source.n, i, v), source.n, source.n), 0, 0);
    });
    const missing = still && data.asked && !guesses ? " Asking the network needs the notebook running." : "";
    return { told: tellAugmentations(v, data) + missing };
  },
};
