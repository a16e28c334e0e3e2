// A strip chart: the last seconds of a few values, drawn on a canvas.
"use strict";

class Strip {
  constructor(canvas, seconds) {
    this.canvas = canvas;
    this.seconds = seconds;
    this.lines = new Map();  // name -> {color, points: [[time s, value], ...]}
  }

  add(name, color, time, value) {
    if (!this.lines.has(name)) this.lines.set(name, {color, points: []});
    const line = this.lines.get(name);
    line.color = color;
    if (line.points.length && time < line.points[line.points.length - 1][0]) line.points = [];
    line.points.push([time, value]);
  }

  clear() { this.lines.clear(); }

  draw(now) {
    const canvas = this.canvas, scale = window.devicePixelRatio || 1;
    const width = canvas.clientWidth, height = canvas.clientHeight;
    canvas.width = width * scale;
    canvas.height = height * scale;
    const paint = canvas.getContext("2d"), style = getComputedStyle(document.body);
    paint.scale(scale, scale);
    const start = now - this.seconds, left = 34, bottom = height - 6;
    for (const [name, line] of this.lines) {
      line.points = line.points.filter(([time]) => time >= start);
      if (!line.points.length) this.lines.delete(name);
    }
    const values = [...this.lines.values()].flatMap((line) => line.points.map(([, value]) => value))
      .filter((value) => isFinite(value) && value !== null);
    const top = niceTop(Math.max(0, ...values));
    paint.font = "11px system-ui, sans-serif";
    paint.textAlign = "right";
    paint.lineWidth = 1;
    for (const part of [0, 0.5, 1]) {
      const y = bottom - part * (bottom - 8);
      paint.strokeStyle = style.getPropertyValue("--line");
      paint.beginPath(); paint.moveTo(left, y); paint.lineTo(width, y); paint.stroke();
      paint.fillStyle = style.getPropertyValue("--soft");
      paint.fillText(String(+(part * top).toPrecision(3)), left - 6, y + 4);
    }
    paint.lineWidth = 1.8;
    for (const {color, points} of this.lines.values()) {
      paint.strokeStyle = color;
      paint.beginPath();
      let last = -Infinity;
      for (const [time, value] of points) {
        if (!isFinite(value) || value === null) { last = -Infinity; continue; }
        const x = left + (width - left) * (time - start) / this.seconds;
        const y = bottom - (bottom - 8) * Math.min(1, Math.max(0, value / top));
        if (time - last > 2) paint.moveTo(x, y); else paint.lineTo(x, y);
        last = time;
      }
      paint.stroke();
    }
  }
}

// The next round number: 1, 2 or 5 times a power of ten.
function niceTop(value) {
  if (!(value > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((factor) => factor * power).find((top) => top >= value * 1.02);
}
