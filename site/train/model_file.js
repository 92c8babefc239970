// The trained head as a file that lessonkit loads: the safetensors format, numbers and a description.
//
// lessonkit puts the head onto the body that it has itself; the file's fingerprint is the one that
// lessonkit/files/fingerprint.py works out. Nothing here touches a page.

const ascii = (text) => {
  const escaped = text.replace(/[^ -~]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`);
  return Uint8Array.from(escaped, (c) => c.charCodeAt(0)); // JSON in ASCII, as Python writes it
};

function joined(parts) {
  const all = new Uint8Array(parts.reduce((n, part) => n + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

// The file's bytes. `head` is that of head.js, `classes` the names of its classes, `size` in px.
export function modelFile(head, classes, size) {
  const augment = { name: "none", mirror: false, turns: false, degrees: 0, max_zoom: 1, shift: 0, lighting: 0, half_turns: false };
  const text = JSON.stringify({
    version: 2, body: "ImageNet", classes, size, augment, optimizer: "adamw", max_grad_norm: 1, batch_size: null,
    label_smoothing: 0, frozen_to: 2, model: { made_by: "pretrained", arch: "tf_efficientnet_lite0", n_classes: classes.length },
  });
  const tensors = [
    { name: "2.bias", shape: [head.classes], bytes: littleEndian(head.bias) },
    { name: "2.weight", shape: [head.classes, head.features], bytes: littleEndian(head.weight) },
  ];
  const parts = [ascii(JSON.stringify(text)), [0]];
  const header = {};
  let at = 0;
  for (const { name, shape, bytes } of tensors) {
    parts.push(ascii(JSON.stringify(name)), [0], ascii(`torch.float32 [${shape.join(", ")}] `), bytes, [0]);
    header[name] = { dtype: "F32", shape, data_offsets: [at, at + bytes.length] };
    at += bytes.length;
  }
  header.__metadata__ = { lessonkit: `${sha256(joined(parts)).slice(0, 32)} ${text}` };
  const described = ascii(JSON.stringify(header));
  const length = new DataView(new ArrayBuffer(8));
  length.setUint32(0, described.length, true);
  return joined([new Uint8Array(length.buffer), described, ...tensors.map(({ bytes }) => bytes)]);
}

function littleEndian(numbers) {
  const view = new DataView(new ArrayBuffer(4 * numbers.length));
  numbers.forEach((number, i) => view.setFloat32(4 * i, number, true));
  return new Uint8Array(view.buffer);
}

// SHA-256 (FIPS 180-4) in hexadecimal: browsers keep their own from pages that come over plain http.
export function sha256(bytes) {
  const fraction = (x) => Math.floor((x - Math.floor(x)) * 2 ** 32);
  const primes = [];
  for (let n = 2; primes.length < 64; n++) if (primes.every((p) => n % p)) primes.push(n);
  const [K, hash] = [primes.map((p) => fraction(Math.cbrt(p))), primes.slice(0, 8).map((p) => fraction(Math.sqrt(p)))];
  const message = new Uint8Array(64 * Math.ceil((bytes.length + 9) / 64));
  message.set(bytes);
  message[bytes.length] = 0x80;
  const view = new DataView(message.buffer);
  view.setUint32(message.length - 8, Math.floor(bytes.length / 2 ** 29));
  view.setUint32(message.length - 4, bytes.length * 8);
  const turned = (x, n) => (x >>> n) | (x << (32 - n));
  for (let block = 0; block < message.length; block += 64) {
    const w = Array.from({ length: 16 }, (_, i) => view.getUint32(block + 4 * i));
    for (let i = 16; i < 64; i++) {
      const [x, y] = [w[i - 15], w[i - 2]];
      const [s0, s1] = [turned(x, 7) ^ turned(x, 18) ^ (x >>> 3), turned(y, 17) ^ turned(y, 19) ^ (y >>> 10)];
      w[i] = (w[i - 16] + s0 + w[i - 7] + s1) | 0;
    }
    let [a, b, c, d, e, f, g, h] = hash;
    for (let i = 0; i < 64; i++) {
      const t1 = (h + (turned(e, 6) ^ turned(e, 11) ^ turned(e, 25)) + ((e & f) ^ (~e & g)) + K[i] + w[i]) | 0;
      const t2 = ((turned(a, 2) ^ turned(a, 13) ^ turned(a, 22)) + ((a & b) ^ (a & c) ^ (b & c))) | 0;
      [h, g, f, e, d, c, b, a] = [g, f, e, (d + t1) | 0, c, b, a, (t1 + t2) | 0];
    }
    [a, b, c, d, e, f, g, h].forEach((value, i) => (hash[i] = (hash[i] + value) >>> 0));
  }
  return hash.map((value) => value.toString(16).padStart(8, "0")).join("");
}
