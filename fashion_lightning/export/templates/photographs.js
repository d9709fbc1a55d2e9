"use strict";
/* Turn a picture into the network's input: photographs/prepare.py in JavaScript. */

const LOOKED_AT = 256, CLOSE = 13, PLAIN = 0.9, FILLED = 0.85;
const LUMA = [0.299, 0.587, 0.114];

/** Return the numbers for the network, one plane after another, and the part of the picture that it sees, in fractions
 *  of width and height: `box` if it is given. */
function prepare({ width, height, data }, { channels, size, photographs, garments }, box = null) {
  let picture = onWhite(data, width, height);
  const sides = [picture.width, picture.height, picture.width, picture.height];
  const whole = [0, 0, sides[0], sides[1]];
  let seen = box?.map((share, i) => share * sides[i]);
  const answer = (pixels) => ({ pixels, box: seen.map((edge, i) => edge / sides[i]) });
  if (!garments && !photographs) return answer(squashed(cut(picture, (seen ??= whole)), channels, size));
  const corners = cornersOf(picture), areDark = Math.max(...corners) < 128;
  if (areDark) picture = mapped(picture, (value) => 255 - value);
  if (garments && (areDark || Math.min(...corners) >= 128)) {
    seen = whole;
    return answer(picture.planes[0].map((value) => 255 - value));
  }
  if (garments) return answer(brightOnBlack(cut(picture, (seen ??= findGarment(picture) ?? whole)), groundOf(picture)));
  return answer(interleaved(reducedTo(cut(picture, (seen ??= frameOf(picture))), size, size)));
}

const mapped = (picture, change) => ({ ...picture, planes: picture.planes.map((plane) => plane.map(change)) });
const interleaved = ({ planes }) => Uint8Array.from(planes.flatMap((plane) => [...plane]));

/** Reduce a picture to a square, by reducing its longer edge more. */
function squashed(picture, channels, size) {
  const reduced = resized(picture, size, size, "bilinear");
  const [red, green, blue] = reduced.planes;
  const grey = (v, i) => (v * 19595 + green[i] * 38470 + blue[i] * 7471 + 32768) >> 16; // as PIL does
  return channels === 1 ? red.map(grey) : interleaved(reduced);
}

/** Return the grey levels of the corners of a grey 28x28 picture; black and white for any other picture. */
function cornersOf({ width, height, planes: [red, green, blue] }) {
  const isGrey = width === 28 && height === 28 && red.every((v, i) => v === green[i] && v === blue[i]);
  return isGrey ? [0, 27, 756, 783].map((i) => red[i]) : [0, 255];
}

/** Turn red, green, blue and opacity of each pixel into three planes, with white behind transparent pixels. */
function onWhite(data, width, height) {
  const planes = [0, 1, 2].map((band) => Uint8Array.from({ length: width * height }, (_, i) => {
    const opacity = data[4 * i + 3];
    return Math.round((data[4 * i + band] * opacity + 255 * (255 - opacity)) / 255);
  }));
  return { width, height, planes };
}

/** Return the box of what stands out from a plain background; null if there is no such thing. */
function findGarment(picture) {
  const small = reduced(picture, LOOKED_AT);
  const { width, height, planes } = small;
  const ground = groundOf(picture);
  const off = planes[0].map((_, i) => Math.max(...planes.map((plane, band) => Math.abs(plane[i] - ground[band]))) > CLOSE);
  const border = borderOf(small).map((i) => off[i]);
  if (border.filter((is) => !is).length / border.length < PLAIN) return null;
  let [left, top, right, bottom] = [width, height, 0, 0];
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      if (!off[y * width + x]) continue;
      let around = 0;
      for (let v = Math.max(0, y - 1); v <= Math.min(height - 1, y + 1); v++) {
        for (let u = Math.max(0, x - 1); u <= Math.min(width - 1, x + 1); u++) around += off[v * width + u];
      }
      if (around < 4) continue; // ignore specks
      [left, top, right, bottom] = [Math.min(left, x), Math.min(top, y), Math.max(right, x + 1), Math.max(bottom, y + 1)];
    }
  }
  const [x, y] = [picture.width / width, picture.height / height];
  return right ? [left * x, top * y, right * x, bottom * y] : null;
}

/** Return the indices of the pixels in the outer 2 % of a picture. */
function borderOf({ width, height }) {
  const edge = Math.max(1, Math.floor(Math.max(width, height) / 50));
  return [...Array(width * height).keys()].filter((i) => {
    const x = i % width, y = (i - x) / width;
    return x < edge || y < edge || x >= width - edge || y >= height - edge;
  });
}

/** Return the median colour of a picture's border. */
function groundOf(picture) {
  const small = reduced(picture, LOOKED_AT), border = borderOf(small);
  return small.planes.map((plane) => median(border.map((i) => plane[i])));
}

function median(values) {
  const sorted = [...values].sort((a, b) => a - b), half = sorted.length / 2;
  return (sorted[Math.ceil(half) - 1] + sorted[Math.floor(half)]) / 2;
}

/** Return the square to show the network: around a garment on a plain background, else in the middle. */
function frameOf(picture) {
  const garment = findGarment(picture);
  const [left, top, right, bottom] = garment ?? [0, 0, picture.width, picture.height];
  const side = garment ? Math.max(right - left, bottom - top) / FILLED : Math.min(picture.width, picture.height);
  const [x, y] = [(left + right) / 2, (top + bottom) / 2];
  return [x - side / 2, y - side / 2, x + side / 2, y + side / 2];
}

/** Round to an integer as Python does: halves to the even integer. */
function rounded(x) {
  const below = Math.floor(x);
  return x - below === 0.5 ? below + (below % 2 === 0 ? 0 : 1) : Math.round(x);
}

/** Crop a picture to a box, rounded to whole pixels; beyond the picture, its border is repeated. */
function cut({ width, height, planes }, box) {
  const [left, top, right, bottom] = box.map(rounded);
  const [across, down] = [Math.max(1, right - left), Math.max(1, bottom - top)];
  const within = (at, length) => Math.min(length - 1, Math.max(0, at));
  const taken = (plane) => {
    const out = new plane.constructor(across * down);
    for (let y = 0, i = 0; y < down; y++) {
      const row = within(top + y, height) * width;
      for (let x = 0; x < across; x++) out[i++] = plane[row + within(left + x, width)];
    }
    return out;
  };
  return { width: across, height: down, planes: planes.map(taken) };
}

const reducedTo = (picture, width, height) =>
  resized(picture, width, height, picture.width > width ? "box" : "bilinear");

/** Show a garment as in the data set: longest edge 28 pixels, grey level by its difference from the background. */
function brightOnBlack(garment, ground) {
  const longest = Math.max(garment.width, garment.height);
  const [width, height] = [garment.width, garment.height].map((side) => Math.max(1, rounded((28 * side) / longest)));
  const { planes } = reducedTo(garment, 3 * width, 3 * height);
  const level = (colours) => LUMA.reduce((sum, share, band) => sum + share * colours[band], 0);
  let darker = Array.from({ length: width * height }, (_, i) => {
    const at = (3 * Math.floor(i / width) + 1) * 3 * width + 3 * (i % width) + 1; // keeps one of three rows and columns
    return level(planes.map((plane, band) => ground[band] - plane[at]));
  });
  const far = darker.filter((value) => Math.abs(value) > CLOSE / 2);
  const sign = far.length && median(far) < 0 ? -1 : 1;
  darker = darker.map((value) => (Math.abs(value) > CLOSE / 2 ? sign * value : 0));
  const most = Math.max(1, ...darker), top = Math.floor((29 - height) / 2), left = Math.floor((29 - width) / 2);
  const pixels = new Uint8Array(28 * 28);
  darker.forEach((value, i) => {
    pixels[(top + Math.floor(i / width)) * 28 + left + (i % width)] = rounded((Math.max(0, value) * 255) / most);
  });
  return pixels;
}
