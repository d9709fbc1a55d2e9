{% extends "serve.js" %}
{% block ask %}
const parsed = (id) => JSON.parse(byId(id).textContent);
const steps = parsed("steps");
const weights = readWeights(byId("weights").textContent, parsed("shapes").map(product));
const shape = [1, {{ images.channels }}, {{ images.size }}, {{ images.size }}];
const images = { channels: shape[1], size: shape[2], photographs: {{ images.photographs | tojson }}, garments: {{ garments | tojson }} };
const LONGEST_EDGE = 1024; // in pixels, after reducing; browsers cannot draw a canvas of 48 million pixels
let last = {}; // the picture that was decoded last, kept for when its frame moves

/** Return what the server would answer, computed in this page. */
async function ask(file, signal, box = null) {
  if (file.size > largest) {
    throw new Error(`The picture has ${Math.ceil(file.size / 1e6)} MB. The limit is ${largest / 1e6} MB.`);
  }
  const picture = file === last.file ? last.picture : await decode(file);
  last = { file, picture };
  await new Promise((resolve) => setTimeout(resolve)); // the page shows that it is busy
  signal.throwIfAborted();
  const { pixels, box: seen } = prepare(picture, images, box);
  const [logits, shares] = runNetwork(steps, weights, pixels, shape);
  const names = [...rows.keys()], most = Math.max(...shares);
  const ranked = [...names.keys()].sort((a, b) => shares[b] - shares[a]);
  const isLikely = (i) => shares[i] === most || shares[i] >= {{ limits.probability }};
  return {
    class: names[shares.indexOf(most)],
    doubtful: most < {{ doubtful }},
    probabilities: Object.fromEntries(names.map((name, i) => [name, shares[i]])),
    likely: Math.max(...logits) < {{ limits.logit }} ? [] : ranked.filter(isLikely).map((i) => names[i]),
    box: seen,
    image: asPNG(pixels),
  };
}

/** Decode a picture upright: its size, and red, green, blue and opacity of each pixel. Reduce large pictures. */
async function decode(file) {
  const exact = { colorSpaceConversion: "none", premultiplyAlpha: "none" };
  let bitmap;
  try {
    const [across, down] = await sizeOf(file);
    const scale = Math.min(1, LONGEST_EDGE / Math.max(across, down));
    const [resizeWidth, resizeHeight] = [across, down].map((edge) => Math.max(1, Math.round(edge * scale)));
    const smaller = scale < 1 ? { resizeWidth, resizeHeight, resizeQuality: "high" } : {};
    bitmap = await createImageBitmap(file, { ...exact, ...smaller });
  } catch {
    if (/^ftyp(hei|mif1)/.test(await file.slice(4, 12).text())) {
      throw new Error("This browser cannot open HEIC, in which iPhones store photographs. Save it as JPEG.");
    }
    throw new Error("This file cannot be opened as a picture. JPEG, PNG, WebP, GIF and BMP can be opened.");
  }
  const { width, height } = bitmap;
  const pen = canvasOf(width, height);
  pen.drawImage(bitmap, 0, 0);
  bitmap.close();
  return { width, height, data: pen.getImageData(0, 0, width, height).data };
}

/** Return width and height of an upright picture, without decoding it. */
function sizeOf(file) {
  const image = new Image();
  image.src = URL.createObjectURL(file);
  return new Promise((resolve, reject) => {
    image.onload = () => resolve([image.naturalWidth, image.naturalHeight]);
    image.onerror = reject;
  }).finally(() => URL.revokeObjectURL(image.src));
}

function canvasOf(width, height) {
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  return canvas.getContext("2d", { willReadFrequently: true });
}

/** Encode the image that the network sees as PNG in base64. */
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
