"use strict";
/* A photograph of a garment made into what the network takes: data/photographs.py in the browser's language. */

const LOOKED_AT = 256, FINE = 84, STANDS_OUT = 8;
const LUMA = [0.299, 0.587, 0.114];

/** The 784 pixels that the network sees, the kind of background, and the garment's box as shares of width and height.
 *  `data` holds red, green, blue and opacity of each pixel; of `every` so many rows and columns the mean is taken. */
function prepare({ width, height, data, every = 1 }) {
  const { picture, seenThrough } = onWhite(data, width, height, every);
  const whole = [0, 0, 1, 1];
  const [grey, green, blue] = picture.planes;
  const isGrey = grey.every((value, i) => value === green[i] && value === blue[i]);
  if (width === 28 && height === 28 && isGrey && !seenThrough) {
    const corners = [0, 27, 756, 783].map((i) => grey[i]);
    const background = "already prepared";
    if (Math.max(...corners) < 128) return { pixels: grey, background, box: whole };
    if (Math.min(...corners) >= 128) return { pixels: grey.map((value) => 255 - value), background, box: whole };
  }
  const garment = find(picture);
  if (garment === null) {
    const sampled = everyThird(resized(picture, ...reducedSize(picture.width, picture.height), "box"));
    const values = greyOf(sampled).map((level) => 255 - level);
    return { pixels: extended(values, sampled.width), background: "none", box: whole };
  }
  const { box, background, noise } = garment;
  const size = reducedSize(box[2] - box[0], box[3] - box[1]);
  const fine = resized(picture, ...size, box[2] - box[0] > size[0] ? "box" : "bicubic", box);
  const behind = resized(background, ...size, "bilinear");
  const kind = seenThrough ? "transparent" : kindOf(behind);
  const [values, across] = valuesOf(fine, behind, noise);
  return { pixels: extended(values, across), background: kind, box: sharesOfPicture(box, picture) };
}

const sharesOfPicture = ([left, top, right, bottom], { width, height }) =>
  [left / width, top / height, right / width, bottom / height];

/** A picture as three planes, on white where it is transparent, and whether its border is mostly transparent. */
function onWhite(data, width, height, every) {
  const [across, down] = [Math.ceil(width / every), Math.ceil(height / every)];
  const planes = [0, 1, 2].map(() => new Uint8Array(across * down));
  const sums = [0, 0, 0];
  for (let y = 0, at = 0; y < down; y++) {
    for (let x = 0; x < across; x++, at++) {
      sums.fill(0);
      const bottom = Math.min(height, (y + 1) * every), right = Math.min(width, (x + 1) * every);
      for (let v = y * every; v < bottom; v++) {
        for (let u = x * every, pixel = 4 * (v * width + u); u < right; u++, pixel += 4) {
          const opacity = data[pixel + 3];
          const white = 255 * (255 - opacity);
          for (let band = 0; band < 3; band++) sums[band] += (data[pixel + band] * opacity + white) / 255;
        }
      }
      const pixels = (bottom - y * every) * (right - x * every);
      for (let band = 0; band < 3; band++) planes[band][at] = Math.round(sums[band] / pixels);
    }
  }
  let clear = 0;
  const look = (x, y) => { clear += data[4 * (y * width + x) + 3] < 128; };
  for (let x = 0; x < width; x++) for (const y of [0, height - 1]) look(x, y);
  for (let y = 0; y < height; y++) for (const x of [0, width - 1]) look(x, y);
  return { picture: { width: across, height: down, planes }, seenThrough: clear / (2 * (width + height)) > 0.5 };
}

/** The box of what stands out from the background, the background in it, and its noise. */
function find(picture) {
  const { width, height } = picture;
  let area = [0, 0, width, height], box, found, edges;
  for (let look = 0; look < 2; look++) {
    const part = reduced(look ? cropped(picture, area) : picture, LOOKED_AT);
    if ((found = findBackground(part)) === null) return null;
    const off = distances(part, found.background);
    const mask = standsOut(off, part, found.noise);
    if (!mask.set.includes(1)) return null;
    const across = new Float32Array(part.width).fill(-1), down = new Float32Array(part.height).fill(-1);
    mask.set.forEach((value, i) => {
      const x = i % part.width, y = (i - x) / part.width;
      if (value) [across[x], down[y]] = [Math.max(across[x], off[i]), Math.max(down[y], off[i])];
    });
    const isIn = (value) => value >= 0;
    const cell = Math.max(...[across, down].map((all) => all.findLastIndex(isIn) - all.findIndex(isIn) + 1)) / 28;
    const [left, right] = extent(across.map((value) => Math.max(0, value)), cell);
    const [top, bottom] = extent(down.map((value) => Math.max(0, value)), cell);
    edges = [Math.trunc(left), Math.trunc(top), rounded(right), rounded(bottom)];
    const [wider, higher] = [(area[2] - area[0]) / part.width, (area[3] - area[1]) / part.height];
    box = [area[0] + left * wider, area[1] + top * higher, area[0] + right * wider, area[1] + bottom * higher];
    if (Math.max(right - left, bottom - top) >= 100 || Math.max(part.width, part.height) < LOOKED_AT) break;
    const margin = Math.max(box[2] - box[0], box[3] - box[1]) / 4;
    area = [Math.max(0, box[0] - margin), Math.max(0, box[1] - margin), Math.min(width, box[2] + margin),
      Math.min(height, box[3] + margin)].map(Math.trunc);
  }
  return { box, background: cropped(found.background, edges), noise: found.noise };
}

/** Where a garment starts and ends along one axis, of its contrast there, 0 outside. */
function extent(profile, cell) {
  const edges = [profile, profile.toReversed()].map((along) => {
    const start = along.findIndex((value) => value !== 0);
    const half = along[Math.min(start + rounded(0.6 * cell), along.length - 1)] / 2;
    const at = Math.max(start, along.findIndex((value, i) => i >= start && value >= half));
    return at === start ? at : at + 0.5 - (along[at] - half) / (along[at] - along[at - 1]);
  });
  return [edges[0], profile.length - edges[1]];
}

/** The garment in rows and columns of which two of three are skipped, and how many columns: negated grey, 0 where the
 *  background is; not stretched yet. */
function valuesOf(fine, behind, noise) {
  [fine, behind] = [fine, behind].map((picture) => widened(picture, 3)); // so that the garment has something around it
  const { width, height } = fine;
  const off = distances(fine, behind), reach = Math.max(STANDS_OUT, noise);
  const standsOut = and(masked(fine, (i) => Number(off[i] > reach)), not(frameOf(width, height, 3)));
  const size = { width: width / 3, height: height / 3 };
  const middle = (i) => (3 * Math.floor(i / size.width) + 1) * width + 3 * (i % size.width) + 1;
  let mask = masked(size, (i) => standsOut.set[middle(i)]);
  const grey = greyOf(everyThird(fine)), under = greyOf(everyThird(behind));
  const inner = (values) => [values.filter((_, i) => !frameOf(size.width, size.height, 1).set[i]), size.width - 2];
  const within = (values, { set }) => values.filter((_, i) => set[i]);
  if (!mask.set.includes(1)) return inner(grey.map((value) => 255 - value));
  const contrast = grey.map((value, i) => value - under[i]);
  if (percentile(within(contrast, mask), 2) > -CLOSE) { // nowhere darker than the background
    const outside = reachedFromOutside(not(mask));
    const slack = 0.05 * percentile(within(contrast, mask), 98);
    // Alike in a silhouette, of which nothing would be left.
    const range = percentile(within(contrast, mask), 75) - percentile(within(contrast, mask), 25);
    if (range <= slack || !outlineIsLight(contrast, outside, not(outside), slack)) {
      return inner(contrast.map((value, i) => (mask.set[i] ? value : 0))); // drawn in light, as in the data set itself
    }
  }
  // A pixel in which garment and background mix is as dark as neither: it counts where 7 of its 9 stand out.
  const around = neighbours(standsOut);
  const covered = masked(size, (i) => Number(around[middle(i)] >= 7));
  if (covered.set.includes(1)) mask = covered;
  let outside = reachedFromOutside(not(mask));
  for (const part of partsOf(and(not(mask), not(outside)))) { // a hole, or as dark as the background
    if (outlineIsLight(grey, part, not(or(outside, part)))) outside = or(outside, part);
  }
  const lightest = Math.max(...within(grey, mask), mean(under));
  return inner(grey.map((value, i) => (outside.set[i] ? 0 : lightest - value)));
}

/** Whether the pixels of a garment next to a hole, or to what is outside, are lighter than those next to them. */
function outlineIsLight(grey, hole, garment, slack = 0) {
  const near = grown(hole);
  const level = (mask) => percentile(grey.filter((_, i) => mask.set[i]), 75);
  const outline = and(near, garment), inside = and(and(grown(near), not(near)), garment);
  if (!outline.set.includes(1) || !inside.set.includes(1)) return false;
  return level(outline) > level(inside) - slack;
}

/** A picture whose outermost pixels go on for so many more. */
function widened({ width, height, planes }, border) {
  const [across, down] = [width + 2 * border, height + 2 * border];
  const clamped = (at, size) => Math.min(size - 1, Math.max(0, at - border));
  const wider = (plane) => plane.constructor.from({ length: across * down }, (_, i) =>
    plane[clamped(Math.floor(i / across), height) * width + clamped(i % across, width)]);
  return { width: across, height: down, planes: planes.map(wider) };
}

const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

const greyOf = ({ planes }) =>
  Float32Array.from(planes[0], (_, i) => LUMA.reduce((sum, share, band) => sum + share * planes[band][i], 0));

/** Width and height with the longest edge `FINE`, both multiples of three. */
const reducedSize = (width, height) =>
  [width, height].map((side) => 3 * Math.max(1, rounded((side * FINE) / Math.max(width, height) / 3)));

/** One of three rows and columns. */
function everyThird({ width, height, planes }) {
  const [across, down] = [width / 3, height / 3];
  const sampled = (plane) => plane.constructor.from({ length: across * down }, (_, i) =>
    plane[(3 * Math.floor(i / across) + 1) * width + 3 * (i % across) + 1]);
  return { width: across, height: down, planes: planes.map(sampled) };
}

/** Stretched to 255, and centred on black: 28x28 bytes. */
function extended(values, width) {
  const height = values.length / width;
  const top = Math.floor((29 - height) / 2), left = Math.floor((29 - width) / 2);
  const most = Math.max(1, ...values);
  const pixels = new Uint8Array(28 * 28);
  values.forEach((value, i) => {
    pixels[(top + Math.floor(i / width)) * 28 + left + (i % width)] = rounded((Math.max(0, value) * 255) / most);
  });
  return pixels;
}

function kindOf({ planes }) {
  const colour = planes.map(mean);
  const spread = (values) => values.reduce((a, b) => Math.max(a, b)) - values.reduce((a, b) => Math.min(a, b));
  if (Math.max(...planes.map(spread)) > 26) return "uneven";
  if (spread(colour) > 26) return "coloured";
  const level = LUMA.reduce((sum, share, band) => sum + share * colour[band], 0);
  return level > 200 ? "light" : level < 55 ? "dark" : "grey";
}
