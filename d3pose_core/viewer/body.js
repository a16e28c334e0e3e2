// SMPL-format bodies in the browser: linear blend skinning after Loper et al. (2015), as in
// d3pose_core/body/model.py, so that 85 numbers a person travel instead of a mesh.
"use strict";

// A pack of arrays as d3pose_core/viewer/pack.py writes it: length of the header, JSON header, bytes.
function unpack(buffer) {
  const length = new DataView(buffer).getUint32(0, true);
  const entries = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  const kinds = {float32: Float32Array, float64: Float64Array, int32: Int32Array, int8: Int8Array,
    uint16: Uint16Array, uint8: Uint8Array};
  const arrays = {};
  for (const {name, dtype, count, offset} of entries) {
    arrays[name] = new kinds[dtype](buffer, offset, count);
  }
  return arrays;
}

// The same, gzipped and in base 64, as it stands in a page.
async function unpackText(text) {
  const bytes = Uint8Array.from(atob(text.trim()), (c) => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return unpack(await new Response(stream).arrayBuffer());
}

class Body {
  constructor(arrays) {
    Object.assign(this, arrays);
    this.numVertices = this.template.length / 3;
    this.shaped = new Float32Array(this.template);
    this.restJoints = new Float32Array(72);
    this.betas = null;
    this._sparsePosedirs();
  }

  // Pose correctives are mostly zero: per feature only what is not.
  _sparsePosedirs() {
    const size = this.template.length;
    this.correctives = [];
    for (let k = 0; k < 207; k++) {
      const at = [], by = [];
      for (let i = 0; i < size; i++) {
        const value = this.posedirs[k * size + i];
        if (value) { at.push(i); by.push(value * this.posedirs_unit[0]); }
      }
      this.correctives.push([Uint32Array.from(at), Float32Array.from(by)]);
    }
    this.posedirs = null;
  }

  _shape(betas) {
    if (this.betas && betas.every((b, i) => b === this.betas[i])) return;
    this.betas = Float32Array.from(betas);
    mixed(this.template, this.shapedirs, betas, this.shaped);
    mixed(this.joint_template, this.joint_shapedirs, betas, this.restJoints);
  }

  // pose [72] axis-angle, betas [10], transl [3] -> {positions [V * 3], joints [72]} in the same frame.
  posed(pose, betas, transl) {
    this._shape(betas);
    const world = [], rest = this.restJoints, fromRest = new Float32Array(24 * 12);
    const joints = new Float32Array(72), points = Float32Array.from(this.shaped);
    for (let j = 0; j < 24; j++) {
      const local = rotation(pose[3 * j], pose[3 * j + 1], pose[3 * j + 2]);
      const p = this.parents[j], r = 3 * j;
      let turn = local, place = [rest[r], rest[r + 1], rest[r + 2]];
      if (p < 255) {
        const up = world[p], bone = [0, 1, 2].map((k) => rest[r + k] - rest[3 * p + k]);
        turn = product(up.turn, local);
        place = [0, 1, 2].map((k) => up.place[k] + up.turn[3 * k] * bone[0]
          + up.turn[3 * k + 1] * bone[1] + up.turn[3 * k + 2] * bone[2]);
      }
      world.push({turn, place});
      for (let k = 0; k < 3; k++) {
        joints[r + k] = place[k] + transl[k];
        fromRest.set(turn.slice(3 * k, 3 * k + 3), 12 * j + 4 * k);
        fromRest[12 * j + 4 * k + 3] = place[k] - turn[3 * k] * rest[r]
          - turn[3 * k + 1] * rest[r + 1] - turn[3 * k + 2] * rest[r + 2] + transl[k];
      }
      if (j) this._correct(points, j, local);
    }
    return {positions: this._skin(points, fromRest), joints};
  }

  _correct(points, joint, turn) {
    for (let k = 0; k < 9; k++) {
      const amount = turn[k] - (k % 4 === 0 ? 1 : 0);
      if (Math.abs(amount) < 1e-4) continue;
      const [at, by] = this.correctives[9 * (joint - 1) + k];
      for (let i = 0; i < at.length; i++) points[at[i]] += amount * by[i];
    }
  }

  _skin(points, fromRest) {
    const out = new Float32Array(points.length), per = this.bone_index.length / this.numVertices;
    const m = new Float32Array(12);
    for (let v = 0; v < this.numVertices; v++) {
      m.fill(0);
      for (let i = v * per; i < (v + 1) * per; i++) {
        const weight = this.bone_weight[i], base = 12 * this.bone_index[i];
        if (weight) for (let k = 0; k < 12; k++) m[k] += weight * fromRest[base + k];
      }
      const x = points[3 * v], y = points[3 * v + 1], z = points[3 * v + 2];
      out[3 * v] = m[0] * x + m[1] * y + m[2] * z + m[3];
      out[3 * v + 1] = m[4] * x + m[5] * y + m[6] * z + m[7];
      out[3 * v + 2] = m[8] * x + m[9] * y + m[10] * z + m[11];
    }
    return out;
  }
}

// template [K] + directions [K * 10] . betas [10]
function mixed(template, directions, betas, out) {
  for (let i = 0; i < template.length; i++) {
    let sum = template[i];
    for (let b = 0; b < 10; b++) sum += directions[10 * i + b] * betas[b];
    out[i] = sum;
  }
}

// Axis-angle -> 3 x 3, row by row (Rodrigues).
function rotation(x, y, z) {
  const angle = Math.hypot(x, y, z);
  if (angle < 1e-8) return [1, -z, y, z, 1, -x, -y, x, 1];
  const a = x / angle, b = y / angle, c = z / angle, cos = Math.cos(angle), sin = Math.sin(angle);
  const t = 1 - cos;
  return [t * a * a + cos, t * a * b - sin * c, t * a * c + sin * b,
    t * a * b + sin * c, t * b * b + cos, t * b * c - sin * a,
    t * a * c - sin * b, t * b * c + sin * a, t * c * c + cos];
}

function product(a, b) {
  const out = new Array(9);
  for (let i = 0; i < 3; i++) {
    for (let j = 0; j < 3; j++) {
      out[3 * i + j] = a[3 * i] * b[j] + a[3 * i + 1] * b[3 + j] + a[3 * i + 2] * b[6 + j];
    }
  }
  return out;
}
