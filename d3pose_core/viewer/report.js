// The report's player: the people of one recording, a timeline, and the charts' common cursor.
"use strict";

const by = (id) => document.getElementById(id);

async function startReport() {
  const facts = JSON.parse(by("facts").textContent);
  const data = await unpackText(by("people-data").textContent);
  const body = new Body(await unpackText(by("body-data").textContent));
  const frames = data.time.length;
  const ours = rowsByFrame(data.ours_frame), theirs = rowsByFrame(data.theirs_frame);
  const scene = new Scene(by("stage"), [0.125, 0.14, 0.17]);
  const player = {frame: 0, playing: false, began: 0, from: 0};

  const shapesOf = (positions, indices, color) =>
    ({positions, normals: vertexNormals(positions, indices), indices, color});

  function show(frame) {
    player.frame = frame;
    scene.shapes = [];
    const wantsMesh = by("mesh").checked && facts.mesh;
    for (const row of ours.get(frame) || []) {
      const color = facts.colors[data.ours_id[row] % facts.colors.length];
      const size = 3 * facts.ourJoints;
      let joints = data.ours_joints.subarray(size * row, size * row + size);
      if (facts.mesh) {
        const posed = body.posed(data.ours_pose.subarray(72 * row, 72 * row + 72),
          data.ours_betas.subarray(10 * row, 10 * row + 10),
          data.ours_transl.subarray(3 * row, 3 * row + 3));
        joints = posed.joints;
        if (wantsMesh) {
          scene.shapes.push(shapesOf(toScene(posed.positions, facts.axes), body.faces,
            [...color, by("bones").checked ? 0.55 : 1]));
        }
      }
      if (by("bones").checked) {
        const shape = skeletonShape(toScene(joints, facts.axes), facts.bones, 0.022);
        scene.shapes.push({...shape, color: [...color.map((c) => 0.35 + 0.65 * c), 1]});
      }
    }
    if (by("reference").checked) {
      const size = 3 * facts.referenceJoints;
      for (const row of theirs.get(frame) || []) {
        const joints = data.theirs_joints.subarray(size * row, size * row + size);
        const shape = skeletonShape(toScene(joints, facts.axes), facts.referenceBones, 0.024);
        scene.shapes.push({...shape, color: [0.82, 0.84, 0.87, 1]});
      }
    }
    by("time").value = frame;
    const error = data.error[frame];
    by("now").textContent = `${(data.time[frame]).toFixed(2)} s   frame ${frame + 1} of ${frames}\n` +
      (isFinite(error) ? `MPJPE ${error.toFixed(0)} mm` : "nobody matched");
    moveCursors(data.time[frame]);
    scene.draw();
  }

  function moveCursors(time) {
    for (const chart of document.querySelectorAll("svg.chart")) {
      const {start, end, left, right} = numbers(chart.dataset), cursor = chart.querySelector(".cursor");
      const x = left + (right - left) * (time - start) / Math.max(end - start, 1e-9);
      cursor.setAttribute("transform", `translate(${x},0)`);
      cursor.style.display = "";
    }
  }

  const seek = (time) => {
    let best = 0;
    for (let i = 0; i < frames; i++) {
      if (Math.abs(data.time[i] - time) < Math.abs(data.time[best] - time)) best = i;
    }
    player.from = data.time[best];
    player.began = performance.now();
    show(best);
  };

  function step(now) {
    if (!player.playing) return;
    const end = data.time[frames - 1];
    let time = player.from + (now - player.began) / 1000 * Number(by("speed").value);
    if (time > end) { player.from = data.time[0]; player.began = now; time = player.from; }
    let frame = player.frame;
    if (data.time[frame] > time) frame = 0;
    while (frame + 1 < frames && data.time[frame + 1] <= time) frame++;
    if (frame !== player.frame) show(frame);
    requestAnimationFrame(step);
  }

  function play(on) {
    player.playing = on;
    by("play").textContent = on ? "Pause" : "Play";
    player.from = data.time[player.frame];
    player.began = performance.now();
    if (on) requestAnimationFrame(step);
  }

  by("time").max = frames - 1;
  by("time").addEventListener("input", () => seek(data.time[Number(by("time").value)]));
  by("play").addEventListener("click", () => play(!player.playing));
  by("speed").addEventListener("change", () => play(player.playing));
  for (const id of ["mesh", "bones", "reference"]) by(id).addEventListener("change", () => show(player.frame));
  by("mesh").disabled = !facts.mesh;
  document.addEventListener("keydown", (event) => {
    if (event.target.matches("input[type=range], select, button")) return;
    if (event.key === " ") { event.preventDefault(); play(!player.playing); }
    if (event.key === "ArrowRight") show(Math.min(frames - 1, player.frame + 1));
    if (event.key === "ArrowLeft") show(Math.max(0, player.frame - 1));
  });
  for (const chart of document.querySelectorAll("svg.chart")) {
    chart.style.cursor = "crosshair";
    chart.addEventListener("click", (event) => {
      const {start, end, left, right} = numbers(chart.dataset), box = chart.getBoundingClientRect();
      const x = (event.clientX - box.left) / box.width * chart.viewBox.baseVal.width;
      seek(start + (end - start) * (x - left) / (right - left));
    });
  }
  for (const moment of document.querySelectorAll("[data-time]")) {
    moment.addEventListener("click", () => {
      play(false);
      seek(Number(moment.dataset.time));
      by("stage").scrollIntoView({block: "center"});
    });
  }

  const {centre, floor, reach} = extent(toScene(data.theirs_joints, facts.axes), toScene(data.ours_joints, facts.axes));
  const views = {front: [0.35, 0.12], side: [Math.PI / 2, 0.05], top: [0.0, 1.45]};
  function view(name) {
    Object.assign(scene.orbit, {target: centre, distance: 1.6 + 2.6 * reach});
    [scene.orbit.yaw, scene.orbit.pitch] = views[name];
    show(player.frame);
  }
  for (const button of document.querySelectorAll("[data-view]")) {
    button.addEventListener("click", () => view(button.dataset.view));
  }
  scene.setFloor(floor, centre[0], centre[2], reach + 2);
  scene.enableOrbit(() => scene.draw());
  window.addEventListener("resize", () => scene.draw());
  view("front");
  // report.html#t=1.5 opens at that second; else at the first frame that has something to compare.
  const wanted = /^#t=([\d.]+)$/.exec(location.hash);
  seek(wanted ? Number(wanted[1]) : data.time[Math.max(0, data.error.findIndex(isFinite))]);
  document.body.dataset.ready = "yes";
}

function rowsByFrame(frames) {
  const rows = new Map();
  frames.forEach((frame, row) => rows.has(frame) ? rows.get(frame).push(row) : rows.set(frame, [row]));
  return rows;
}

const numbers = (dataset) =>
  Object.fromEntries(Object.entries(dataset).map(([key, value]) => [key, Number(value)]));

// Where people are, without the outermost hundredth: centre, height of the floor, half the greatest side.
function extent(...sets) {
  const axes = [[], [], []];
  for (const points of sets) {
    for (let i = 0; i < points.length; i++) if (isFinite(points[i])) axes[i % 3].push(points[i]);
  }
  const bounds = axes.map((values) => {
    const sorted = Float32Array.from(values).sort(), n = sorted.length;
    return n ? [sorted[Math.floor(0.01 * n)], sorted[Math.ceil(0.99 * n) - 1]] : [-1, 1];
  });
  const centre = bounds.map(([low, high]) => (low + high) / 2);
  const reach = Math.max(0.9, ...bounds.map(([low, high]) => (high - low) / 2));
  return {centre, floor: bounds[1][0] - 0.07, reach};
}

startReport().catch((error) => {
  by("now").textContent = "The viewer could not start: " + error.message;
  document.body.dataset.ready = "failed: " + error.message;
});
