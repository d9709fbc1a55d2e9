{% extends "serve.js" %}
{% block ask %}
const parsed = (id) => JSON.parse(byId(id).textContent);
const steps = parsed("steps");
const weights = readWeights(byId("weights").textContent, parsed("shapes").map(product));
const shape = [1, {{ images.channels }}, {{ images.size }}, {{ images.size }}];
const MOST_PIXELS = 100e6;

/** What the server would answer, worked out here. */
async function ask(file, signal) {
  if (file.size > largest) {
    throw new Error(`The picture has ${(file.size / 1e6).toFixed(0)} MB. Up to ${largest / 1e6} MB are taken.`);
  }
  const picture = await decode(file);
  await new Promise((resolve) => setTimeout(resolve)); // the page shows that it is busy
  signal.throwIfAborted();
  const { pixels, background, box } = {{ "prepare(picture)" if garments else "whole(picture)" }};
  const shares = runNetwork(steps, weights, pixels, shape);
  const names = [...rows.keys()], most = Math.max(...shares);
  return {
    class: names[shares.indexOf(most)],
    doubtful: most < {{ doubtful }},
    probabilities: Object.fromEntries(names.map((name, i) => [name, shares[i]])),
    background,
    box,
    image: asPNG(pixels),
  };
}

/** The picture upright: its size, and red, green, blue and opacity of each pixel. Of a large JPEG, means of `every`
 *  2, 4 or 8 rows and columns are to be taken, as Python's decoder does: neither edge falls below 512 pixels. */
async function decode(file) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(file, { colorSpaceConversion: "none", premultiplyAlpha: "none" });
  } catch {
    throw new Error("This cannot be read as a picture. JPEG, PNG, WebP, GIF and BMP can.");
  }
  const { width, height } = bitmap;
  if (width * height > MOST_PIXELS) throw new Error(`The picture has ${width}×${height} pixels, which is too many.`);
  const pen = canvasOf(width, height);
  pen.drawImage(bitmap, 0, 0);
  bitmap.close();
  const { data } = pen.getImageData(0, 0, width, height);
  const start = new Uint8Array(await file.slice(0, 2).arrayBuffer());
  const isJPEG = start[0] === 0xff && start[1] === 0xd8;
  const every = isJPEG ? [8, 4, 2, 1].find((part) => part === 1 || Math.min(width, height) >= part * 512) : 1;
  return { width, height, data, every };
}

function canvasOf(width, height) {
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  return canvas.getContext("2d", { willReadFrequently: true });
}

/** All of a picture in the network's size, as `square` in files/pictures.py: one plane of numbers after the other. */
function whole({ width, height, data, every }) {
  const [, channels, size] = shape;
  const { planes } = resized(onWhite(data, width, height, every).picture, size, size, "bilinear");
  const [red, green, blue] = planes;
  const grey = (v, i) => (v * 19595 + green[i] * 38470 + blue[i] * 7471 + 32768) >> 16; // as PIL does
  const pixels = channels === 1 ? red.map(grey) : Uint8Array.from(planes.flatMap((plane) => [...plane]));
  return { pixels, background: "not looked for", box: [0, 0, 1, 1] };
}

/** What the network sees as a file in base64. */
function asPNG(pixels) {
  const [, channels, size] = shape;
  const image = new ImageData(size, size);
  for (let i = 0, all = size * size; i < all; i++) {
    const colour = [0, 1, 2].map((band) => pixels[channels === 1 ? i : band * all + i]);
    image.data.set([...colour, 255], 4 * i);
  }
  const pen = canvasOf(size, size);
  pen.putImageData(image, 0, 0);
  return pen.canvas.toDataURL().split(",")[1];
}
{% endblock %}
