// The page: images are sent once, judged by the calibrated threshold, and the verdicts follow the sliders here.
import { loadHistory, startHistory } from "/history.js";
import { photograph, startLive } from "/live.js";
import { startMaking } from "/making.js";
import { $, Away, ask, complain, draw as drawn, enlarge, give, labelButtons, labelOf, make, outlines, post, refreshLarge, sentence, show, startLarge } from "/parts.js";
import { drawRegion } from "/region.js";
import { download, escaped, reportCsv, reportHtml } from "/report.js";

const AT_ONCE = 4;
const POLL = 10_000;
// Images that not every browser knows by their names.
const IMAGE = /\.(tiff?|webp|avif|jp2|p[bgpn]m|hei[cf]|hif)$/i;
let models = [];
let about = { history: false, saves_thresholds: false, teaches: false };
const items = []; // {file, url, answers: {model: answer or {error}}, labels: {model: what a person said}}
const thresholds = {}; // by model
let sending = 0;
const queue = []; // [item, model, id of the result]
let away = 0; // seconds until the server is asked again; 0: it answers

// --- the server -----------------------------------------------------------------------------------------------------

async function loadModels() {
  let response;
  try {
    response = await ask("/v1/models");
    if (response.ok) about = await (await ask("/v1/about")).json();
  } catch {
    return lost();
  }
  if (!response.ok) return complain(await sentence(response));
  complain("");
  takeUp(await response.json());
  const chosen = $("model").value;
  $("model").replaceChildren(...models.map((m) => new Option(m.name, m.name)));
  if (chosen) $("model").value = chosen;
  const second = $("compare").value;
  $("compare").replaceChildren(new Option("nothing", ""), ...models.map((m) => new Option(m.name, m.name)));
  $("compare").value = second;
  $("model-label").hidden = !models.length;
  $("compare-label").hidden = models.length < 2;
  $("kept").textContent = about.history
    ? `They are judged by this server; its results store keeps the results, ${about.keeps === "nothing" ? "without pictures" : `with ${about.keeps}`}.`
    : "They are judged by this server and kept nowhere.";
  $("who-label").hidden = !about.history;
  if (about.history && models.length && $("history").hidden) startHistory(models);
  if (about.creates && $("making").hidden) startMaking(photograph, dropped, taughtOrMade);
  for (const id of ["drop", "about"]) $(id).hidden = !models.length; // nothing is there to judge by
  describe();
  if (items.length) enqueue(); // given before the models were known, or before the key
}

/** Take what the server says of its models; a threshold that was not moved follows a new calibration. */
function takeUp(found) {
  for (const m of found) {
    const before = models.find((known) => known.name === m.name);
    if (before && (before.calibration_version !== m.calibration_version || before.threshold !== m.threshold)) {
      $("news").textContent = `${m.name}: calibration ${m.calibration_version ?? "–"} is in force, threshold ${before.threshold.toFixed(4)} → ${m.threshold.toFixed(4)}.`;
      $("news").hidden = false;
      if (thresholds[m.name] === before.threshold) thresholds[m.name] = m.threshold;
    }
    thresholds[m.name] ??= m.threshold;
  }
  if (!models.length && found.length) $("area").value = found[0].minimum_area;
  models = found;
}

/** The server went away: say so, and ask again until it is back; what was not judged waits. */
function lost() {
  if (away) return;
  away = 1;
  const again = async () => {
    try {
      const response = await fetch("/health");
      if (!response.ok) throw new Away();
      away = 0;
      $("away").hidden = true;
      await loadModels();
      pump();
    } catch {
      away = Math.min(10, away * 2);
      wait();
    }
  };
  const wait = () => {
    const left = queue.length + sending;
    $("away").textContent = `The server does not answer. ${left ? `${left} image${left > 1 ? "s wait" : " waits"} and will be sent again` : "Nothing is lost"}; next try in ${away} s.`;
    $("away").hidden = false;
    setTimeout(again, 1000 * away);
  };
  wait();
}

/** An inspector is new, or has learned: show it. */
async function taughtOrMade(name) {
  if (models.some((m) => m.name === name)) return look();
  await loadModels();
  $("model").value = name;
  $("model").dispatchEvent(new Event("change"));
}

async function judge(item, name, id) {
  const form = new FormData();
  form.set("image", item.file, item.file.name);
  form.set("model", name);
  form.set("id", id); // sent again, it is the same result
  form.set("all_regions", "true"); // whatever the sliders say later
  form.set("heatmap", "true");
  for (;;) {
    const response = await ask("/v1/inspect", { method: "POST", body: form });
    if (response.status === 503 || response.status === 429) {
      const seconds = Number(response.headers.get("Retry-After") ?? 1);
      complain(response.status === 503 && seconds > 1 ? await sentence(response) : "");
      await new Promise((done) => setTimeout(done, 1000 * seconds));
      continue;
    }
    return response.ok ? await response.json() : { error: await sentence(response) };
  }
}

function pump() {
  while (!away && sending < AT_ONCE && queue.length) {
    const [item, name, id] = queue.shift();
    sending += 1;
    judge(item, name, id).then((answer) => {
      item.answers[name] = answer;
      sending -= 1;
    }, () => {
      sending -= 1;
      if (items.includes(item)) queue.unshift([item, name, id]);
      lost();
    }).then(() => {
      pump();
      draw();
      if (!sending && !queue.length) judgedAll();
    });
  }
  const all = items.length * shownModels().length;
  const left = queue.length + sending;
  $("progress").hidden = !left;
  $("progress").value = all ? (all - left) / all : 0;
}

/** All images are judged: what the server says of drift may have changed, and the store has more. */
async function judgedAll() {
  await look();
  if (about.history) loadHistory();
}

/** Ask what the server's models are now: drift, and calibrations that were made meanwhile. */
async function look() {
  if (away || !models.length) return;
  let response;
  try {
    response = await ask("/v1/models");
  } catch {
    return lost();
  }
  if (!response.ok) return;
  takeUp(await response.json());
  describe();
  if (items.length) draw();
}

// --- what is judged -------------------------------------------------------------------------------------------------

function shownModels() {
  if (!models.length) return [];
  const second = $("compare").value;
  return second && second !== $("model").value ? [$("model").value, second] : [$("model").value];
}

function add(files) {
  for (const file of files) items.push({ file, url: URL.createObjectURL(file), answers: {}, labels: {} });
  enqueue();
}

function enqueue() {
  for (const name of shownModels())
    for (const item of items)
      if (!(name in item.answers)) {
        item.answers[name] = null; // on its way
        queue.push([item, name, newId()]);
      }
  pump();
  draw();
}

const newId = () => [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");

/** The verdict of an answer under the sliders: {verdict, level, regions}. */
function conclude(answer, name) {
  const threshold = thresholds[name];
  // Of another product: no slider makes it good, and nothing of it is outlined.
  if (answer.verdict === "unknown") return { verdict: "unknown", level: 1, threshold, regions: [] };
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
    if (answer.error) return { ...base, error: answer.error };
    return { ...base, ...answer, name: item.file.name, ...conclude(answer, name), moved: isMoved(name), label: item.labels[name] };
  }));
}

// --- drawing --------------------------------------------------------------------------------------------------------

let shown = []; // items, as filtered and ordered

function draw() {
  const names = shownModels();
  $("controls").hidden = !items.length;
  drawSliders(names);
  drawVerdicts();
}

const verdictOf = (item, name) => (item.answers[name] && !item.answers[name].error ? conclude(item.answers[name], name).verdict : undefined);

function isShown(item, names) {
  const filter = $("filter").value;
  if (filter === "all") return true;
  if (filter !== "disagree") return verdictOf(item, names[0]) === filter;
  const verdicts = names.map((name) => verdictOf(item, name));
  return names.length > 1 && verdicts[0] && verdicts[1] && verdicts[0] !== verdicts[1];
}

function drawVerdicts() {
  const names = shownModels();
  const first = names[0];
  const disagree = [...$("filter").options].find((option) => option.value === "disagree");
  disagree.hidden = disagree.disabled = names.length < 2;
  if (names.length < 2 && $("filter").value === "disagree") $("filter").value = "all";
  shown = items.filter((item) => isShown(item, names));
  if ($("order").value === "score") shown.sort((a, b) => (b.answers[first]?.score ?? -1) - (a.answers[first]?.score ?? -1));
  $("cards").className = names.length > 1 ? "two" : "";
  const focused = items.indexOf(shown.find((item) => item === document.activeElement?.item));
  $("cards").replaceChildren(...shown.map((item, at) => card(item, names, at)));
  if (focused >= 0) [...$("cards").children].find((element) => element.item === items[focused])?.focus();
  refreshLarge();
  $("summary").textContent = names.map((name) => {
    const judged = items.map((item) => item.answers[name]).filter((answer) => answer && !answer.error);
    const bad = judged.filter((answer) => conclude(answer, name).verdict === "anomalous").length;
    const unread = items.filter((item) => item.answers[name]?.error).length;
    const foreign = judged.filter((answer) => answer.verdict === "unknown").length;
    return items.length ? `${names.length > 1 ? `${name}: ` : ""}${judged.length} judged, ${bad} anomalous${foreign ? `, ${foreign} unknown` : ""}${unread ? `, ${unread} not readable` : ""}` : "";
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
      <button type="button" class="back" hidden>Back to the calibrated one</button><span class="moved" hidden></span>
      <button type="button" class="save" hidden>Save as calibration</button></div><svg viewBox="0 0 1000 26" preserveAspectRatio="none"></svg>
      <input type="range" id="threshold-${escaped(name)}" min="0" step="any">`;
    const slider = box.querySelector("input");
    slider.addEventListener("input", () => { thresholds[name] = Number(slider.value); drawVerdicts(); });
    box.querySelector(".save").addEventListener("click", () => saveThreshold(name));
    box.querySelector(".back").addEventListener("click", () => {
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
  // Round, however wide the page is.
  const rx = 4000 / (box.querySelector("svg").clientWidth || 1000);
  const marks = items.filter((item) => item.answers[name]?.score !== undefined).map((item, number) => {
    const answer = item.answers[name];
    return drawn("ellipse", { class: conclude(answer, name).verdict, cx: (1000 * answer.score) / max, cy: 6 + ((number * 7) % 14), rx, ry: 4 });
  });
  const mark = (threshold, kind) => drawn("line", { x1: (1000 * threshold) / max, x2: (1000 * threshold) / max, y1: 0, y2: 26, class: kind });
  const calibrated = models.find((m) => m.name === name).threshold;
  const moved = isMoved(name);
  box.classList.toggle("is-moved", moved);
  box.querySelector("svg").replaceChildren(...marks, ...(moved ? [mark(calibrated, "calibrated")] : []), mark(thresholds[name], "chosen"));
  box.querySelector("output").textContent = thresholds[name].toFixed(4);
  box.querySelector(".moved").hidden = box.querySelector(".back").hidden = !moved;
  box.querySelector(".moved").textContent = `Moved, on this page only: the inspector judges by ${calibrated.toFixed(4)}.`;
  const save = box.querySelector(".save");
  save.hidden = !moved;
  save.disabled = !about.saves_thresholds;
  save.title = about.saves_thresholds ? "" : "Only a server with an API key saves thresholds: start it with --api-key.";
}

/** Whether the threshold of this page is another than the inspector's own. */
function isMoved(name) {
  const calibrated = models.find((m) => m.name === name)?.threshold;
  return calibrated !== undefined && Math.abs(thresholds[name] - calibrated) > 1e-9;
}

/** Make the threshold of this page the inspector's, as a new version of its calibration. */
function saveThreshold(name) {
  const who = make("input", { required: true, maxLength: 200, value: $("who").value });
  const why = make("input", { maxLength: 1000 });
  const threshold = thresholds[name];
  const form = make("form", { className: "asking" },
    make("h2", { textContent: `Save ${threshold.toFixed(4)} as calibration of ${name}` }),
    make("p", { textContent: "Every image that this server judges from then on is judged by it. The calibration before is kept: `realnet calibrate --undo` brings it back." }),
    make("label", {}, "Your name ", who), make("label", {}, "Why ", why),
    make("button", { textContent: "Save" }));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      await post(`/v1/models/${name}/calibration`, { threshold, who: who.value, why: why.value });
      $("large").close();
      complain("");
      await look();
    } catch (error) {
      form.append(make("p", { className: "notice bad", textContent: error.message }));
    }
  });
  show(form);
}

/** Let the inspector learn what people confirmed as good, and show what came of it. */
function teach() {
  const name = $("model").value;
  const button = make("button", { textContent: "Teach" });
  const form = make("form", { className: "asking" },
    make("h2", { textContent: `Teach ${name}` }),
    make("p", { textContent: "All images that people confirmed as good join what it takes for normal, and the threshold follows. Confirmed defects stand guard: where one that is found would be missed, nothing changes. The version before is kept: `realnet calibrate --undo` brings it back." }),
    button);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    button.disabled = true;
    button.textContent = "Learning…";
    try {
      const { sentences } = await post(`/v1/models/${name}/teach`, {});
      button.remove();
      form.append(make("ul", { className: "learned" }, ...sentences.map((textContent) => make("li", { textContent }))),
        make("p", { className: "soft", textContent: "The new version judges from the moment it is loaded; the page says when." }));
      await look();
    } catch (error) {
      button.disabled = false;
      button.textContent = "Teach";
      form.append(make("p", { className: "notice bad", textContent: error.message }));
    }
  });
  show(form);
}

function picture(item, answer, name, heat) {
  const box = make("div", { className: "picture" });
  const frame = make("div", { className: "frame" });
  box.append(frame);
  const image = make("img", { alt: "" });
  const coloured = answer?.heatmap_png ? `data:image/png;base64,${answer.heatmap_png}` : "";
  image.src = heat && coloured ? coloured : item.url;
  // Browsers do not show every format that the server reads.
  image.addEventListener("error", () => { if (coloured) image.src = coloured; else image.remove(); }, { once: true });
  frame.append(image);
  if (answer && !answer.error) frame.append(outlines(conclude(answer, name).regions, answer.width, answer.height));
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
    text.textContent = found.verdict === "unknown" ? `not a product this inspector knows${several ? ` · ${name}` : ""}` : `level ${found.level.toFixed(2)} · score ${answer.score.toFixed(4)}${count ? `, ${count} region${count > 1 ? "s" : ""}` : ""}${several ? ` · ${name}` : ""}`;
  }
  const notes = answer && !answer.error && answer.verdict !== "unknown" ? answer.notes : [];
  text.append(...notes.map((textContent) => make("span", { className: "soft note", textContent })));
  line.append(badge, text);
  return line;
}

function card(item, names, at) {
  const element = $("card").content.firstElementChild.cloneNode(true);
  const answer = item.answers[names[0]];
  element.item = item;
  if (answer && !answer.error) element.classList.add(conclude(answer, names[0]).verdict);
  element.querySelector("h3").textContent = item.file.name;
  element.querySelector("h3").title = item.file.name;
  element.querySelector(".strip").append(...names.map((name) => picture(item, item.answers[name], name, $("heat").checked)));
  element.querySelector(".verdicts").append(...names.map((name) => verdict(item.answers[name], name, names.length > 1)));
  if (names.some((name) => item.answers[name]?.recorded)) element.append(labelButtons(item.labels[names[0]], (label) => say(item, label)));
  element.tabIndex = 0;
  const open = () => enlarge(shown, at, details, say);
  element.addEventListener("click", open);
  element.addEventListener("keydown", (event) => {
    if (event.target !== element) return;
    if (event.key === "Enter") open();
    else if (labelOf(event)) say(item, labelOf(event));
  });
  return element;
}

/** Keep what a person says of an image, with the result of each inspector that is shown. */
async function say(item, label) {
  for (const name of shownModels()) {
    const answer = item.answers[name];
    if (!answer?.recorded) continue;
    if (!(await give(answer.id, label))) return;
    item.labels[name] = label;
  }
  drawVerdicts();
  await judgedAll();
}

function details(item) {
  const names = shownModels();
  const parts = names.flatMap((name) => {
    const answer = item.answers[name];
    const strip = make("div", { className: "strip" }, picture(item, answer, name, false), picture(item, answer, name, true));
    return [verdict(answer, name, true), strip, regionTable(answer, name), ...origin(answer)];
  });
  const recorded = names.some((name) => item.answers[name]?.recorded);
  const buttons = recorded ? [labelButtons(item.labels[names[0]], (label) => say(item, label))] : [];
  return [make("h2", { textContent: item.file.name }), ...buttons, ...parts, ...regionButton(item, names[0])];
}

/** A button that leads to drawing where to look, on an image whose size is known. */
function regionButton(item, name) {
  const answer = item.answers[name];
  const model = models.find((m) => m.name === name);
  if (!answer || answer.error || !model) return [];
  const button = make("button", { type: "button", className: "draw-region", textContent: "Draw where to look" });
  button.addEventListener("click", () => drawRegion(item.url, answer.width, answer.height, model));
  return [button];
}

/** Which model and calibration an answer comes from. */
function origin(answer) {
  if (!answer || answer.error) return [];
  const by = answer.calibration ? `calibration ${answer.calibration}` : "no calibration";
  return [make("p", { className: "soft small", textContent: `Result ${answer.id} · ${answer.time} · model ${answer.model_digest.slice(0, 12) || "not known"}, ${by}, threshold ${answer.threshold.toFixed(5)} · ${answer.software}` })];
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

function describe() {
  const model = models.find((m) => m.name === $("model").value);
  if (!model) return;
  $("about-name").textContent = model.name;
  $("calibration").replaceChildren(...model.calibration.map((text) => Object.assign(document.createElement("li"), { textContent: text })));
  const facts = [model.confirmed, `Model ${model.model_digest.slice(0, 12)}${model.calibration_version ? `, calibration ${model.calibration_version}` : ""}.`];
  $("calibration").append(...facts.filter(Boolean).map((text) => make("li", { textContent: text })));
  $("synthetic").disabled = !model.synthetic_defects;
  $("limits").disabled = !model.limits.length;
  $("limits").title = model.limits.length ? "" : "Not measured yet: run realnet limits.";
  $("evaluation").disabled = !model.report;
  $("teach").hidden = !about.teaches;
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
  // Beside images a folder holds other things, which nobody means.
  return files.filter((file) => !file.name.startsWith(".") && (file.type.startsWith("image/") || IMAGE.test(file.name)));
}

// --- what the user does ---------------------------------------------------------------------------------------------

async function attachment(kind) {
  const response = await ask(`/v1/models/${$("model").value}/${kind}`).catch(lost);
  if (!response) return undefined;
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
$("report").addEventListener("click", () => download("inspection.html", reportHtml(lines(), shownModels().map((name) => models.find((m) => m.name === name)), new Date().toLocaleString()), "text/html"));
$("csv").addEventListener("click", () => download("inspection.csv", reportCsv(lines()), "text/csv"));
$("synthetic").addEventListener("click", async () => {
  const url = await attachment("synthetic-defects");
  if (url) show(Object.assign(document.createElement("img"), { className: "sheet", src: url, alt: "Synthetic defects" }));
});
$("limits").addEventListener("click", async () => {
  const { name, limits } = models.find((m) => m.name === $("model").value);
  const url = await attachment("limits");
  if (!url) return;
  const said = make("ul", {});
  said.append(...limits.map((text) => make("li", { textContent: text })));
  show(Object.assign(document.createElement("img"), { className: "sheet", src: url, alt: `Share of drawn defects that ${name} finds` }), said);
});
$("teach").addEventListener("click", teach);
$("evaluation").addEventListener("click", async () => {
  const url = await attachment("report");
  if (url) downloadUrl(url, `${$("model").value}-report.html`);
});

function downloadUrl(url, name) {
  Object.assign(document.createElement("a"), { href: url, download: name }).click();
}

$("who").value = localStorage.getItem("realnet-who") ?? "";
$("who").addEventListener("change", () => {
  localStorage.setItem("realnet-who", $("who").value.trim());
  $("who-label").classList.remove("wanted");
});
addEventListener("resize", () => { if (items.length) shownModels().forEach(drawDots); });
$("news").addEventListener("click", () => { $("news").hidden = true; });
startLarge();
startLive(
  async (file) => (models.length ? judge({ file }, $("model").value, newId()) : { error: "There is no inspector yet: photograph good parts." }),
  (answer) => conclude(answer, $("model").value),
  (file) => add([file]),
);
loadModels();
setInterval(look, POLL);
