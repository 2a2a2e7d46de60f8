// Where to look, drawn on an image by clicks, and saved as a file for `realnet train --view`.
import { draw, make, show } from "/parts.js";
import { download } from "/report.js";

const NEAR = 12; // screen pixels within which a click meets the first corner

/**
 * Let a person draw polygons on an image.
 * `source`: its address; `width`, `height`: of the upright image in pixels; `model`: what the server says of the inspector.
 */
export function drawRegion(source, width, height, model) {
  const closed = []; // polygons of [x, y] in pixels of the image
  let open = [];
  const drawing = draw("svg", { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", class: "drawing" });
  const surface = make("div", { className: "frame", tabIndex: 0, role: "application", ariaLabel: "Image to draw on" },
    make("img", { src: source, alt: "" }), drawing);
  surface.style.maxWidth = `calc(58vh * ${width / height})`; // all of it is seen at once
  const said = make("p", { className: "soft", role: "status" });
  const undo = make("button", { type: "button", textContent: "Undo" });
  const close = make("button", { type: "button", textContent: "Close polygon" });
  const save = make("button", { type: "button", textContent: "Save view.json" });

  const text = (points) => points.map((point) => point.join(",")).join(" ");
  function redraw() {
    const known = (model.view ?? []).map((polygon) => draw("polygon", { class: "known", points: text(polygon.map(([x, y]) => [x * width, y * height])) }));
    const corners = open.map(([x, y], at) => draw("circle", { cx: x, cy: y, r: (at ? 0.006 : 0.012) * Math.max(width, height) }));
    drawing.replaceChildren(...known,
      draw("path", { d: closed.map((polygon) => `M${text(polygon)}Z`).join(""), "fill-rule": "evenodd" }),
      draw("polyline", { points: text(open) }), ...corners);
    undo.disabled = !closed.length && !open.length;
    close.disabled = open.length < 3;
    save.disabled = !closed.length || open.length > 0;
    said.textContent = open.length ? `${open.length} corner${open.length > 1 ? "s" : ""}: click on the first one, or press Enter, to close the polygon.`
      : closed.length ? `${closed.length} polygon${closed.length > 1 ? "s" : ""}. A polygon within another is a hole.` : "Click the corners of what is to be looked at.";
  }
  function finish() {
    if (open.length < 3) return;
    closed.push(open);
    open = [];
    redraw();
  }
  function back() {
    if (open.length) open.pop();
    else if (closed.length) open = closed.pop();
    redraw();
  }
  surface.addEventListener("click", (event) => {
    const box = surface.getBoundingClientRect();
    const within = (share, size) => Math.round(Math.min(1, Math.max(0, share)) * size);
    const point = [within((event.clientX - box.left) / box.width, width), within((event.clientY - box.top) / box.height, height)];
    const first = open[0];
    const away = first && Math.hypot(((point[0] - first[0]) / width) * box.width, ((point[1] - first[1]) / height) * box.height);
    if (open.length >= 3 && away <= NEAR) return finish();
    open.push(point);
    redraw();
  });
  surface.addEventListener("keydown", (event) => {
    if (event.key === "Enter") finish();
    else if (event.key === "Backspace") back();
    else return;
    event.preventDefault();
  });
  undo.addEventListener("click", back);
  close.addEventListener("click", finish);
  save.addEventListener("click", () => download("view.json", JSON.stringify({ width, height, polygons: closed }), "application/json"));
  redraw();
  show(
    make("h2", { textContent: "Where to look" }),
    make("div", { className: "picture" }, surface),
    make("div", { className: "row tools" }, undo, close, save, said),
    make("p", { className: "soft small" },
      `${model.view?.length ? `${model.name} looks at what is dashed. ` : ""}A network sees what it was trained to see, so an inspector keeps its view. To look elsewhere, save the file and train again: `,
      make("code", { textContent: "realnet train GOOD_IMAGES --view view.json" }),
      model.aligned ? ". This inspector aligns images: draw on the reference image, reference.png in its run." : "."));
  surface.focus();
}
