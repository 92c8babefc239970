// From a picture's pixels to the small square that the network sees: the same that lessonkit makes.
//
// Pillow's bicubic filter, which looks at more pixels the more it shrinks, over the middle square;
// tests/test_train_page.py compares both. Nothing here touches a page.

// Which pixels make up each of `size` new ones between `from` and `to`, and how much each counts.
function weights(n, from, to, size) {
  const scale = (to - from) / size;
  const wide = Math.max(1, scale);
  return Array.from({ length: size }, (_, i) => {
    const centre = from + (i + 0.5) * scale;
    const first = Math.max(0, Math.trunc(centre - 2 * wide + 0.5));
    const last = Math.min(n, Math.trunc(centre + 2 * wide + 0.5));
    const shares = Array.from({ length: last - first }, (_, k) => bicubic((first + k - centre + 0.5) / wide));
    const sum = shares.reduce((a, b) => a + b);
    return { first, shares: shares.map((share) => share / sum) };
  });
}

function bicubic(x) {
  const [t, a] = [Math.abs(x), -0.5];
  if (t < 1) return ((a + 2) * t - (a + 3)) * t * t + 1;
  return t < 2 ? (((t - 5) * t + 8) * t - 4) * a : 0;
}

const byte = (value) => Math.max(0, Math.min(255, Math.floor(value + 0.5)));

// Pillow reads a large JPEG at a half, a quarter or an eighth of its size, which is nearly the mean.
export function reductionOf(width, height, size, jpeg) {
  const times = Math.floor(Math.min(width, height) / size);
  return jpeg ? [8, 4, 2, 1].find((factor) => factor <= Math.max(1, times)) : 1;
}

/* The middle square of a picture, RGB bytes [size × size × 3]. `read(top, rows)` gives RGBA bytes of
   whole rows: a photo of 100 megapixels is never in memory as a whole. */
export function square(width, height, size, read, reduce = 1) {
  const [w, h] = [Math.ceil(width / reduce), Math.ceil(height / reduce)];
  const side = Math.min(w, h);
  const across = weights(w, (w - side) / 2, (w + side) / 2, size);
  const down = weights(h, (h - side) / 2, (h + side) / 2, size);
  const [first, last] = [down[0].first, down[size - 1].first + down[size - 1].shares.length];
  const narrow = new Uint8Array((last - first) * size * 3);
  const band = Math.max(1, Math.floor(256 / reduce));
  for (let top = first; top < last; top += band) {
    const rows = Math.min(band, last - top);
    const pixels = mean(read(top * reduce, Math.min(rows * reduce, height - top * reduce)), width, reduce);
    for (let y = 0; y < rows; y++) {
      across.forEach(({ first: left, shares }, x) => {
        for (let channel = 0; channel < 3; channel++) {
          let sum = 0;
          for (let k = 0; k < shares.length; k++) sum += shares[k] * pixels[4 * (y * w + left + k) + channel];
          narrow[3 * ((top - first + y) * size + x) + channel] = byte(sum);
        }
      });
    }
  }
  const made = new Uint8Array(size * size * 3);
  down.forEach(({ first: start, shares }, y) => {
    for (let at = 0; at < 3 * size; at++) {
      let sum = 0;
      for (let k = 0; k < shares.length; k++) sum += shares[k] * narrow[(start - first + k) * 3 * size + at];
      made[y * 3 * size + at] = byte(sum);
    }
  });
  return made;
}

// Blocks of `n` × `n` pixels become one each, their mean; at the edges blocks may be smaller.
function mean(pixels, width, n) {
  if (n === 1) return pixels;
  const [rows, w] = [pixels.length / 4 / width, Math.ceil(width / n)];
  const small = new Uint8Array(4 * w * Math.ceil(rows / n));
  for (let top = 0, at = 0; top < rows; top += n) {
    for (let left = 0; left < width; left += n, at += 4) {
      const [bottom, right] = [Math.min(top + n, rows), Math.min(left + n, width)];
      for (let channel = 0; channel < 3; channel++) {
        let sum = 0;
        for (let y = top; y < bottom; y++) for (let x = left; x < right; x++) sum += pixels[4 * (y * width + x) + channel];
        small[at + channel] = byte(sum / ((bottom - top) * (right - left)));
      }
    }
  }
  return small;
}

// Colours one after the other, [3 × size × size], as the network takes them.
export function planes(rgb) {
  const n = rgb.length / 3;
  return Uint8Array.from({ length: 3 * n }, (_, i) => rgb[3 * (i % n) + Math.floor(i / n)]);
}
