"use strict";
/* The page: takes a picture, prepares it, asks the network, shows what came of it. */

const byId = (id) => document.getElementById(id);
const main = document.querySelector("main");
const rows = [...document.querySelectorAll(".bars li")];
const parsed = (id) => JSON.parse(byId(id).textContent);
const steps = parsed("steps");
const weights = readWeights(byId("weights").textContent, parsed("shapes").map(product));
const largest = Number(main.dataset.largest);
const MOST_PIXELS = 100e6; // what a browser decodes and a canvas holds

const BACKGROUNDS = {
  none: "No plain background was found, so all of the picture was taken for the garment.",
  "already prepared": "Taken as it is: 28×28 and grey, as in the data set.",
};

/* Of several pictures in a row, the last one counts. */
let latest = 0;

async function classify(file) {
  const own = ++latest;
  main.classList.add("busy");
  try {
    const picture = await decode(file);
    await new Promise((resolve) => setTimeout(resolve)); // so that the page shows that it works
    if (own !== latest) return;
    const prepared = prepare(picture);
    show(prepared, runNetwork(steps, weights, prepared.pixels), file);
  } catch (error) {
    if (own === latest) refuse(error.message);
  } finally {
    if (own === latest) main.classList.remove("busy");
  }
}

/** The picture upright, as `width`, `height` and `data`: red, green, blue and opacity of each pixel. A JPEG is reduced
 *  to a half, a quarter or an eighth as long as neither edge falls below 512 pixels, as Python's decoder does. */
async function decode(file) {
  const name = file.name || "The picture";
  if (file.size > largest) {
    throw new Error(`${name} has ${(file.size / 1e6).toFixed(0)} MB. Up to ${largest / 1e6} MB are opened.`);
  }
  let bitmap;
  try {
    bitmap = await createImageBitmap(file, { colorSpaceConversion: "none", premultiplyAlpha: "none" });
  } catch {
    throw new Error(`${name} cannot be read as a picture.`);
  }
  const { width, height } = bitmap;
  if (width * height > MOST_PIXELS) throw new Error(`${name} has ${width}×${height} pixels, which is too many.`);
  const canvas = document.createElement("canvas");
  Object.assign(canvas, { width, height });
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  pen.drawImage(bitmap, 0, 0);
  bitmap.close();
  const { data } = pen.getImageData(0, 0, width, height);
  const start = new Uint8Array(await file.slice(0, 2).arrayBuffer());
  const isJPEG = start[0] === 0xff && start[1] === 0xd8;
  const every = isJPEG ? [8, 4, 2, 1].find((part) => part === 1 || Math.min(width, height) >= part * 512) : 1;
  return { width, height, data, every };
}

function show({ pixels, background, box }, probabilities, file) {
  const best = probabilities.indexOf(Math.max(...probabilities));
  main.classList.remove("empty");
  byId("problem").hidden = true;
  byId("class").textContent = rows[best].dataset.class;
  byId("share").textContent = percent(probabilities[best]);
  byId("background").textContent = BACKGROUNDS[background] ?? `Background: ${background}.`;
  rows.forEach((row, i) => {
    row.style.setProperty("--share", probabilities[i]);
    row.querySelector(".percent").textContent = percent(probabilities[i]);
    row.classList.toggle("first", i === best);
  });
  const seen = new ImageData(28, 28);
  pixels.forEach((value, i) => seen.data.set([value, value, value, 255], 4 * i));
  byId("seen").getContext("2d").putImageData(seen, 0, 0);
  showOriginal(file, box);
}

/** The picture as it came, and where the garment is in it. */
function showOriginal(file, [left, top, right, bottom]) {
  const original = byId("original");
  URL.revokeObjectURL(original.src);
  original.onload = () => {
    byId("framed").hidden = false;
    const { naturalWidth: width, naturalHeight: height } = original;
    Object.assign(byId("box").style, {
      left: `${(100 * left) / width}%`,
      top: `${(100 * top) / height}%`,
      width: `${(100 * (right - left)) / width}%`,
      height: `${(100 * (bottom - top)) / height}%`,
    });
  };
  original.src = URL.createObjectURL(file);
}

function refuse(message) {
  main.classList.add("empty");
  byId("class").textContent = "No answer";
  byId("share").textContent = byId("background").textContent = "";
  byId("problem").textContent = message;
  byId("problem").hidden = false;
  byId("framed").hidden = true;
  byId("seen").getContext("2d").clearRect(0, 0, 28, 28);
  for (const row of rows) {
    row.style.setProperty("--share", 0);
    row.querySelector(".percent").textContent = "–";
    row.classList.remove("first");
  }
}

const percent = (share) => `${(100 * share).toFixed(1)} %`;

function take(files, otherwise) {
  if (files.length) classify(files[0]);
  else refuse(otherwise);
}

for (const input of [byId("file"), byId("camera")]) {
  input.addEventListener("change", () => {
    if (input.files.length) classify(input.files[0]);
    input.value = ""; // so that the same file may be chosen again
  });
}
document.addEventListener("dragover", (event) => {
  event.preventDefault();
  byId("drop").classList.add("over");
});
document.addEventListener("dragleave", (event) => {
  if (event.relatedTarget === null) byId("drop").classList.remove("over");
});
document.addEventListener("drop", (event) => {
  event.preventDefault();
  byId("drop").classList.remove("over");
  take(event.dataTransfer.files, "Drop a picture file. One from another page must be saved first.");
});
document.addEventListener("paste", (event) => {
  take(event.clipboardData.files, "There is no picture in the clipboard.");
});
