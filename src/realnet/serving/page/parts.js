// What the pieces of the page share: elements, the server, pictures with outlines, and the enlarged view.

export const $ = (id) => document.getElementById(id);
export const SVG = "http://www.w3.org/2000/svg";

/** An element with properties and children. */
export function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

/** An element of a drawing, with attributes. */
export function draw(tag, attributes, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

// --- the server -----------------------------------------------------------------------------------------------------

/** Thrown where the server does not answer at all. */
export class Away extends Error {}

export async function ask(place, options = {}) {
  const headers = { ...options.headers, ...($("key").value ? { "X-API-Key": $("key").value } : {}) };
  let response;
  try {
    response = await fetch(place, { ...options, headers });
  } catch {
    throw new Away("The server does not answer.");
  }
  if (response.status === 401) $("key-form").hidden = false;
  return response;
}

/** What the server says is wrong. */
export async function sentence(response) {
  try {
    return (await response.json()).error ?? `The server answered ${response.status}.`;
  } catch {
    return `The server answered ${response.status}.`;
  }
}

/** Send an object as JSON; what comes back, or an Error with the server's sentence. */
export async function post(place, body) {
  const response = await ask(place, {
    method: "POST", body: JSON.stringify(body), headers: { "Content-Type": "application/json" },
  });
  if (!response.ok) throw new Error(await sentence(response));
  return response.json();
}

export function complain(text) {
  $("problem").textContent = text;
  $("problem").hidden = !text;
}

// --- people ---------------------------------------------------------------------------------------------------------

/** Who gives verdicts; asked for where nobody has said. */
export function person() {
  const name = $("who").value.trim();
  if (!name) {
    $("who-label").classList.add("wanted");
    complain("Say who you are, at the top of the page: a verdict has a name beside it.");
    if (!$("large").open) $("who").focus();
  }
  return name;
}

/** Send a person's verdict on a result; whether it is kept. */
export async function give(result, label) {
  const who = person();
  if (!who) return false;
  try {
    await post(`/v1/history/${result}/feedback`, { label, who, why: "" });
    complain("");
    return true;
  } catch (error) {
    complain(`Not kept: ${error.message}`);
    return false;
  }
}

/** Buttons for a person's verdict. `said`: the one there is; `told`: gets the one that is pressed. */
export function labelButtons(said, told) {
  const row = make("div", { className: "labels" });
  for (const [label, key] of [["good", "G"], ["defective", "D"]]) {
    const button = make("button", { type: "button", textContent: label === "good" ? "Good" : "Defective", title: `Key ${key}` });
    button.className = `label ${label}`;
    button.setAttribute("aria-pressed", String(said === label));
    button.addEventListener("click", (event) => { event.stopPropagation(); told(label); });
    row.append(button);
  }
  return row;
}

/** The verdict that a key stands for. */
export const labelOf = (event) => (event.ctrlKey || event.metaKey || event.altKey ? undefined : { g: "good", d: "defective" }[event.key.toLowerCase()]);

// --- pictures -------------------------------------------------------------------------------------------------------

/** Outlines of regions over a picture of `width` x `height` pixels; boxes where a region has no outline. */
export function outlines(regions, width, height) {
  const drawing = draw("svg", { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none" });
  for (const region of regions) {
    const [x, y, w, h] = region.box;
    const points = region.outline ?? [[x, y], [x + w, y], [x + w, y + h], [x, y + h]];
    drawing.append(draw("polygon", { points: points.map((point) => point.join(",")).join(" ") }));
  }
  return drawing;
}

// --- the enlarged view ----------------------------------------------------------------------------------------------

let looking = null; // {list, at, render, label}
let zoom = 1;

/** Show `content` alone. */
export function show(...content) {
  looking = null;
  $("large-tools").hidden = true;
  $("large-content").replaceChildren(...content);
  if (!$("large").open) $("large").showModal();
}

/** Show one of `list`: `render` gives its content, `label(thing, verdict)` keeps what a person says of it. */
export function enlarge(list, at, render, label) {
  looking = { list, at, render, label };
  zoom = 1;
  refreshLarge();
  if (!$("large").open) $("large").showModal();
}

/** Draw the enlarged view again. */
export function refreshLarge() {
  if (!looking) return;
  const { list, at, render } = looking;
  $("large-tools").hidden = false;
  $("large-place").textContent = `${at + 1} of ${list.length}`;
  $("previous").disabled = at === 0;
  $("next").disabled = at === list.length - 1;
  $("large-content").replaceChildren(...render(list[at]));
  magnify(1);
}

function step(by) {
  const at = looking.at + by;
  if (at < 0 || at >= looking.list.length) return;
  looking.at = at;
  refreshLarge();
}

function magnify(by) {
  zoom = Math.min(8, Math.max(1, zoom * by));
  $("zoom-out").disabled = zoom === 1;
  $("zoom-in").disabled = zoom === 8;
  for (const box of $("large-content").querySelectorAll(".picture")) {
    const image = box.querySelector(".frame");
    const middle = [box.scrollLeft + box.clientWidth / 2, box.scrollTop + box.clientHeight / 2];
    const before = Number(image.dataset.zoom ?? 1);
    image.dataset.zoom = zoom;
    // The window onto the picture stays as it was.
    if (zoom > 1 && box.clientHeight && !box.style.maxHeight) box.style.maxHeight = `${box.clientHeight}px`;
    image.style.width = `${100 * zoom}%`;
    if (zoom === 1) box.style.maxHeight = "";
    box.scrollTo((middle[0] * zoom) / before - box.clientWidth / 2, (middle[1] * zoom) / before - box.clientHeight / 2);
  }
}

export function startLarge() {
  $("previous").addEventListener("click", () => step(-1));
  $("next").addEventListener("click", () => step(1));
  $("zoom-in").addEventListener("click", () => magnify(2));
  $("zoom-out").addEventListener("click", () => magnify(0.5));
  $("large").addEventListener("close", () => { looking = null; });
  $("large").addEventListener("keydown", (event) => {
    if (!looking || event.target.matches("input, select, textarea")) return;
    if (event.key === "ArrowLeft") step(-1);
    else if (event.key === "ArrowRight") step(1);
    else if (event.key === "+") magnify(2);
    else if (event.key === "-") magnify(0.5);
    else if (labelOf(event) && looking.label) looking.label(looking.list[looking.at], labelOf(event));
    else return;
    event.preventDefault();
  });
}
