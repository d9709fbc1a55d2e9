"use strict";
/* Execute the list of operations that export/operations.py describes, for one image. */

/** Return weights by number, from the file's bytes: float32, one after another. */
function readWeights(base64, lengths) {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  const numbers = new Float32Array(bytes.buffer);
  let end = 0;
  return lengths.map((length) => numbers.subarray(end, (end += length)));
}

/** Return logits and probabilities of an image, given as numbers from 0 to 255, one channel after another. */
function runNetwork(steps, weights, image, shape) {
  const places = [{ data: Float32Array.from(image), shape }];
  for (const step of steps) {
    const read = step.in.map((place) => places[place]);
    const data = OPERATIONS[step.op](step, read, weights[step.weight], weights[step.bias]);
    places.push({ data, shape: step.shape });
  }
  return places.slice(-2).map(({ data }) => data);
}

const product = (sizes) => sizes.reduce((a, b) => a * b, 1);
const elementwise = (compute) => (step, [a]) => a.data.map(compute);
const pairwise = (compute) => (step, [a, b]) => a.data.map((value, i) => compute(value, b.data[i]));
const sigmoid = (x) => 1 / (1 + Math.exp(-x));

/** Visit each line of values along a dimension, with the position of its first value and the step to the next. */
function forEachLine([before, size, behind], visit) {
  for (let i = 0; i < before; i++) for (let j = 0; j < behind; j++) visit(i * size * behind + j, behind, i, j);
}

/** Gather values along a dimension into one of length `size`, from the positions `at(index)`; `otherwise` outside. */
function gathered(step, [read], size, at, otherwise = 0) {
  const [before, old, behind] = step.sizes;
  const out = new Float32Array(before * size * behind).fill(otherwise);
  for (let i = 0; i < before; i++) {
    for (let k = 0; k < size; k++) {
      const from = at(k);
      if (from < 0 || from >= old) continue;
      const start = (i * old + from) * behind;
      out.set(read.data.subarray(start, start + behind), (i * size + k) * behind);
    }
  }
  return out;
}

const OPERATIONS = {
  add: pairwise((a, b) => a + b),
  sub: pairwise((a, b) => a - b),
  mul: pairwise((a, b) => a * b),
  div: pairwise((a, b) => a / b),
  relu: elementwise((x) => (x > 0 ? x : 0)),
  gelu: elementwise((x) => 0.5 * x * erfc(-x * Math.SQRT1_2)),
  silu: elementwise((x) => x * sigmoid(x)),
  sigmoid: elementwise(sigmoid),
  tanh: elementwise(Math.tanh),
  affine: (step, [a]) => a.data.map((x) => x * step.times + step.plus),
  view: (step, [a]) => a.data,
  flip: (step, read) => gathered(step, read, step.sizes[1], (k) => step.sizes[1] - 1 - k),
  slice: (step, read) => gathered(step, read, step.end - step.start, (k) => k + step.start),
  pad: (step, read) =>
    gathered(step, read, step.before + step.sizes[1] + step.after, (k) => k - step.before, step.value),

  cat(step, read) {
    const out = new Float32Array(product(step.shape));
    const row = step.sizes.reduce((sum, [, size, behind]) => sum + size * behind, 0);
    let column = 0;
    read.forEach(({ data }, part) => {
      const [before, size, behind] = step.sizes[part];
      const length = size * behind;
      for (let i = 0; i < before; i++) out.set(data.subarray(i * length, (i + 1) * length), i * row + column);
      column += length;
    });
    return out;
  },

  scale(step, [{ data }], scale, shift) {
    const [before, size, behind] = step.sizes;
    const out = new Float32Array(data.length);
    for (let i = 0, at = 0; i < before; i++) {
      for (let c = 0; c < size; c++) for (let j = 0; j < behind; j++, at++) out[at] = data[at] * scale[c] + shift[c];
    }
    return out;
  },

  mean(step, [{ data }]) {
    const [before, size, behind] = step.sizes;
    const out = new Float32Array(before * behind);
    forEachLine(step.sizes, (start, next, i, j) => {
      let sum = 0;
      for (let k = 0; k < size; k++) sum += data[start + k * next];
      out[i * behind + j] = sum / size;
    });
    return out;
  },

  softmax(step, [{ data }]) {
    const size = step.sizes[1];
    const out = new Float32Array(data.length);
    forEachLine(step.sizes, (start, next) => {
      let most = -Infinity;
      for (let k = 0; k < size; k++) most = Math.max(most, data[start + k * next]);
      let sum = 0;
      for (let k = 0; k < size; k++) sum += Math.exp(data[start + k * next] - most);
      for (let k = 0; k < size; k++) out[start + k * next] = Math.exp(data[start + k * next] - most) / sum;
    });
    return out;
  },

  linear(step, [{ data }], weight, bias) {
    const outputs = step.shape.at(-1);
    const out = new Float32Array(product(step.shape));
    multiply(data, weight, bias, outputs, (row, output, value) => { out[row * outputs + output] = value; });
    return out;
  },

  conv(step, [{ data, shape }], weight, bias) {
    const [images, outputs, height, width] = step.shape;
    const out = new Float32Array(product(step.shape));
    const length = product(shape.slice(1)), area = height * width;
    for (let image = 0; image < images; image++) {
      const features = data.subarray(image * length, (image + 1) * length);
      const patches = patchesOf(features, shape, step, weight.length / outputs);
      multiply(patches, weight, bias, outputs, (place, output, value) => {
        out[(image * outputs + output) * area + place] = value;
      });
    }
    return out;
  },

  max_pool: (step, [read]) => pooled(step, read, (values) => values.reduce((a, b) => Math.max(a, b))),
  avg_pool: (step, [read]) => pooled(step, read, (values) => values.reduce((a, b) => a + b) / values.length),
};

/** Compute the inner products of all rows of `left` with all rows of `right` (one for each output), four at a time. */
function multiply(left, right, bias, outputs, write) {
  const length = right.length / outputs;
  for (let row = 0; row * length < left.length; row++) {
    const start = row * length;
    let output = 0;
    for (; output + 4 <= outputs; output += 4) {
      let a = 0, b = 0, c = 0, d = 0;
      const first = output * length, second = first + length, third = second + length, fourth = third + length;
      for (let k = 0; k < length; k++) {
        const value = left[start + k];
        a += value * right[first + k];
        b += value * right[second + k];
        c += value * right[third + k];
        d += value * right[fourth + k];
      }
      write(row, output, a + (bias ? bias[output] : 0));
      write(row, output + 1, b + (bias ? bias[output + 1] : 0));
      write(row, output + 2, c + (bias ? bias[output + 2] : 0));
      write(row, output + 3, d + (bias ? bias[output + 3] : 0));
    }
    for (; output < outputs; output++) {
      let sum = bias ? bias[output] : 0;
      for (let k = 0; k < length; k++) sum += left[start + k] * right[output * length + k];
      write(row, output, sum);
    }
  }
}

/** Return the input patch of each position of a convolution's result: a row of `length` numbers, 0 beyond borders. */
function patchesOf(data, [, channels, height, width], { shape, stride, padding, kernel }, length) {
  const [, , down, across] = shape;
  const patches = new Float32Array(down * across * length);
  let at = 0;
  for (let i = 0; i < down; i++) {
    for (let j = 0; j < across; j++) {
      for (let c = 0; c < channels; c++) {
        for (let y = i * stride[0] - padding[0], endY = y + kernel[0]; y < endY; y++) {
          for (let x = j * stride[1] - padding[1], endX = x + kernel[1]; x < endX; x++, at++) {
            if (y >= 0 && y < height && x >= 0 && x < width) patches[at] = data[(c * height + y) * width + x];
          }
        }
      }
    }
  }
  return patches;
}

function pooled({ shape, kernel, stride, padding }, { data, shape: [, , height, width] }, reduce) {
  const [images, channels, down, across] = shape;
  const out = new Float32Array(product(shape));
  let at = 0;
  for (let plane = 0; plane < images * channels; plane++) {
    for (let i = 0; i < down; i++) {
      for (let j = 0; j < across; j++, at++) {
        const values = [];
        for (let y = i * stride[0] - padding[0], endY = y + kernel[0]; y < endY; y++) {
          for (let x = j * stride[1] - padding[1], endX = x + kernel[1]; x < endX; x++) {
            if (y >= 0 && y < height && x >= 0 && x < width) values.push(data[(plane * height + y) * width + x]);
          }
        }
        out[at] = reduce(values);
      }
    }
  }
  return out;
}

/** Compute the complementary error function, with a relative error of 1.2e-7 (Numerical Recipes, erfcc). */
function erfc(x) {
  const t = 1 / (1 + 0.5 * Math.abs(x));
  const terms = [-1.26551223, 1.00002368, 0.37409196, 0.09678418, -0.18628806, 0.27886807, -1.13520398, 1.48851587,
    -0.82215223, 0.17087277];
  const value = t * Math.exp(-x * x + terms.reduceRight((sum, term) => sum * t + term, 0));
  return x >= 0 ? value : 2 - value;
}
