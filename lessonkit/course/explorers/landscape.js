// A plane through a real loss, and the two lines that cross where you are. A click moves there, too.

import { general } from "./formulas.js";
import { COLOURS, Panel, panelWidths } from "./drawing.js";

// Some of matplotlib's cividis, made for colour-blind readers: dark is low, in grey as well.
const CIVIDIS = [[0, 34, 78], [33, 59, 110], [76, 85, 108], [108, 110, 114], [142, 137, 120], [178, 165, 112], [217, 194, 96], [254, 232, 56]];

function colour(share) {
  const at = Math.max(0, Math.min(1, share)) * (CIVIDIS.length - 1);
  const [i, rest] = [Math.min(Math.floor(at), CIVIDIS.length - 2), at - Math.min(Math.floor(at), CIVIDIS.length - 2)];
  return CIVIDIS[i].map((low, channel) => Math.round(low + rest * (CIVIDIS[i + 1][channel] - low)));
}

const nearest = (list, value) =>
  list.reduce((best, other, i) => (Math.abs(other - value) < Math.abs(list[best] - value) ? i : best), 0);

export function tellLandscape(v, data) {
  const [column, row] = [nearest(data.distances, v.a), nearest(data.distances, v.b)];
  const here = data.planes[v.network][row][column];
  return `${v.network}: at a = ${general(data.distances[column], 2)}, b = ${general(data.distances[row], 2)} the loss is ${general(here, 2)}.`;
}

function range(planes) {
  const all = Object.values(planes).flat(2);
  const low = Math.min(...all);
  return [low, Math.min(Math.max(...all), 100 * low)];
}

const pictures = new Map(); // painted once for each plane: moving the cross-hair changes none of them

function painted(key, plane, [low, high]) {
  if (!pictures.has(key)) {
    const n = plane.length;
    const canvas = document.createElement("canvas");
    Object.assign(canvas, { width: n, height: n });
    const context = canvas.getContext("2d");
    const image = context.createImageData(n, n);
    const span = Math.log(high) - Math.log(low) || 1;
    plane.forEach((row, i) => row.forEach((loss, j) => {
      image.data.set([...colour((Math.log(loss) - Math.log(low)) / span), 255], 4 * ((n - 1 - i) * n + j));
    }));
    context.putImageData(image, 0, 0);
    pictures.set(key, canvas.toDataURL());
  }
  return pictures.get(key);
}

function planePanel(width, data, network) {
  const { distances } = data;
  const half = (distances[1] - distances[0]) / 2;
  const ends = [distances[0] - half, distances[distances.length - 1] + half];
  const side = Math.min(width, 400);
  return new Panel({
    width: side, height: side - 10, x: ends, y: ends,
    xLabel: "a: along the first direction", yLabel: "b: along the second", title: `${network}: dark is low`,
  });
}

export const landscapeExplorer = {
  name: "landscape",
  general,
  draw({ width, values: v, data, id }) {
    const { distances } = data;
    const plane = data.planes[v.network];
    const [low, high] = range(data.planes);
    const [column, row] = [nearest(distances, v.a), nearest(distances, v.b)];
    const [a, b, here] = [distances[column], distances[row], plane[row][column]];
    const [left] = panelWidths(width, [0.9, 1]);
    const map = planePanel(left, data, v.network);
    map.picture(painted(id + v.network, plane, [low, high]), map.x, map.y);
    map.upright(a, { colour: "#fff", width: 1.4, dash: "5,4" });
    map.across(b, { colour: "#fff", width: 1.4 });
    map.marks([a], [b], { size: 6, colour: COLOURS.red, edge: "#fff" });
    const rest = left === Math.floor(width) ? left : Math.floor(width) - map.width - 12;
    const cuts = new Panel({
      width: rest, height: map.height, x: [distances[0], distances[distances.length - 1]], y: [0.8 * low, 1.3 * high], logY: true,
      xLabel: "distance from the trained network", yLabel: "loss (log scale)", title: "the two cuts",
      yTicks: [1, 2, 5].flatMap((k) => [-3, -2, -1, 0, 1, 2, 3].map((p) => k * 10 ** p))
        .filter((loss) => loss >= 0.8 * low && loss <= 1.3 * high).map((loss) => [loss, general(loss, 2)]),
    });
    cuts.line(distances, plane[row], { colour: COLOURS.blue }, "along a");
    cuts.line(distances, plane.map((line) => line[column]), { colour: COLOURS.orange, dash: "6,4" }, "along b");
    cuts.marks([a, b], [here, here], { colour: COLOURS.red, size: 5 }, "you are here");
    return { html: map.html() + cuts.html(), told: tellLandscape(v, data) };
  },
  click({ event, picture, values, data }) {
    const svg = picture.querySelector("svg");
    const box = svg.getBoundingClientRect();
    const map = planePanel(svg.clientWidth, data, values.network);
    const [a, b] = [map.valueAtX(event.clientX - box.left), map.valueAtY(event.clientY - box.top)];
    const inside = [a, b].every((value) => value >= map.x[0] && value <= map.x[1]);
    if (!inside) return null;
    return { a: data.distances[nearest(data.distances, a)], b: data.distances[nearest(data.distances, b)] };
  },
};
