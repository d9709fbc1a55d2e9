"use strict";
/* Resize as PIL does (libImaging/Resample.c), in its fixed-point arithmetic. Rows come before columns; PIL 13 begins
 * with columns in some tall pictures, of which one byte in ten may then differ by 1.
 * A picture is `width`, `height` and `planes`: Uint8Arrays, row by row. */

const FILTERS = {
  box: { support: 0.5, at: (x) => (x > -0.5 && x <= 0.5 ? 1 : 0) },
  bilinear: { support: 1, at: (x) => Math.max(0, 1 - Math.abs(x)) },
};

const ONE = 2 ** 22; // 1 as a fixed-point weight: 32 bits, minus 8 of a byte and 2 for the overshoot of a sum

/** Return, for each pixel of a new line of `size` pixels, the first pixel of the old line that contributes to it, and
 * the weights of that and the following ones. The old line has `length` pixels. */
function sharesOf(length, size, { support, at }) {
  const scale = length / size;
  const stretch = Math.max(scale, 1);
  const reach = support * stretch, shrink = 1 / stretch;
  return Array.from({ length: size }, (_, i) => {
    const centre = (i + 0.5) * scale;
    const first = Math.max(0, Math.trunc(centre - reach + 0.5));
    const last = Math.min(length, Math.trunc(centre + reach + 0.5));
    let shares = Array.from({ length: last - first }, (_, k) => at((k + first - centre + 0.5) * shrink));
    const sum = shares.reduce((a, b) => a + b, 0);
    if (sum) shares = shares.map((share) => share / sum);
    return { first, shares: shares.map((share) => Math.trunc(share * ONE + 0.5)) };
  });
}

/** Resize all lines of a plane: each begins at one of `starts`, and its pixels are `step` apart. */
function resizedLines(plane, lines, size, from, to) {
  const out = new Uint8Array(from.starts.length * size);
  from.starts.forEach((start, line) => {
    for (let i = 0; i < size; i++) {
      const { first, shares } = lines[i];
      let sum = ONE / 2;
      let at = start + first * from.step;
      for (let k = 0; k < shares.length; k++, at += from.step) sum += plane[at] * shares[k];
      out[to.starts[line] + i * to.step] = Math.min(255, Math.floor(sum / ONE));
    }
  });
  return out;
}

const multiples = (count, of) => Array.from({ length: count }, (_, i) => i * of);
const rowsOf = (width, height) => ({ starts: multiples(height, width), step: 1 });
const columnsOf = (width, height) => ({ starts: multiples(width, 1), step: width });

function resized({ width, height, planes }, newWidth, newHeight, filter) {
  let all = planes;
  if (newWidth !== width) {
    const lines = sharesOf(width, newWidth, FILTERS[filter]);
    const [from, to] = [rowsOf(width, height), rowsOf(newWidth, height)];
    all = all.map((plane) => resizedLines(plane, lines, newWidth, from, to));
  }
  if (newHeight !== height) {
    const lines = sharesOf(height, newHeight, FILTERS[filter]);
    const [from, to] = [columnsOf(newWidth, height), columnsOf(newWidth, newHeight)];
    all = all.map((plane) => resizedLines(plane, lines, newHeight, from, to));
  }
  return { width: newWidth, height: newHeight, planes: all };
}

/** Reduce a picture so that no edge is longer than `longest`, as PIL's `thumbnail` does. */
function reduced(picture, longest) {
  const { width, height } = picture;
  if (Math.max(width, height) <= longest) return picture;
  const aspect = width / height;
  const nearest = (number, off) => {
    const [below, above] = [Math.floor(number), Math.ceil(number)];
    return Math.max(1, off(above) < off(below) ? above : below);
  };
  const size =
    aspect <= 1
      ? [nearest(longest * aspect, (n) => Math.abs(aspect - n / longest)), longest]
      : [longest, nearest(longest / aspect, (n) => (n === 0 ? 0 : Math.abs(aspect - longest / n)))];
  return resized(picture, ...size, "box");
}
