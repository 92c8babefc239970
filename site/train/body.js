// What needs a browser: the large parts, loaded when asked for; pictures out of files; activations.

import { planes, reductionOf, square } from "./picture.js";

export const SIZE = 128; // px
const MOST_PIXELS = 100_000_000;
const SMALLEST = 8; // px, a side
const HERE = document.currentScript ? new URL(".", document.currentScript.src).href : "";

// What this browser lacks, in a sentence; "" if nothing.
export function lacking() {
  const needed = { WebAssembly: "WebAssembly", DecompressionStream: "DecompressionStream", createImageBitmap: "createImageBitmap" };
  const gone = Object.keys(needed).filter((name) => !(name in globalThis));
  return gone.length ? `This browser can't train here: it has no ${gone.join(", no ")}. Any browser made since 2023 has.` : "";
}

// --- Large parts ---

// A script beside this one that puts something into trainParts; loaded once.
const loading = {};
export function part(name) {
  loading[name] ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = `${HERE}${name}.js`;
    script.onload = () => resolve(globalThis.trainParts);
    script.onerror = () => {
      delete loading[name];
      script.remove();
      reject(new Error(`A part of this page, ${name}.js, couldn't be loaded: look at the connection and press again.`));
    };
    document.head.append(script);
  });
  return loading[name];
}

const bytesOf = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));

async function unpacked(text) {
  const stream = new Blob([bytesOf(text)]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

// The frozen body, ready: pictures, RGB bytes [128 × 128 × 3], to activations, Float32Array [1280].
let body = null;
export function loadBody() {
  body ??= start().catch((error) => {
    body = null;
    throw error;
  });
  return body;
}

async function start() {
  const parts = await part("runtime").then(() => part("network"));
  const { env, InferenceSession, Tensor } = globalThis.ort;
  env.wasm.numThreads = 1; // more would need headers from a server
  env.wasm.wasmBinary = await unpacked(parts.wasm);
  const glue = new TextDecoder().decode(await unpacked(parts.glue));
  env.wasm.wasmPaths = { mjs: `data:text/javascript;base64,${btoa(glue)}` };
  const session = await InferenceSession.create(await unpacked(parts.network), { executionProviders: ["wasm"] });
  const [output] = session.outputNames;
  return async (rgb) => {
    const images = new Tensor("uint8", planes(rgb), [1, 3, SIZE, SIZE]);
    return Float32Array.from((await session.run({ images }))[output].data);
  };
}

// --- Pictures ---

// The small square, RGB bytes, that the network sees of a picture file. Throws, with a sentence.
export async function squareOf(file) {
  const name = file.name || "The picture";
  if (!file.size) throw new Error(`${name} is empty (0 bytes).`);
  const start = new Uint8Array(await file.slice(0, 16).arrayBuffer().catch(() => {
    throw new Error(`${name} can't be read: a folder, or gone since. Of a folder, choose or drop the pictures in it.`);
  }));
  const { width, height } = await sides(file).catch(() => {
    throw new Error(`${name} ${whatItIs(start)}`);
  });
  if (width * height > MOST_PIXELS) throw new Error(`${name} has ${width} × ${height} pixels, more than 100 million: save it smaller.`);
  if (Math.min(width, height) < SMALLEST) throw new Error(`${name} is only ${width} × ${height} pixels.`);
  let bitmap = null;
  try {
    bitmap = await createImageBitmap(file, { colorSpaceConversion: "none" });
    const canvas = Object.assign(document.createElement("canvas"), { width: bitmap.width });
    const read = (top, rows) => {
      canvas.height = rows; // which also clears it
      const context = canvas.getContext("2d", { willReadFrequently: true });
      context.fillStyle = "white"; // behind what is transparent
      context.fillRect(0, 0, canvas.width, rows);
      context.drawImage(bitmap, 0, -top);
      return context.getImageData(0, 0, canvas.width, rows).data;
    };
    const reduce = reductionOf(bitmap.width, bitmap.height, SIZE, start[0] === 0xff && start[1] === 0xd8);
    return square(bitmap.width, bitmap.height, SIZE, read, reduce);
  } catch {
    const isDrawing = file.type.includes("svg");
    throw new Error(isDrawing ? `${name} is a drawing (SVG), which has no pixels: save it as PNG.`
      : `${name} is damaged, or too large for this browser: save it smaller, as JPEG or PNG.`);
  } finally {
    bitmap?.close();
  }
}

// Width and height from the file's beginning: a huge picture isn't decoded to be refused.
async function sides(file) {
  const image = new Image();
  image.src = URL.createObjectURL(file);
  try {
    await new Promise((resolve, reject) => Object.assign(image, { onload: resolve, onerror: reject }));
    return { width: image.naturalWidth, height: image.naturalHeight };
  } finally {
    URL.revokeObjectURL(image.src);
  }
}

function whatItIs(start) {
  const text = String.fromCharCode(...start);
  const heic = text.slice(4, 8) === "ftyp" && /^(hei|hev|mif1|msf1)/.test(text.slice(8, 12));
  if (heic) return "is a HEIC photo, which this browser can't read: save it as JPEG, or open this page in Safari.";
  return "isn't a picture that this browser can read: use JPEG, PNG or WebP.";
}
