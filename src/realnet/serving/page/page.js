// The page: images are sent once, judged with threshold 0, and the verdicts follow the sliders here.
import { download, escaped, reportCsv, reportHtml } from "/report.js";

const AT_ONCE = 4;
const $ = (id) => document.getElementById(id);
const SVG = "http://www.w3.org/2000/svg";
let models = [];
const items = []; // {file, url, answers: {model: answer or {error}}}
const thresholds = {}; // by model
let sending = 0;
const queue = []; // [item, model]

// --- the server -----------------------------------------------------------------------------------------------------

async function ask(place, options = {}) {
  const headers = $("key").value ? { "X-API-Key": $("key").value } : {};
  const response = await fetch(place, { ...options, headers });
  if (response.status === 401) $("key-form").hidden = false;
  return response;
}

async function sentence(response) {
  try {
    return (await response.json()).error ?? `The server answered ${response.status}.`;
  } catch {
    return `The server answered ${response.status}.`;
  }
}

async function loadModels() {
  let response;
  try {
    response = await ask("/v1/models");
  } catch {
    return complain("The server does not answer. Is it running?");
  }
  if (!response.ok) return complain(await sentence(response));
  complain("");
  models = await response.json();
  const chosen = $("model").value;
  const options = models.map((m) => new Option(m.name, m.name));
  $("model").replaceChildren(...options);
  if (chosen) $("model").value = chosen;
  $("compare").replaceChildren(new Option("nothing", ""), ...models.map((m) => new Option(m.name, m.name)));
  $("compare-label").hidden = models.length < 2;
  for (const m of models) thresholds[m.name] ??= m.threshold;
  describe();
  if (items.length) enqueue(); // given before the models were known, or before the key
}

function complain(text) {
  $("problem").textContent = text;
  $("problem").hidden = !text;
}

async function judge(item, name) {
  const form = new FormData();
  form.set("image", item.file, item.file.name);
  form.set("model", name);
  form.set("threshold", "0"); // every region, whatever the sliders say later
  form.set("minimum_area", "0");
  form.set("heatmap", "true");
  for (;;) {
    let response;
    try {
      response = await ask("/v1/inspect", { method: "POST", body: form });
    } catch {
      return { error: "The server does not answer." };
    }
    if (response.status === 503 || response.status === 429) {
      const seconds = Number(response.headers.get("Retry-After") ?? 1);
      await new Promise((done) => setTimeout(done, 1000 * seconds));
      continue;
    }
    return response.ok ? await response.json() : { error: await sentence(response) };
  }
}

function pump() {
  while (sending < AT_ONCE && queue.length) {
    const [item, name] = queue.shift();
    sending += 1;
    judge(item, name).then((answer) => {
      item.answers[name] = answer;
      sending -= 1;
      pump();
      draw();
      if (!sending && !queue.length) loadDrift();
    });
  }
  const all = items.length * shownModels().length;
  const left = queue.length + sending;
  $("progress").hidden = !left;
  $("progress").value = all ? (all - left) / all : 0;
}

async function loadDrift() {
  const response = await ask("/v1/models");
  if (response.ok) models = await response.json();
  describe();
}

// --- what is judged -------------------------------------------------------------------------------------------------

function shownModels() {
  if (!models.length) return [];
  const second = $("compare").value;
  return second && second !== $("model").value ? [$("model").value, second] : [$("model").value];
}

function add(files) {
  for (const file of files) items.push({ file, url: URL.createObjectURL(file), answers: {} });
  enqueue();
}

function enqueue() {
  for (const name of shownModels())
    for (const item of items)
      if (!(name in item.answers)) {
        item.answers[name] = null; // on its way
        queue.push([item, name]);
      }
  pump();
  draw();
}

/** The verdict of an answer under the sliders: {verdict, level, regions}. */
function conclude(answer, name) {
  const threshold = thresholds[name];
  const area = Number($("area").value) || 0;
  const regions = answer.regions.filter((region) => region.area >= area);
  const anomalous = answer.score > threshold && (area <= 1 || regions.length > 0);
  const level = answer.score <= threshold
    ? (threshold > 0 ? (0.5 * answer.score) / threshold : 0.5)
    : 0.5 + (0.5 * (answer.score - threshold)) / (1 - threshold);
  return { verdict: anomalous ? "anomalous" : "good", level, threshold, regions: anomalous ? regions : [] };
}

function lines() {
  return items.flatMap((item) => shownModels().map((name) => {
    const answer = item.answers[name];
    const base = { name: item.file.name, model: name };
    if (!answer) return { ...base, error: "not judged yet" };
    return answer.error ? { ...base, error: answer.error } : { ...base, ...answer, name: item.file.name, ...conclude(answer, name) };
  }));
}

// --- drawing --------------------------------------------------------------------------------------------------------

function draw() {
  const names = shownModels();
  $("controls").hidden = !items.length;
  drawSliders(names);
  drawVerdicts();
}

function drawVerdicts() {
  const names = shownModels();
  const first = names[0];
  const shown = items.filter((item) => {
    const answer = item.answers[first];
    return $("filter").value === "all" || (answer && !answer.error && conclude(answer, first).verdict === $("filter").value);
  });
  if ($("order").value === "score") shown.sort((a, b) => (b.answers[first]?.score ?? -1) - (a.answers[first]?.score ?? -1));
  $("cards").className = names.length > 1 ? "two" : "";
  $("cards").replaceChildren(...shown.map((item) => card(item, names)));
  $("summary").textContent = names.map((name) => {
    const judged = items.map((item) => item.answers[name]).filter((answer) => answer && !answer.error);
    const bad = judged.filter((answer) => conclude(answer, name).verdict === "anomalous").length;
    const unread = items.filter((item) => item.answers[name]?.error).length;
    return items.length ? `${names.length > 1 ? `${name}: ` : ""}${judged.length} judged, ${bad} anomalous${unread ? `, ${unread} not readable` : ""}` : "";
  }).join(" · ");
  for (const name of names) drawDots(name);
}

function drawSliders(names) {
  if ($("sliders").dataset.names === names.join("\n")) return names.forEach(scale);
  $("sliders").dataset.names = names.join("\n");
  $("sliders").replaceChildren(...names.map((name) => {
    const box = document.createElement("div");
    box.className = "slider";
    box.dataset.model = name;
    box.innerHTML = `<div class="row"><label for="threshold-${escaped(name)}">Threshold of ${escaped(name)}</label><output></output>
      <button type="button">Calibrated</button></div><svg viewBox="0 0 1000 26" preserveAspectRatio="none"></svg>
      <input type="range" id="threshold-${escaped(name)}" min="0" step="any">`;
    const slider = box.querySelector("input");
    slider.addEventListener("input", () => { thresholds[name] = Number(slider.value); drawVerdicts(); });
    box.querySelector("button").addEventListener("click", () => {
      thresholds[name] = models.find((m) => m.name === name).threshold;
      slider.value = thresholds[name];
      drawVerdicts();
    });
    return box;
  }));
  names.forEach(scale);
}

const sliderOf = (name) => [...document.querySelectorAll(".slider")].find((box) => box.dataset.model === name);

/** The slider's end follows the scores; its threshold stays. */
function scale(name) {
  const scores = items.map((item) => item.answers[name]?.score ?? 0);
  const calibrated = models.find((m) => m.name === name)?.threshold ?? 0.5;
  const slider = sliderOf(name).querySelector("input");
  slider.max = Math.min(1, Math.max(2 * calibrated, 1.1 * Math.max(0, ...scores), thresholds[name]));
  slider.value = thresholds[name];
}

function drawDots(name) {
  const box = sliderOf(name);
  const max = Number(box.querySelector("input").max);
  const marks = items.filter((item) => item.answers[name]?.score !== undefined).map((item, number) => {
    const dot = document.createElementNS(SVG, "ellipse");
    const answer = item.answers[name];
    dot.setAttribute("class", conclude(answer, name).verdict);
    dot.setAttribute("cx", (1000 * answer.score) / max);
    dot.setAttribute("cy", 6 + ((number * 7) % 14));
    dot.setAttribute("rx", 4);
    dot.setAttribute("ry", 4);
    return dot;
  });
  const line = document.createElementNS(SVG, "line");
  const x = (1000 * thresholds[name]) / max;
  for (const [key, value] of Object.entries({ x1: x, x2: x, y1: 0, y2: 26 })) line.setAttribute(key, value);
  box.querySelector("svg").replaceChildren(...marks, line);
  box.querySelector("output").textContent = thresholds[name].toFixed(4);
}

function picture(item, answer, name, heat) {
  const box = document.createElement("div");
  box.className = "picture";
  const image = document.createElement("img");
  image.alt = "";
  const coloured = answer?.heatmap_png ? `data:image/png;base64,${answer.heatmap_png}` : "";
  image.src = heat && coloured ? coloured : item.url;
  // Browsers do not show every format that the server reads.
  image.addEventListener("error", () => { if (coloured) image.src = coloured; else image.remove(); }, { once: true });
  box.append(image);
  if (answer && !answer.error) {
    const drawing = document.createElementNS(SVG, "svg");
    drawing.setAttribute("viewBox", `0 0 ${answer.width} ${answer.height}`);
    drawing.setAttribute("preserveAspectRatio", "none");
    for (const region of conclude(answer, name).regions) {
      const border = document.createElementNS(SVG, "polygon");
      border.setAttribute("points", region.outline.map((point) => point.join(",")).join(" "));
      drawing.append(border);
    }
    box.append(drawing);
  }
  return box;
}

function verdict(answer, name, several) {
  const line = document.createElement("div");
  line.className = "verdict";
  const badge = document.createElement("span");
  const text = document.createElement("span");
  if (!answer) badge.textContent = "…";
  else if (answer.error) {
    badge.className = "badge error";
    badge.textContent = "not readable";
    text.textContent = answer.error;
  } else {
    const found = conclude(answer, name);
    badge.className = `badge ${found.verdict}`;
    badge.textContent = found.verdict;
    const count = found.regions.length;
    text.textContent = `${found.level.toFixed(2)} (score ${answer.score.toFixed(4)})${count ? `, ${count} region${count > 1 ? "s" : ""}` : ""}${several ? ` · ${name}` : ""}`;
  }
  line.append(badge, text);
  return line;
}

function card(item, names) {
  const element = $("card").content.firstElementChild.cloneNode(true);
  const answer = item.answers[names[0]];
  if (answer && !answer.error) element.classList.add(conclude(answer, names[0]).verdict);
  element.querySelector("h3").textContent = item.file.name;
  element.querySelector("h3").title = item.file.name;
  element.querySelector(".strip").append(...names.map((name) => picture(item, item.answers[name], name, $("heat").checked)));
  element.querySelector(".verdicts").append(...names.map((name) => verdict(item.answers[name], name, names.length > 1)));
  element.tabIndex = 0;
  element.addEventListener("click", () => enlarge(item, names));
  element.addEventListener("keydown", (event) => { if (event.key === "Enter") enlarge(item, names); });
  return element;
}

function enlarge(item, names) {
  const parts = names.flatMap((name) => {
    const answer = item.answers[name];
    const strip = document.createElement("div");
    strip.className = "strip";
    strip.append(picture(item, answer, name, false), picture(item, answer, name, true));
    return [verdict(answer, name, true), strip, regionTable(answer, name)];
  });
  const title = document.createElement("h2");
  title.textContent = item.file.name;
  show(title, ...parts);
}

function regionTable(answer, name) {
  const table = document.createElement("table");
  const regions = answer && !answer.error ? conclude(answer, name).regions : [];
  if (!regions.length) return table;
  table.innerHTML = "<thead><tr><th>Region</th><th>Area (px)</th><th>Middle</th><th>Box (x, y, w, h)</th><th>Peak</th></tr></thead>";
  const body = table.createTBody();
  regions.forEach((r, number) => {
    const cells = [number + 1, r.area, r.centroid.map(Math.round).join(", "), r.box.join(", "), r.peak.toFixed(3)];
    body.insertRow().append(...cells.map((text) => Object.assign(document.createElement("td"), { textContent: text })));
  });
  return table;
}

function show(...content) {
  $("large-content").replaceChildren(...content);
  $("large").showModal();
}

function describe() {
  const model = models.find((m) => m.name === $("model").value);
  if (!model) return;
  $("about-name").textContent = model.name;
  $("calibration").replaceChildren(...model.calibration.map((text) => Object.assign(document.createElement("li"), { textContent: text })));
  $("synthetic").disabled = !model.synthetic_defects;
  $("evaluation").disabled = !model.report;
  $("drift").textContent = model.drift ?? "";
  $("drift").hidden = !model.drift;
}

/** The files of a drop; of a folder, all that is in it. */
async function dropped(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.some((entry) => entry.isDirectory)) return [...transfer.files];
  const files = [];
  while (entries.length) {
    const entry = entries.shift();
    if (entry.isFile) files.push(await new Promise((done, fail) => entry.file(done, fail)));
    else {
      const reader = entry.createReader();
      // A reader gives a hundred at a time, and nothing at the end.
      for (let some; (some = await new Promise((done, fail) => reader.readEntries(done, fail))).length; ) entries.push(...some);
    }
  }
  return files.filter((file) => !file.name.startsWith("."));
}

// --- what the user does ---------------------------------------------------------------------------------------------

async function attachment(kind) {
  const response = await ask(`/v1/models/${$("model").value}/${kind}`);
  if (!response.ok) return complain(await sentence(response));
  return URL.createObjectURL(await response.blob());
}

$("files").addEventListener("change", (event) => { add([...event.target.files]); event.target.value = ""; });
for (const name of ["dragover", "dragleave", "drop"])
  document.addEventListener(name, (event) => {
    event.preventDefault();
    $("drop").classList.toggle("over", name === "dragover");
    if (name === "drop") dropped(event.dataTransfer).then(add);
  });
$("model").addEventListener("change", () => { describe(); enqueue(); });
$("compare").addEventListener("change", enqueue);
$("key").addEventListener("change", loadModels);
$("key-form").addEventListener("submit", (event) => { event.preventDefault(); loadModels(); });
for (const id of ["area", "filter", "order", "heat"]) $(id).addEventListener("input", drawVerdicts);
$("clear").addEventListener("click", () => {
  for (const item of items) URL.revokeObjectURL(item.url);
  items.length = queue.length = 0;
  pump();
  draw();
});
$("report").addEventListener("click", () => download("inspection.html", reportHtml(lines(), new Date().toLocaleString()), "text/html"));
$("csv").addEventListener("click", () => download("inspection.csv", reportCsv(lines()), "text/csv"));
$("synthetic").addEventListener("click", async () => {
  const url = await attachment("synthetic-defects");
  if (url) show(Object.assign(document.createElement("img"), { className: "sheet", src: url, alt: "Synthetic defects" }));
});
$("evaluation").addEventListener("click", async () => {
  const url = await attachment("report");
  if (url) downloadUrl(url, `${$("model").value}-report.html`);
});

function downloadUrl(url, name) {
  Object.assign(document.createElement("a"), { href: url, download: name }).click();
}

loadModels();
