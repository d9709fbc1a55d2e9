"use strict";

const byId = (id) => document.getElementById(id);
const main = document.querySelector("main");
const rows = new Map([...document.querySelectorAll(".bars li")].map((row) => [row.dataset.class, row]));
const largest = Number(main.dataset.megabytes) * 1e6;

/* A new picture cancels the request for the one before. */
let latest = new AbortController();

async function classify(picture, scroll = true, box = null) {
  if (picture !== framed) framed = null; // the frame that is still shown is another picture's
  latest.abort();
  const own = (latest = new AbortController());
  main.classList.add("busy");
  try {
    const answer = await ask(picture, own.signal, box);
    if (!own.signal.aborted) show(answer, picture);
  } catch (error) {
    if (!own.signal.aborted) refuse(error.message);
  } finally {
    if (own === latest) {
      main.classList.remove("busy");
      if (scroll) byId("answer").scrollIntoView({ block: "nearest", behavior: "smooth" });
    }
  }
}

{% block ask %}
async function ask(picture, signal, box = null) {
  if (picture.size > largest) {
    throw new Error(`The picture has ${Math.ceil(picture.size / 1e6)} MB. The limit is ${largest / 1e6} MB.`);
  }
  const type = picture.type.startsWith("image/") ? picture.type : "application/octet-stream";
  let response;
  try {
    response = await fetch(box ? `classify?box=${box}` : "classify", { method: "POST", body: picture, headers: { "Content-Type": type }, signal });
  } catch {
    const readable = await picture.slice(0, 1).arrayBuffer().then(() => true, () => false);
    throw new Error(readable ? "The server does not answer. Is it still running?" : "This file cannot be read.");
  }
  const said = await response.json().catch(() => ({ detail: `The server answers with an error (${response.status}).` }));
  if (!response.ok) throw new Error(said.detail);
  return said;
}
{% endblock %}

function show(answer, picture) {
  const probability = answer.probabilities[answer.class];
  main.classList.remove("empty");
  byId("problem").hidden = true;
  byId("class").textContent = answer.class;
  byId("share").textContent = percent(probability);
  byId("doubt").hidden = !answer.doubtful;
  byId("likely").textContent = `Likely: ${answer.likely.join(" or ") || "none of these classes"}.`;
  byId("seen").src = `data:image/png;base64,${answer.image}`;
  byId("seen").hidden = false;
  for (const [name, row] of rows) {
    row.style.setProperty("--share", answer.probabilities[name]);
    row.querySelector(".percent").textContent = percent(answer.probabilities[name]);
    row.classList.toggle("first", name === answer.class);
  }
  if (picture !== framed) showOriginal(picture, answer.box);
}

/* The user's picture, where the browser can show its format, and a frame around what the network sees. The user drags
 * the frame, pulls its corner, pinches it with two fingers, or uses the keys or the slider. */
const frame = byId("box"), zoom = byId("zoom"), area = byId("framed");
let framed = null, found = null, seen = null; // the picture, the frame from its first answer, and the frame that is shown
let moved = false, reframing = false;
const fingers = new Map(); // positions by pointer; pulling the corner is a pinch whose other finger is the opposite corner

function showOriginal(picture, box) {
  const original = byId("original");
  URL.revokeObjectURL(original.src);
  zoom.max = Math.min(250, 395 / Math.sqrt((box[2] - box[0]) * (box[3] - box[1]))); // within the server's limit
  [framed, found, zoom.value] = [picture, box, 100];
  original.onload = () => {
    area.hidden = byId("size").hidden = false;
    place(box);
  };
  original.onerror = () => { area.hidden = byId("size").hidden = true; };
  original.src = URL.createObjectURL(picture);
}

function place(box) {
  seen = box;
  const [left, top, right, bottom] = box.map((share) => 100 * share);
  Object.assign(frame.style, { left: `${left}%`, top: `${top}%`, width: `${right - left}%`, height: `${bottom - top}%` });
}

/** Move the frame, and classify what it shows, one request at a time. */
async function reframe(across = 0, down = 0) {
  const sides = [across, down].map((shift, axis) => {
    const middle = Math.min(1, Math.max(0, (seen[axis] + seen[axis + 2]) / 2 + shift));
    const half = ((found[axis + 2] - found[axis]) * zoom.value) / 200;
    return [middle - half, middle + half];
  });
  place([0, 1].flatMap((end) => sides.map((side) => side[end])));
  moved = true;
  if (reframing) return;
  reframing = true;
  while (moved && framed) {
    moved = false;
    await classify(framed, false, seen);
  }
  reframing = false;
}

/** Return the point between the fingers, and their distance. */
function grip() {
  const [a, b = a] = fingers.values();
  return { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2, apart: Math.hypot(a.x - b.x, a.y - b.y) };
}

zoom.addEventListener("input", () => reframe());
area.addEventListener("pointerdown", ({ button, pointerId, target, x, y }) => {
  if (button !== 0 || fingers.size === 2) return;
  area.setPointerCapture(pointerId);
  if (target === byId("corner") && !fingers.size) fingers.set("opposite", frame.getBoundingClientRect());
  fingers.set(pointerId, { x, y });
});
area.addEventListener("pointermove", ({ pointerId, x, y }) => {
  if (!fingers.has(pointerId)) return;
  const before = grip();
  fingers.set(pointerId, { x, y });
  const now = grip();
  if (before.apart) zoom.value *= now.apart / before.apart;
  reframe((now.x - before.x) / area.clientWidth, (now.y - before.y) / area.clientHeight);
});
area.addEventListener("lostpointercapture", ({ pointerId }) => { if (fingers.delete(pointerId)) fingers.delete("opposite"); });
const KEYS = { // shift across, shift down, factor of the size
  ArrowLeft: [-0.02, 0, 1], ArrowRight: [0.02, 0, 1], ArrowUp: [0, -0.02, 1], ArrowDown: [0, 0.02, 1],
  "+": [0, 0, 1.1], "-": [0, 0, 1 / 1.1],
};
frame.addEventListener("keydown", (event) => {
  if (!(event.key in KEYS) || event.ctrlKey || event.metaKey) return; // Ctrl and + enlarge the page
  event.preventDefault();
  const [across, down, times] = KEYS[event.key];
  zoom.value *= times;
  reframe(across, down);
});

function refuse(message) {
  reset();
  byId("class").textContent = "No answer";
  byId("problem").textContent = message;
  byId("problem").hidden = false;
}

function reset() {
  main.classList.add("empty");
  byId("class").textContent = "No picture yet";
  byId("share").textContent = byId("likely").textContent = "";
  framed = byId("original").onload = null;
  fingers.clear();
  for (const id of ["problem", "doubt", "framed", "size", "seen"]) byId(id).hidden = true;
  for (const row of rows.values()) {
    row.style.setProperty("--share", 0);
    row.querySelector(".percent").textContent = "–";
    row.classList.remove("first");
  }
}

const percent = (share) => `${(100 * share).toFixed(1)} %`;

/* Pictures: the user chooses, takes, drops or pastes them. */

for (const input of [byId("file"), byId("camera")]) {
  input.addEventListener("change", () => {
    if (input.files.length) classify(input.files[0]);
    input.value = ""; // so that the same file may be chosen again
  });
}

const drop = byId("drop");
document.addEventListener("dragover", (event) => {
  event.preventDefault();
  drop.classList.add("over");
});
document.addEventListener("dragleave", (event) => {
  if (event.relatedTarget === null) drop.classList.remove("over");
});
document.addEventListener("drop", (event) => {
  event.preventDefault();
  drop.classList.remove("over");
  take(event.dataTransfer.files, "Drop a picture file. To classify a picture on a web page, save it first.");
});
document.addEventListener("paste", (event) => {
  take(event.clipboardData.files, "There is no picture in the clipboard.");
});

function take(files, otherwise) {
  if (files.length) classify(files[0]);
  else refuse(otherwise);
}

/* The drawing, on white paper. */

const paper = byId("paper");
const pen = paper.getContext("2d");
let before = null; // where the pen was, while it is down
let changed = false, asking = false;

function clearPaper() {
  pen.fillStyle = "#ffffff";
  pen.fillRect(0, 0, paper.width, paper.height);
  pen.strokeStyle = "#202020";
  pen.lineWidth = 22;
  pen.lineCap = pen.lineJoin = "round";
}

function draw(event) {
  const scale = paper.width / paper.clientWidth;
  const now = [event.offsetX * scale, event.offsetY * scale];
  pen.beginPath();
  pen.moveTo(...(before ?? now));
  pen.lineTo(...now);
  pen.stroke();
  before = now;
  changed = true;
  askWhileDrawing();
}

/** Classify the drawing, one request at a time. */
async function askWhileDrawing() {
  if (asking) return;
  asking = true;
  while (changed) {
    changed = false;
    await classify(await new Promise((resolve) => paper.toBlob(resolve)), false);
  }
  asking = false;
}

paper.addEventListener("pointerdown", (event) => {
  if (event.button !== 0) return;
  paper.setPointerCapture(event.pointerId);
  before = null;
  draw(event);
  event.preventDefault();
});
paper.addEventListener("pointermove", (event) => {
  if (before) draw(event);
});
for (const end of ["pointerup", "pointercancel"]) paper.addEventListener(end, () => { before = null; });

byId("clear").addEventListener("click", () => {
  clearPaper();
  changed = false;
  latest.abort();
  main.classList.remove("busy");
  reset();
});

clearPaper();
reset();
