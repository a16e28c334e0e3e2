// The live page: asks for one packet after another and shows the newest.
"use strict";

const by = (id) => document.getElementById(id);
const facts = JSON.parse(by("facts").textContent);
const css = (color) => `rgb(${color.map((c) => Math.round(255 * c)).join(",")})`;
const colorOf = (id) => facts.colors[id % facts.colors.length];

const SECONDS = 20;
const strips = Object.fromEntries(["rate", "delay", "distance", "angle"].map(
  (name) => [name, new Strip(by(`${name}-chart`), SECONDS)]));
const shown = {packet: null, picture: null, arrived: 0, count: 0, touched: false, floor: null,
  centre: null};
let space = null, overlay = null, body = null;

async function start() {
  space = new Scene(by("space"), [0.085, 0.095, 0.115]);
  overlay = new Scene(by("overlay"), null);
  body = new Body(unpack(await (await fetch("body")).arrayBuffer()));
  facts.jointNames.slice(1).forEach((name, index) =>
    by("joint").add(new Option(name.replace("_", " "), index + 1, false, name === "left_elbow")));
  by("joint").addEventListener("change", () => strips.angle.clear());
  for (const id of ["show-mesh", "show-bones"]) by(id).addEventListener("change", draw);
  for (const button of document.querySelectorAll("[data-view]")) {
    button.addEventListener("click", () => {
      const views = {front: [0.3, 0.15], side: [Math.PI / 2, 0.1], top: [0, 1.4]};
      [space.orbit.yaw, space.orbit.pitch] = views[button.dataset.view];
      draw();
    });
  }
  space.enableOrbit(draw);
  space.orbit.yaw = 0.5;
  window.addEventListener("resize", draw);
  setInterval(tick, 250);
  for (;;) await next();
}

async function next() {
  try {
    const answer = await fetch(`next?after=${shown.count}`);
    if (answer.status === 204) return;
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    shown.count = Number(answer.headers.get("X-Packet-Number"));
    const buffer = await answer.arrayBuffer(), length = new DataView(buffer).getUint32(0, true);
    const packet = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
    const jpeg = buffer.slice(4 + length);
    shown.picture = jpeg.byteLength
      ? await createImageBitmap(new Blob([jpeg], {type: "image/jpeg"})) : null;
    shown.packet = packet;
    shown.arrived = performance.now();
    note(packet);
    draw();
  } catch (error) {
    by("message").textContent = `no connection to d3pose view (${error.message}); trying again`;
    shown.count = 0;
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
}

// Numbers into the charts and tables.
function note(packet) {
  const now = performance.now() / 1000, people = packet.people || [];
  const accent = getComputedStyle(document.body).getPropertyValue("--accent");
  // Stamps of a bag are from long ago: then there is no delay to tell.
  const delay = Math.abs(packet.delayMs) < 60000 && packet.people ? packet.delayMs : null;
  strips.rate.add("rate", accent, now, packet.rate);
  strips.delay.add("delay", accent, now, delay);
  const joint = Number(by("joint").value);
  for (const person of people) {
    const color = css(colorOf(person.id));
    strips.distance.add(person.id, color, now, distance(person));
    const turn = person.pose.slice(3 * joint, 3 * joint + 3);
    strips.angle.add(person.id, color, now, Math.hypot(...turn) * 180 / Math.PI);
  }
  by("rate").textContent = packet.rate ? packet.rate.toFixed(1) : "–";
  by("delay").textContent = delay === null ? "–" : delay.toFixed(0);
  by("frame").textContent = packet.frame ? `frame ${packet.frame}, stamp ${packet.stamp.toFixed(2)} s` : "";
  const from = packet.axes === "optical" ? "the camera" : `the origin of ${packet.frame}`;
  by("distance-title").textContent = `distance from ${from}, m`;
  const rows = people.map((person) => {
    const certain = person.certain.reduce((a, b) => a + b, 0) / person.certain.length;
    return [`<i class="swatch" style="background:${css(colorOf(person.id))}"></i>${person.id}`,
      distance(person).toFixed(2), (100 * person.confidence).toFixed(0), (100 * certain).toFixed(0)];
  });
  fill(by("people"), ["id", `distance from ${text(from)}, m`, "confidence, %", "joints within 10 cm, %"], rows,
    packet.people ? "nobody in sight" : "no messages of people");
  const status = packet.status;
  const values = Object.entries(status.values || {});
  by("status").innerHTML = values.length ? values.map(([key, value]) =>
    `<div><span>${text(key)}</span><span class="number">${text(value)}</span></div>`).join("")
    : '<span class="soft">no diagnostics yet</span>';
  by("message").textContent = status.message || "";
}

// In a world frame the camera may be anywhere: there it is the distance from the frame's origin.
const distance = (person) => Math.hypot(...person.joints.slice(0, 3));

function text(value) {
  const node = document.createElement("span");
  node.textContent = value;
  return node.innerHTML;
}

// A table; `rows` of HTML.
function fill(table, head, rows, otherwise) {
  const cells = (row, tag) => `<tr>${row.map((cell) => `<${tag}>${cell}</${tag}>`).join("")}</tr>`;
  table.innerHTML = rows.length
    ? cells(head, "th") + rows.map((row) => cells(row, "td")).join("")
    : `<tr><td class="soft">${otherwise}</td></tr>`;
}

function draw() {
  const packet = shown.packet;
  if (!packet) { space.draw(); return; }
  const people = (packet.people || []).map((person) => ({...person, ...posed(packet, person)}));
  drawSpace(packet, people);
  drawPicture(packet, people);
}

function posed(packet, person) {
  const joints = Float32Array.from(person.joints, (value) => value === null ? NaN : value);
  if (!packet.mesh) return {points: joints, mesh: null};
  const {positions} = body.posed(person.pose, person.betas, person.transl);
  const moved = toScene(positions, packet.axes);
  return {points: joints, mesh: {positions: moved, indices: body.faces,
    normals: vertexNormals(moved, body.faces)}};
}

function drawSpace(packet, people) {
  space.shapes = [];
  for (const person of people) {
    const color = colorOf(person.id), points = toScene(person.points, packet.axes);
    if (person.mesh && by("show-mesh").checked) {
      space.shapes.push({...person.mesh, color: [...color, by("show-bones").checked ? 0.6 : 1]});
    }
    if (by("show-bones").checked) {
      space.shapes.push({...skeletonShape(points, facts.bones, 0.022),
        color: [...color.map((c) => 0.4 + 0.6 * c), 1]});
    }
    follow(points);
  }
  space.draw();
}

// The floor lies under the lowest foot of late; the view goes after the people's middle.
function follow(points) {
  let low = Infinity;
  for (let i = 1; i < points.length; i += 3) if (isFinite(points[i])) low = Math.min(low, points[i]);
  const hips = [points[0], points[1], points[2]];
  if (!isFinite(low) || !hips.every(isFinite)) return;
  const floor = low - 0.07, near = (a, b, t) => a + (b - a) * t;
  shown.floor = shown.floor === null ? floor : near(shown.floor, floor, floor < shown.floor ? 0.3 : 0.02);
  shown.centre = shown.centre === null ? hips
    : shown.centre.map((value, k) => near(value, hips[k], 0.05));
  space.setFloor(shown.floor, shown.centre[0], shown.centre[2], 5);
  if (by("follow").checked) space.orbit.target = [...shown.centre];
}

function drawPicture(packet, people) {
  const canvas = by("picture"), paint = canvas.getContext("2d"), size = packet.size;
  by("no-picture").style.display = size ? "none" : "";
  by("no-picture").textContent = packet.people
    ? "no images: give their topic by --image" : "waiting for images";
  if (!size) { canvas.width = canvas.width; overlay.shapes = []; overlay.draw(); return; }
  by("camera-view").style.aspectRatio = `${size[0]} / ${size[1]}`;
  canvas.width = shown.picture.width;
  canvas.height = shown.picture.height;
  paint.drawImage(shown.picture, 0, 0);
  const scale = shown.picture.width / size[0];
  const wantsMesh = by("show-mesh").checked && packet.camera;
  by("note").textContent = people.length && by("show-mesh").checked && !packet.camera
    ? "no mesh over the picture: people are not in this camera's frame, or its lens is distorted"
    : people.length && !packet.mesh ? `no mesh: a page shows free bodies only, this is ${packet.body}` : "";
  overlay.camera = packet.camera;
  overlay.shapes = [];
  for (const person of people) {
    if (wantsMesh && person.mesh) {
      overlay.shapes.push({...person.mesh, color: [...colorOf(person.id), by("show-bones").checked ? 0.6 : 0.9]});
    }
    if (by("show-bones").checked) drawBones(paint, person, scale);
  }
  overlay.draw();
}

function drawBones(paint, person, scale) {
  const at = (j) => [scale * person.pixels[2 * j], scale * person.pixels[2 * j + 1]];
  const there = (j) => person.pixels[2 * j] !== null;
  paint.lineWidth = Math.max(2, paint.canvas.width / 320);
  paint.lineCap = "round";
  for (const [a, b] of facts.bones) {
    if (!there(a) || !there(b)) continue;
    // Less certain joints are fainter.
    paint.globalAlpha = 0.25 + 0.75 * Math.min(person.certain[a], person.certain[b]);
    paint.strokeStyle = css(colorOf(person.id).map((c) => 0.3 + 0.7 * c));
    paint.beginPath(); paint.moveTo(...at(a)); paint.lineTo(...at(b)); paint.stroke();
  }
  paint.globalAlpha = 1;
}

function tick() {
  const silent = (performance.now() - shown.arrived) / 1000, state = by("state");
  const [name, kind] = !shown.packet ? ["waiting for topics", ""]
    : silent > 2 ? [`silent for ${silent.toFixed(0)} s`, "late"]
      : shown.packet.people ? ["live", "live"] : ["images, but no people topic", "late"];
  state.textContent = name;
  state.className = `pill ${kind}`;
  document.body.dataset.state = shown.packet && shown.packet.people && shown.packet.people.length
    ? "people" : "nobody";
  for (const strip of Object.values(strips)) strip.draw(performance.now() / 1000);
}

start().catch((error) => { by("message").textContent = `This page could not start: ${error.message}`; });
