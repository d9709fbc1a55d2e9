"use strict";
/* Resize as PIL does (libImaging/Resample.c): bytes in its fixed-point arithmetic, other numbers as float32. Rows come
 * before columns; PIL 13 begins with columns in some tall pictures, of which one byte in ten may then differ by 1.
 * A picture is `width`, `height` and `planes`: Uint8Array or Float32Array, row by row. */

const FILTERS = {
  box: { support: 0.5, at: (x) => (x > -0.5 && x <= 0.5 ? 1 : 0) },
  bilinear: { support: 1, at: (x) => Math.max(0, 1 - Math.abs(x)) },
};

const ONE = 2 ** 22; // 1 as a fixed-point weight of bytes: 32 bits, minus 8 of a byte and 2 for the overshoot of a sum

/** Return, for each pixel of a new line of `size` pixels, the first pixel of the old line that contributes to it, and
 * the weights of that and the following ones. The new line shows the part from `start` to `end` of `length` pixels. */
function sharesOf(length, start, end, size, { support, at }, inBytes) {
  const scale = Math.fround(end - start) / size;
  const stretch = Math.max(scale, 1);
  const reach = support * stretch, shrink = 1 / stretch;
  return Array.from({ length: size }, (_, i) => {
    const centre = start + (i + 0.5) * scale;
    const first = Math.max(0, Math.trunc(centre - reach + 0.5));
    const last = Math.min(length, Math.trunc(centre + reach + 0.5));
    let shares = Array.from({ length: last - first }, (_, k) => at((k + first - centre + 0.5) * shrink));
    const sum = shares.reduce((a, b) => a + b, 0);
    if (sum) shares = shares.map((share) => share / sum);
    if (inBytes) shares = shares.map((share) => Math.trunc(share * ONE + (share < 0 ? -0.5 : 0.5)));
    return { first, shares };
  });
}

/** Resize all lines of a plane: each begins at one of `starts`, and its pixels are `step` apart. */
function resizedLines(plane, lines, size, from, to, inBytes) {
  const out = new plane.constructor(from.starts.length * size);
  from.starts.forEach((start, line) => {
    for (let i = 0; i < size; i++) {
      const { first, shares } = lines[i];
      let sum = inBytes ? ONE / 2 : 0;
      let at = start + first * from.step;
      for (let k = 0; k < shares.length; k++, at += from.step) sum += plane[at] * shares[k];
      out[to.starts[line] + i * to.step] = inBytes ? Math.min(255, Math.max(0, Math.floor(sum / ONE))) : sum;
    }
  });
  return out;
}

const multiples = (count, of) => Array.from({ length: count }, (_, i) => i * of);
const rowsOf = (width, height) => ({ starts: multiples(height, width), step: 1 });
const columnsOf = (width, height) => ({ starts: multiples(width, 1), step: width });

/** Resize a picture, or a box of it (left, top, right, bottom; not necessarily integers). */
function resized({ width, height, planes }, newWidth, newHeight, filter, box = [0, 0, width, height]) {
  const [left, top, right, bottom] = box.map(Math.fround);
  const inBytes = planes[0] instanceof Uint8Array;
  let all = planes;
  if (newWidth !== width || left !== 0 || right !== width) {
    const lines = sharesOf(width, left, right, newWidth, FILTERS[filter], inBytes);
    const [from, to] = [rowsOf(width, height), rowsOf(newWidth, height)];
    all = all.map((plane) => resizedLines(plane, lines, newWidth, from, to, inBytes));
  }
  if (newHeight !== height || top !== 0 || bottom !== height) {
    const lines = sharesOf(height, top, bottom, newHeight, FILTERS[filter], inBytes);
    const [from, to] = [columnsOf(newWidth, height), columnsOf(newWidth, newHeight)];
    all = all.map((plane) => resizedLines(plane, lines, newHeight, from, to, inBytes));
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
