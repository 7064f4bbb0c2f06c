// The picture on a canvas: before on the left of the slider, after on its right; moved, zoomed, drawn upon.
// At 1:1 a pixel of the picture is a pixel of the screen, whatever the screen's density.

const HANDLE = 14; // pixels on both sides of the line in which it is taken hold of
const LARGEST = 16; // zoom

export class Viewer {
  // `drawn` is called with ("motion", {length, angle}) and ("region", [x, y, w, h]); `moved` with the slider's percentage;
  // `zoomed` when `zoom` has changed.
  constructor(canvas, { drawn, moved, zoomed }) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.drawn = drawn;
    this.moved = moved;
    this.zoomed = zoomed;
    this.before = this.after = this.region = this.motion = null;
    this.split = 50;
    this.tool = "move";
    this.zoom = 1; // pixels of the screen for one of the picture; null: the whole picture fits
    this.centre = null; // of the view, in the picture
    new ResizeObserver(() => this.draw()).observe(canvas);
    canvas.addEventListener("pointerdown", (event) => this.press(event));
    canvas.addEventListener("keydown", (event) => this.key(event));
    canvas.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
  }

  show(before, after) {
    const another = !this.before || !before || before.naturalWidth !== this.before.naturalWidth || before.naturalHeight !== this.before.naturalHeight;
    if (another) this.centre = before && [before.naturalWidth / 2, before.naturalHeight / 2];
    this.before = before;
    this.after = after; // {image, x, y, w, h} or null
    this.draw();
  }

  get density() { return window.devicePixelRatio || 1; }

  get fit() {
    const { width, height } = this.canvas;
    const { naturalWidth, naturalHeight } = this.before;
    return Math.min(width / naturalWidth, height / naturalHeight);
  }

  get scale() { return this.zoom ?? this.fit; }

  get origin() { // where the picture's corner is on the canvas
    const { width, height } = this.canvas;
    const scale = this.scale;
    const [x, y] = this.zoom ? this.centre : [this.before.naturalWidth / 2, this.before.naturalHeight / 2];
    return [Math.round(width / 2 - x * scale), Math.round(height / 2 - y * scale)];
  }

  onCanvas(event) {
    const box = this.canvas.getBoundingClientRect();
    return [(event.clientX - box.left) * this.density, (event.clientY - box.top) * this.density];
  }

  toPicture(event) {
    const [x, y] = this.onCanvas(event);
    const [left, top] = this.origin;
    return [(x - left) / this.scale, (y - top) / this.scale];
  }

  zoomTo(zoom) { // around the middle; null fits
    this.zoom = zoom;
    this.zoomed();
    this.draw();
  }

  zoomBy(factor, [x, y] = [this.canvas.width / 2, this.canvas.height / 2]) { // around this place of the canvas
    if (!this.before) return;
    const [left, top] = this.origin;
    const least = Math.min(1, this.fit);
    const zoom = Math.min(LARGEST, Math.max(least, this.scale * factor));
    const held = [(x - left) / this.scale, (y - top) / this.scale];
    this.centre = this.within([held[0] - (x - this.canvas.width / 2) / zoom, held[1] - (y - this.canvas.height / 2) / zoom]);
    const exact = Math.abs(Math.log2(zoom)) < 0.03 ? 1 : zoom;
    this.zoomTo(zoom === this.fit ? null : exact);
  }

  wheel(event) { // a trackpad's pinch is a wheel with Ctrl, in small steps
    event.preventDefault();
    const unit = event.deltaMode === WheelEvent.DOM_DELTA_PIXEL ? 1 : 30;
    this.zoomBy(2 ** ((-event.deltaY * unit) / (event.ctrlKey ? 100 : 400)), this.onCanvas(event));
  }

  draw() {
    const { canvas, context } = this;
    canvas.width = Math.round(canvas.clientWidth * this.density);
    canvas.height = Math.round(canvas.clientHeight * this.density);
    if (!this.before) return;
    const scale = this.scale;
    const [left, top] = this.origin;
    const line = (this.split / 100) * canvas.width;
    context.imageSmoothingEnabled = scale < 1;
    context.imageSmoothingQuality = "high";
    context.drawImage(this.before, left, top, this.before.naturalWidth * scale, this.before.naturalHeight * scale);
    if (this.after) {
      const { image, x, y, w, h } = this.after;
      context.save();
      context.beginPath();
      context.rect(line, 0, canvas.width - line, canvas.height);
      context.clip();
      context.drawImage(image, left + x * scale, top + y * scale, w * scale, h * scale);
      context.restore();
      this.stroke(1.5, () => { context.moveTo(line, 0); context.lineTo(line, canvas.height); });
      this.handle(line);
    }
    if (this.region) {
      const [x, y, w, h] = this.region;
      context.setLineDash([6 * this.density, 4 * this.density]);
      this.stroke(1.2, () => context.rect(left + x * scale, top + y * scale, w * scale, h * scale));
      context.setLineDash([]);
    }
    if (this.motion) {
      const [a, b] = this.motion.map(([x, y]) => [left + x * scale, top + y * scale]);
      this.stroke(2.5, () => { context.moveTo(...a); context.lineTo(...b); });
    }
  }

  stroke(width, path) { // white on black, to be seen on anything
    for (const [colour, wider] of [["rgba(0,0,0,.65)", 2], ["#fff", 0]]) {
      this.context.beginPath();
      path();
      this.context.strokeStyle = colour;
      this.context.lineWidth = (width + wider) * this.density;
      this.context.stroke();
    }
  }

  handle(line) {
    const { context, canvas, density } = this;
    const middle = canvas.height / 2;
    context.beginPath();
    context.arc(line, middle, 13 * density, 0, 2 * Math.PI);
    context.fillStyle = "rgba(0,0,0,.55)";
    context.fill();
    for (const side of [-1, 1]) {
      context.beginPath();
      context.moveTo(line + side * 4 * density, middle - 5 * density);
      context.lineTo(line + side * 9 * density, middle);
      context.lineTo(line + side * 4 * density, middle + 5 * density);
      context.strokeStyle = "#fff";
      context.lineWidth = 1.8 * density;
      context.stroke();
    }
  }

  press(event) {
    if (!this.before || event.button !== 0) return;
    const from = this.toPicture(event);
    const start = [event.clientX, event.clientY];
    const centre = this.centre;
    const box = this.canvas.getBoundingClientRect();
    const onLine = this.after && Math.abs(event.clientX - box.left - (this.split / 100) * box.width) < HANDLE;
    const actions = {
      split: (now) => this.moved(Math.min(100, Math.max(0, ((now.clientX - box.left) / box.width) * 100))),
      move: (now) => {
        const by = [now.clientX - start[0], now.clientY - start[1]];
        this.centre = this.within([0, 1].map((axis) => centre[axis] - (by[axis] * this.density) / this.scale));
      },
      motion: (now) => { this.motion = [from, this.toPicture(now)]; },
      region: (now) => { this.region = this.rectangle(from, this.toPicture(now)); },
    };
    const action = this.tool === "move" && onLine ? "split" : this.tool;
    if (action === "move" && !this.zoom) return;
    this.canvas.setPointerCapture(event.pointerId);
    const follow = (now) => { actions[action](now); this.draw(); };
    const release = (now) => {
      this.canvas.removeEventListener("pointermove", follow);
      this.canvas.removeEventListener("pointercancel", release);
      this.canvas.removeEventListener("pointerup", release);
      if (now.type !== "pointerup") return;
      if (action === "motion" && this.motion) this.drawn("motion", lengthAndAngle(...this.motion));
      if (action === "region") this.drawn("region", this.region);
    };
    this.canvas.addEventListener("pointermove", follow);
    this.canvas.addEventListener("pointercancel", release);
    this.canvas.addEventListener("pointerup", release);
  }

  key(event) {
    const slide = (step) => this.moved(Math.min(100, Math.max(0, this.split + step)));
    const action = {
      ArrowLeft: () => slide(-1),
      ArrowRight: () => slide(1),
      "+": () => this.zoomBy(Math.SQRT2),
      "-": () => this.zoomBy(Math.SQRT1_2),
      1: () => this.zoomTo(1),
      0: () => this.zoomTo(null),
    }[event.key];
    if (!action || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    action();
  }

  within([x, y]) {
    const { naturalWidth, naturalHeight } = this.before;
    return [Math.min(naturalWidth, Math.max(0, x)), Math.min(naturalHeight, Math.max(0, y))];
  }

  rectangle(from, to) { // in whole pixels; null for what is too small to be meant
    const [a, b] = [this.within(from), this.within(to)];
    const [x, y] = [0, 1].map((axis) => Math.floor(Math.min(a[axis], b[axis])));
    const [w, h] = [0, 1].map((axis) => Math.round(Math.abs(a[axis] - b[axis])));
    return Math.min(w, h) < 8 ? null : [x, y, w, h];
  }
}

export function lengthAndAngle([x0, y0], [x1, y1]) { // counter-clockwise from the horizontal; a motion has no sense
  const length = Math.max(1, Math.hypot(x1 - x0, y1 - y0));
  let angle = Math.round((Math.atan2(y0 - y1, x1 - x0) * 180) / Math.PI);
  if (angle <= -90) angle += 180;
  if (angle > 90) angle -= 180;
  return { length: Math.round(length * 2) / 2, angle };
}
