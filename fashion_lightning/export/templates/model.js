{% extends "serve.js" %}
{% block ask %}
const parsed = (id) => JSON.parse(byId(id).textContent);
const steps = parsed("steps");
const weights = readWeights(byId("weights").textContent, parsed("shapes").map(product));
const MOST_PIXELS = 100e6;

/** What the server would answer, worked out here. */
async function ask(file, signal) {
  if (file.size > largest) {
    throw new Error(`The picture has ${(file.size / 1e6).toFixed(0)} MB. Up to ${largest / 1e6} MB are taken.`);
  }
  const picture = await decode(file);
  await new Promise((resolve) => setTimeout(resolve)); // the page shows that it is busy
  signal.throwIfAborted();
  const { pixels, background, box } = prepare(picture);
  const shares = runNetwork(steps, weights, pixels);
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

/** 28x28 pixels as a file in base64. */
function asPNG(pixels) {
  const image = new ImageData(28, 28);
  pixels.forEach((value, i) => image.data.set([value, value, value, 255], 4 * i));
  const pen = canvasOf(28, 28);
  pen.putImageData(image, 0, 0);
  return pen.canvas.toDataURL().split(",")[1];
}
{% endblock %}
