"use strict";
/* The background of a photograph and what stands out from it: data/background.py in the browser's language.
 * A mask is `width`, `height` and `set`: a Uint8Array of 0 and 1, row by row. */

const CLOSE = 13, FOUND = 0.5;

/** Round to whole numbers as Python does: halves to the even one. */
function rounded(x) {
  const below = Math.floor(x);
  return x - below === 0.5 ? below + (below % 2 === 0 ? 0 : 1) : Math.round(x);
}

const newMask = (width, height, value = 0) => ({ width, height, set: new Uint8Array(width * height).fill(value) });
function masked({ width, height }, compute) {
  const mask = newMask(width, height);
  for (let i = 0; i < mask.set.length; i++) mask.set[i] = compute(i);
  return mask;
}
const not = (mask) => masked(mask, (i) => 1 - mask.set[i]);
const and = (a, b) => masked(a, (i) => a.set[i] & b.set[i]);
const or = (a, b) => masked(a, (i) => a.set[i] | b.set[i]);
const count = (mask) => mask.set.reduce((sum, value) => sum + value, 0);

function padded(mask, border, value = 0) {
  const out = newMask(mask.width + 2 * border, mask.height + 2 * border, value);
  for (let y = 0; y < mask.height; y++) {
    out.set.set(mask.set.subarray(y * mask.width, (y + 1) * mask.width), (y + border) * out.width + border);
  }
  return out;
}

const inner = (mask, border) => {
  const out = newMask(mask.width - 2 * border, mask.height - 2 * border);
  for (let y = 0; y < out.height; y++) {
    const start = (y + border) * mask.width + border;
    out.set.set(mask.set.subarray(start, start + out.width), y * out.width);
  }
  return out;
};

/** The frame of a picture, so many pixels wide. */
function frameOf(width, height, edge) {
  return masked({ width, height }, (i) => {
    const x = i % width, y = (i - x) / width;
    return Number(x < edge || y < edge || x >= width - edge || y >= height - edge);
  });
}

function grown(mask) {
  const { width, height, set } = mask;
  return masked(mask, (i) => {
    const x = i % width;
    const beside = (x > 0 && set[i - 1]) || (x < width - 1 && set[i + 1]);
    return Number(set[i] || beside || set[i - width] === 1 || set[i + width] === 1);
  });
}

/** How many of a pixel and its eight neighbours are set. */
function neighbours({ width, height, set }) {
  const counts = new Uint8Array(width * height);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      let sum = 0;
      for (let v = Math.max(0, y - 1); v <= Math.min(height - 1, y + 1); v++) {
        for (let u = Math.max(0, x - 1); u <= Math.min(width - 1, x + 1); u++) sum += set[v * width + u];
      }
      counts[y * width + x] = sum;
    }
  }
  return counts;
}

/** The pixels of a mask that a way within it leads to from the seeds. */
function connected(seeds, mask) {
  const { width, height } = mask;
  const reached = and(seeds, mask);
  const open = [];
  reached.set.forEach((value, i) => value && open.push(i));
  const visit = (i) => {
    if (!mask.set[i] || reached.set[i]) return;
    reached.set[i] = 1;
    open.push(i);
  };
  while (open.length) {
    const i = open.pop(), x = i % width;
    if (x > 0) visit(i - 1);
    if (x < width - 1) visit(i + 1);
    if (i >= width) visit(i - width);
    if (i < width * (height - 1)) visit(i + width);
  }
  return reached;
}

function outsideOf(mask) {
  const closed = padded(grown(mask), 2);
  const reached = connected(frameOf(closed.width, closed.height, 1), not(closed));
  return and(inner(grown(reached), 2), not(mask));
}

function reachedFromOutside(free) {
  const wider = padded(free, 1, 1);
  return inner(connected(frameOf(wider.width, wider.height, 1), wider), 1);
}

/** The connected parts of a mask. */
function partsOf(mask) {
  const parts = [];
  let rest = mask;
  for (let first = rest.set.indexOf(1); first >= 0; first = rest.set.indexOf(1)) {
    const seed = newMask(mask.width, mask.height);
    seed.set[first] = 1;
    parts.push(connected(seed, rest));
    rest = and(rest, not(parts.at(-1)));
  }
  return parts;
}

/** How far each pixel is from the background, in the colour that differs most. */
function distances({ planes: [red, green, blue] }, { planes: [r, g, b] }) {
  const off = new Float32Array(red.length);
  for (let i = 0; i < off.length; i++) {
    off[i] = Math.max(Math.abs(red[i] - r[i]), Math.abs(green[i] - g[i]), Math.abs(blue[i] - b[i]));
  }
  return off;
}

/** Planes of the background behind a picture, and how far noise reaches; nothing if there is no plain one. */
function findBackground(picture) {
  const { width, height } = picture;
  // Rounded where Python has float32, so that both come to the same side of a limit.
  const along = (size) => Float32Array.from({ length: size }, (_, i) => i * (2 / Math.max(1, size - 1)) - 1);
  const across = along(width), down = along(height);
  const terms = (i) => {
    const x = across[i % width], y = down[Math.floor(i / width)];
    return [1, x, y, Math.fround(x * x), Math.fround(y * y), Math.fround(x * y)];
  };
  const surfaceOf = (solution) => ({
    width, height,
    planes: solution.map((weights) => {
      const [a, b, c, d = 0, e = 0, f = 0] = weights.map(Math.fround);
      const plane = new Float32Array(width * height);
      let i = 0;
      for (const y of down) for (const x of across) plane[i++] = a + b * x + c * y + d * x * x + e * y * y + f * x * y;
      return plane;
    }),
  });
  const fitted = (where, howMany) => {
    const places = [];
    where.forEach((value, i) => value && places.push(i));
    return fit(places, (i) => terms(i).slice(0, howMany), picture.planes);
  };
  const border = frameOf(width, height, Math.max(1, rounded(0.02 * Math.max(width, height))));
  const onBorder = count(border);
  const shareOf = (isBackground) =>
    border.set.reduce((sum, value, i) => sum + (value && isBackground(i) ? 1 : 0), 0) / onBorder;

  let { solution, noise } = fitted(border.set, 3);
  let background = surfaceOf(solution);
  const off = distances(picture, background), reach = Math.max(CLOSE, noise);
  const far = masked(picture, (i) => Number(off[i] > reach));
  let share = shareOf((i) => !far.set[i]);
  const empty = neighbours(far).map((value) => Number(value === 0));
  if (share >= FOUND / 2 && empty.reduce((sum, value) => sum + value, 0) > 50) {
    const curved = fitted(empty, 6);
    const surface = surfaceOf(curved.solution);
    const offCurved = distances(picture, surface);
    const explained = shareOf((i) => offCurved[i] <= Math.max(CLOSE, curved.noise));
    if (explained >= share - 0.02) [background, noise, share] = [surface, curved.noise, explained];
  }
  return share >= FOUND ? { background, noise } : null;
}

/** Least squares in which what lies far off counts little (Cauchy weights): the solution for each plane. */
function fit(places, termsAt, planes) {
  const step = Math.max(1, Math.floor(places.length / 1000));
  const chosen = places.filter((_, i) => i % step === 0);
  const terms = chosen.map(termsAt), size = terms[0].length;
  const colours = planes.map((plane) => chosen.map((i) => plane[i]));
  const dot = (left, right) => {
    let sum = 0;
    for (let i = 0; i < left.length; i++) sum += left[i] * right[i];
    return sum;
  };
  const columns = multiples(size, 1).map((i) => terms.map((term) => term[i]));
  let weights = chosen.map(() => 1), solution, noise;
  for (let round = 0; round < 8; round++) {
    const weighted = columns.map((column) => column.map((value, k) => value * weights[k]));
    const matrix = weighted.map((row, i) => columns.map((column, j) => dot(row, column) + (i === j ? 1e-6 : 0)));
    solution = colours.map((colour) => solve(matrix, weighted.map((row) => dot(row, colour))));
    const off = terms.map((term, k) =>
      Math.max(...solution.map((found, band) => Math.abs(dot(term, found) - colours[band][k]))));
    const spread = 1.48 * percentile(off, 50);
    weights = off.map((value) => (1 + (value / Math.max(2, spread)) ** 2) ** -2);
    noise = 3 * spread;
  }
  return { solution, noise };
}

/** The solution of a small system of equations, by elimination. */
function solve(matrix, right) {
  const rows = matrix.map((row, i) => [...row, right[i]]);
  const size = rows.length;
  for (let i = 0; i < size; i++) {
    let pivot = i;
    for (let k = i + 1; k < size; k++) if (Math.abs(rows[k][i]) > Math.abs(rows[pivot][i])) pivot = k;
    [rows[i], rows[pivot]] = [rows[pivot], rows[i]];
    for (let k = i + 1; k < size; k++) {
      const factor = rows[k][i] / rows[i][i];
      for (let j = i; j <= size; j++) rows[k][j] -= factor * rows[i][j];
    }
  }
  const solution = new Array(size);
  for (let i = size - 1; i >= 0; i--) {
    let rest = rows[i][size];
    for (let j = i + 1; j < size; j++) rest -= rows[i][j] * solution[j];
    solution[i] = rest / rows[i][i];
  }
  return solution;
}

function percentile(values, percent) {
  const sorted = Float64Array.from(values).sort();
  const at = (percent / 100) * (sorted.length - 1), below = Math.floor(at);
  return sorted[below] + (at - below) * ((sorted[below + 1] ?? sorted[below]) - sorted[below]);
}

function standsOut(off, { width, height }, noise) {
  const reach = Math.max(CLOSE, noise);
  let mask = masked({ width, height }, (i) => Number(off[i] > reach));
  const around = neighbours(mask);
  mask = masked(mask, (i) => mask.set[i] & Number(around[i] >= 3));
  mask = not(outsideOf(mask)); // of a dark garment on black only the outline may differ
  const full = neighbours(mask);
  const solid = connected(masked(mask, (i) => Number(full[i] === 9)), mask);
  return solid.set.includes(1) ? solid : mask;
}
