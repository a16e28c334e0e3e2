// A small WebGL scene: bodies as lit meshes, skeletons as balls and bones, a floor, a camera to turn.
// Positions in metres; the scene's own axes are x right, y up, z towards the viewer.
"use strict";

const VERTEX_SHADER = `
attribute vec3 position, normal;
uniform mat4 projection, view;
varying vec3 n, p;
void main() {
  vec4 seen = view * vec4(position, 1.0);
  n = mat3(view) * normal;
  p = seen.xyz;
  gl_Position = projection * seen;
}`;

const FRAGMENT_SHADER = `
precision mediump float;
uniform vec4 color;
uniform vec4 fog;      // background, distance at which the floor fades into it (0: never)
uniform float lit;
varying vec3 n, p;
void main() {
  vec3 normal = normalize(n);
  float toLight = 0.5 + 0.5 * dot(normal, normalize(vec3(-0.45, 0.75, 0.55)));
  float rim = pow(1.0 - max(dot(normal, normalize(-p)), 0.0), 3.0);
  vec3 shaded = color.rgb * (0.30 + 0.80 * toLight * toLight) + 0.10 * rim;
  vec3 result = mix(color.rgb, shaded, lit);
  float fade = fog.w > 0.0 ? clamp(length(p) / fog.w, 0.0, 1.0) : 0.0;
  gl_FragColor = vec4(mix(result, fog.rgb, fade * fade), color.a);
}`;

// ---- 4 x 4 matrices, column by column, as WebGL takes them

const Matrix = {
  perspective(fovY, aspect, near, far) {
    const f = 1 / Math.tan(fovY / 2), d = near - far;
    return new Float32Array([f / aspect, 0, 0, 0, 0, f, 0, 0, 0, 0, (far + near) / d, -1,
      0, 0, 2 * far * near / d, 0]);
  },
  // A pinhole with OpenCV's pixels: the centre of the top-left one is (0, 0).
  pinhole({fx, fy, cx, cy, width, height}, near, far) {
    const d = near - far;
    return new Float32Array([2 * fx / width, 0, 0, 0, 0, 2 * fy / height, 0, 0,
      1 - 2 * (cx + 0.5) / width, 2 * (cy + 0.5) / height - 1, (far + near) / d, -1,
      0, 0, 2 * far * near / d, 0]);
  },
  lookAt(eye, target) {
    const z = normalized(minus(eye, target)), x = normalized(cross([0, 1, 0], z)), y = cross(z, x);
    return new Float32Array([x[0], y[0], z[0], 0, x[1], y[1], z[1], 0, x[2], y[2], z[2], 0,
      -dot(x, eye), -dot(y, eye), -dot(z, eye), 1]);
  },
  identity: () => new Float32Array([1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]),
};

const minus = (a, b) => [a[0] - b[0], a[1] - b[1], a[2] - b[2]];
const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
const cross = (a, b) =>
  [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
const normalized = (a) => { const l = Math.hypot(...a) || 1; return [a[0] / l, a[1] / l, a[2] / l]; };

// From the axes of the data to those of the scene: an optical frame has y down and z forward, any other
// frame of ROS has z up.
const AXES = {
  optical: (x, y, z) => [x, -y, -z],
  world: (x, y, z) => [x, z, -y],
};

function toScene(points, axes) {
  const moved = new Float32Array(points.length), turn = AXES[axes];
  for (let i = 0; i < points.length; i += 3) {
    moved.set(turn(points[i], points[i + 1], points[i + 2]), i);
  }
  return moved;
}

// ---- Shapes: {positions, normals, indices}

function vertexNormals(positions, indices) {
  const normals = new Float32Array(positions.length);
  for (let i = 0; i < indices.length; i += 3) {
    const [a, b, c] = [3 * indices[i], 3 * indices[i + 1], 3 * indices[i + 2]];
    const ux = positions[b] - positions[a], uy = positions[b + 1] - positions[a + 1],
      uz = positions[b + 2] - positions[a + 2], vx = positions[c] - positions[a],
      vy = positions[c + 1] - positions[a + 1], vz = positions[c + 2] - positions[a + 2];
    const nx = uy * vz - uz * vy, ny = uz * vx - ux * vz, nz = ux * vy - uy * vx;
    for (const k of [a, b, c]) {
      normals[k] += nx; normals[k + 1] += ny; normals[k + 2] += nz;
    }
  }
  return normals;
}

const SPHERE = (() => {
  const positions = [], indices = [], rows = 8, columns = 12;
  for (let i = 0; i <= rows; i++) {
    for (let j = 0; j <= columns; j++) {
      const a = Math.PI * i / rows, b = 2 * Math.PI * j / columns;
      positions.push(Math.sin(a) * Math.cos(b), Math.cos(a), -Math.sin(a) * Math.sin(b));
      if (i < rows && j < columns) {
        const k = i * (columns + 1) + j;
        indices.push(k, k + columns + 1, k + 1, k + 1, k + columns + 1, k + columns + 2);
      }
    }
  }
  return {positions, indices};
})();

// Balls at the joints and rods between them; joints [J * 3], bones as pairs of joints. Joints that are
// not finite are left out.
function skeletonShape(joints, bones, radius) {
  const positions = [], normals = [], indices = [], there = (j) => isFinite(joints[3 * j]);
  const at = (j) => [joints[3 * j], joints[3 * j + 1], joints[3 * j + 2]];
  for (let j = 0; j < joints.length / 3; j++) {
    if (!there(j)) continue;
    const base = positions.length / 3, centre = at(j);
    for (let i = 0; i < SPHERE.positions.length; i++) {
      positions.push(centre[i % 3] + radius * SPHERE.positions[i]);
      normals.push(SPHERE.positions[i]);
    }
    for (const k of SPHERE.indices) indices.push(base + k);
  }
  for (const [a, b] of bones) {
    if (!there(a) || !there(b)) continue;
    const from = at(a), along = minus(at(b), from), base = positions.length / 3, sides = 8;
    const axis = normalized(along);
    const u = normalized(cross(axis, Math.abs(axis[1]) < 0.9 ? [0, 1, 0] : [1, 0, 0]));
    const v = cross(axis, u);
    for (let i = 0; i <= sides; i++) {
      const c = Math.cos(2 * Math.PI * i / sides), s = Math.sin(2 * Math.PI * i / sides);
      const n = [c * u[0] + s * v[0], c * u[1] + s * v[1], c * u[2] + s * v[2]];
      for (const t of [0, 1]) {
        for (let k = 0; k < 3; k++) {
          positions.push(from[k] + t * along[k] + 0.55 * radius * n[k]);
          normals.push(n[k]);
        }
      }
      if (i < sides) {
        const k = base + 2 * i;
        indices.push(k, k + 2, k + 1, k + 1, k + 2, k + 3);
      }
    }
  }
  return {positions: new Float32Array(positions), normals: new Float32Array(normals),
    indices: new Uint16Array(indices)};
}

// ---- The scene

class Scene {
  // `background`: [r, g, b] 0..1, or null for a transparent picture, to lie over another.
  constructor(canvas, background) {
    this.canvas = canvas;
    this.background = background;
    const gl = canvas.getContext("webgl", {antialias: true, alpha: true,
      preserveDrawingBuffer: true});
    if (!gl) throw new Error("this browser shows no WebGL: switch hardware acceleration on");
    this.gl = gl;
    this.program = this._link();
    this.shapes = [];  // {positions, normals, indices, color [r, g, b, a]}, as they are to be drawn
    this.floor = null;
    this.orbit = {target: [0, 0, 0], distance: 4, yaw: 0.5, pitch: 0.25};
    this.camera = null;  // intrinsics: look through the real camera instead of orbiting
    this._buffers = new Map();
  }

  _link() {
    const gl = this.gl, program = gl.createProgram();
    for (const [type, source] of [[gl.VERTEX_SHADER, VERTEX_SHADER],
      [gl.FRAGMENT_SHADER, FRAGMENT_SHADER]]) {
      const shader = gl.createShader(type);
      gl.shaderSource(shader, source);
      gl.compileShader(shader);
      gl.attachShader(program, shader);
    }
    gl.linkProgram(program);
    if (!gl.getProgramParameter(program, gl.LINK_STATUS)) {
      throw new Error("WebGL: " + gl.getProgramInfoLog(program));
    }
    gl.useProgram(program);
    return program;
  }

  // A square floor with lines every metre, `half` metres to each side, at this height.
  setFloor(y, centreX, centreZ, half) {
    const lines = [], x0 = Math.round(centreX), z0 = Math.round(centreZ), n = Math.ceil(half);
    for (let i = -n; i <= n; i++) {
      lines.push(x0 + i, y, z0 - n, x0 + i, y, z0 + n, x0 - n, y, z0 + i, x0 + n, y, z0 + i);
    }
    this.floor = {positions: new Float32Array(lines), reach: 2.2 * n};
  }

  // Turn with the left button, move with the right one or shift, come nearer with the wheel.
  enableOrbit(changed) {
    const canvas = this.canvas, orbit = this.orbit;
    canvas.style.touchAction = "none";
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
    canvas.addEventListener("pointerdown", (event) => canvas.setPointerCapture(event.pointerId));
    canvas.addEventListener("pointermove", (event) => {
      if (!event.buttons) return;
      const dx = event.movementX / canvas.clientHeight, dy = event.movementY / canvas.clientHeight;
      if (event.buttons & 2 || event.shiftKey) {
        const step = orbit.distance, right = [Math.cos(orbit.yaw), 0, -Math.sin(orbit.yaw)];
        orbit.target = [orbit.target[0] - dx * step * right[0], orbit.target[1] + dy * step,
          orbit.target[2] - dx * step * right[2]];
      } else {
        orbit.yaw -= 4 * dx;
        orbit.pitch = Math.min(1.5, Math.max(-1.2, orbit.pitch + 4 * dy));
      }
      changed();
    });
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      orbit.distance *= Math.exp(0.001 * event.deltaY);
      orbit.distance = Math.min(60, Math.max(0.4, orbit.distance));
      changed();
    }, {passive: false});
  }

  _cameraMatrices() {
    if (this.camera) return [Matrix.pinhole(this.camera, 0.05, 100), Matrix.identity()];
    const {target, distance, yaw, pitch} = this.orbit;
    const eye = [target[0] + distance * Math.sin(yaw) * Math.cos(pitch),
      target[1] + distance * Math.sin(pitch), target[2] + distance * Math.cos(yaw) * Math.cos(pitch)];
    const aspect = this.canvas.width / this.canvas.height;
    return [Matrix.perspective(0.7, aspect, 0.05, 200), Matrix.lookAt(eye, target)];
  }

  draw() {
    const gl = this.gl, canvas = this.canvas, scale = window.devicePixelRatio || 1;
    const width = Math.round(canvas.clientWidth * scale), height = Math.round(canvas.clientHeight * scale);
    if (!width || !height) return;
    if (canvas.width !== width || canvas.height !== height) {
      canvas.width = width; canvas.height = height;
    }
    gl.viewport(0, 0, width, height);
    const back = this.background;
    gl.clearColor(...(back || [0, 0, 0]), back ? 1 : 0);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    gl.enable(gl.DEPTH_TEST);
    gl.enable(gl.BLEND);
    gl.blendFuncSeparate(gl.SRC_ALPHA, gl.ONE_MINUS_SRC_ALPHA, gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
    const [projection, view] = this._cameraMatrices();
    this._uniform("projection", "uniformMatrix4fv", false, projection);
    this._uniform("view", "uniformMatrix4fv", false, view);
    if (this.floor && !this.camera) this._drawFloor(back || [0, 0, 0]);
    this._uniform("fog", "uniform4f", 0, 0, 0, 0);
    this._uniform("lit", "uniform1f", 1);
    // What one can look through comes last; of it only the nearest surface is drawn.
    const solid = this.shapes.filter((shape) => shape.color[3] >= 1);
    const clear = this.shapes.filter((shape) => shape.color[3] < 1);
    for (const shape of solid) this._drawShape(shape);
    for (const shape of clear) {
      gl.colorMask(false, false, false, false);
      this._drawShape(shape);
      gl.colorMask(true, true, true, true);
      gl.depthFunc(gl.LEQUAL);
      this._drawShape(shape);
      gl.depthFunc(gl.LESS);
    }
  }

  _drawFloor(background) {
    const gl = this.gl, floor = this.floor, light = background[0] > 0.5;
    this._uniform("color", "uniform4f", ...(light ? [0.62, 0.65, 0.70] : [0.36, 0.39, 0.44]), 1);
    this._uniform("fog", "uniform4f", ...background, floor.reach + this.orbit.distance * 0.6);
    this._uniform("lit", "uniform1f", 0);
    this._attribute("position", floor.positions);
    this._attribute("normal", floor.positions);
    gl.drawArrays(gl.LINES, 0, floor.positions.length / 3);
  }

  _drawShape(shape) {
    const gl = this.gl;
    this._uniform("color", "uniform4f", ...shape.color);
    this._attribute("position", shape.positions);
    this._attribute("normal", shape.normals);
    gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, this._buffer("indices"));
    gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, shape.indices, gl.DYNAMIC_DRAW);
    gl.drawElements(gl.TRIANGLES, shape.indices.length, gl.UNSIGNED_SHORT, 0);
  }

  _attribute(name, values) {
    const gl = this.gl, place = gl.getAttribLocation(this.program, name);
    gl.bindBuffer(gl.ARRAY_BUFFER, this._buffer(name));
    gl.bufferData(gl.ARRAY_BUFFER, values, gl.DYNAMIC_DRAW);
    gl.enableVertexAttribArray(place);
    gl.vertexAttribPointer(place, 3, gl.FLOAT, false, 0, 0);
  }

  _uniform(name, setter, ...values) {
    this.gl[setter](this.gl.getUniformLocation(this.program, name), ...values);
  }

  _buffer(name) {
    if (!this._buffers.has(name)) this._buffers.set(name, this.gl.createBuffer());
    return this._buffers.get(name);
  }
}
