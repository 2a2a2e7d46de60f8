// What the line has judged before: results, the review queue, and the course of levels and alarms.
import { $, Away, ask, complain, draw, enlarge, give, labelButtons, labelOf, make, outlines, refreshLarge, sentence } from "/parts.js";

let entries = [];
const pictures = new Map(); // by id: address of what was kept, or ""
let asked = 0; // answers to earlier questions come too late

/** Begin, where the server keeps results. */
export function startHistory(models) {
  $("history").hidden = false;
  $("history-model").replaceChildren(new Option("all inspectors", ""), ...models.map((m) => new Option(m.name, m.name)));
  for (const id of ["history-what", "history-model", "history-verdict", "history-label", "history-since", "history-until", "history-above", "history-below", "history-image"])
    $(id).addEventListener("change", () => loadHistory());
  $("trend-by").addEventListener("change", loadTrend);
  $("history-refresh").addEventListener("click", () => loadHistory());
  $("history-more").addEventListener("click", () => loadHistory(entries.at(-1)?.number));
  loadHistory();
}

async function get(place) {
  const response = await ask(place);
  if (!response.ok) throw new Error(await sentence(response));
  return response.json();
}

/** Ask for results; `before`: the number of the last one that is shown already. */
export async function loadHistory(before) {
  const reviewing = $("history-what").value === "review";
  $("history-filters").hidden = reviewing;
  const wanted = new URLSearchParams();
  const fields = { model: "history-model" };
  if (!reviewing) Object.assign(fields, { verdict: "history-verdict", label: "history-label", above: "history-above", below: "history-below", image: "history-image" });
  for (const [name, id] of Object.entries(fields)) if ($(id).value) wanted.set(name, $(id).value);
  // Fields have the time of the reader's place, the store that of UTC.
  if (!reviewing) for (const name of ["since", "until"]) if ($(`history-${name}`).value) wanted.set(name, new Date($(`history-${name}`).value).toISOString());
  if (before) wanted.set("before", before);
  const number = (asked += 1);
  try {
    const found = await get(`/v1/history${reviewing ? "/review" : ""}?${wanted}`);
    if (number !== asked) return;
    const some = reviewing ? found : found.results;
    entries = before ? [...entries, ...some] : some;
    if (!before) $("history-count").textContent = reviewing
      ? (entries.length ? `${entries.length} to look at, the closest verdicts first. Press G or D on each.` : "Nothing is left to look at.")
      : `${found.total.toLocaleString()} results`;
    $("history-more").hidden = reviewing || !some.length || found.total <= some.length;
    drawEntries();
    if (!before) await loadTrend();
  } catch (error) {
    if (!(error instanceof Away)) complain(error.message);
  }
}

function drawEntries() {
  $("history-cards").replaceChildren(...entries.map((entry, at) => card(entry, at)));
}

function card(entry, at) {
  const element = make("article", { className: `card item ${entry.verdict}`, tabIndex: 0 });
  element.dataset.id = entry.id;
  element.append(picture(entry), make("h3", { textContent: entry.image, title: entry.image }), line(entry));
  if (entry.score !== null) element.append(labelButtons(entry.label, (label) => say(entry, label)));
  const open = () => enlarge(entries, at, details, say);
  element.addEventListener("click", open);
  element.addEventListener("keydown", (event) => {
    if (event.target !== element) return;
    if (event.key === "Enter") open();
    else if (labelOf(event) && entry.score !== null) say(entry, labelOf(event));
  });
  return element;
}

async function say(entry, label) {
  if (entry.score === null || !(await give(entry.id, label))) return;
  Object.assign(entry, { label, who: $("who").value.trim() });
  const focused = document.activeElement?.dataset?.id;
  drawEntries();
  if (focused) {
    const all = [...$("history-cards").children];
    const at = all.findIndex((one) => one.dataset.id === focused);
    // In the queue, the next one is what is to be looked at.
    (all[at + ($("history-what").value === "review" ? 1 : 0)] ?? all[at])?.focus();
  }
  refreshLarge();
}

function picture(entry) {
  const box = make("div", { className: "picture" });
  const frame = make("div", { className: "frame" });
  box.append(frame);
  if (!entry.picture) {
    frame.append(make("p", { className: "soft nothing", textContent: "No picture was kept." }));
    return box;
  }
  const image = make("img", { alt: "", width: entry.width, height: entry.height });
  frame.append(image, outlines(entry.regions, entry.width, entry.height));
  load(entry.id).then((address) => { image.src = address; });
  return box;
}

async function load(id) {
  if (!pictures.has(id)) {
    pictures.set(id, ask(`/v1/history/${id}/picture`).then(async (response) => (response.ok ? URL.createObjectURL(await response.blob()) : "")).catch(() => ""));
    if (pictures.size > 400) { // the first ones are long out of sight
      const [oldest] = pictures.keys();
      pictures.get(oldest).then((address) => URL.revokeObjectURL(address));
      pictures.delete(oldest);
    }
  }
  return pictures.get(id);
}

function line(entry) {
  const text = entry.score === null ? entry.error : `level ${entry.level.toFixed(2)} · score ${entry.score.toFixed(4)}`;
  const badge = make("span", { className: `badge ${entry.verdict === "unreadable" ? "error" : entry.verdict}`, textContent: entry.verdict });
  const when = make("div", { className: "soft small", textContent: `${new Date(entry.time).toLocaleString()} · ${entry.model}${entry.calibration ? ` · calibration ${entry.calibration}` : ""}` });
  return make("div", {}, make("div", { className: "verdict" }, badge, make("span", { textContent: text })), when);
}

function details(entry) {
  const table = make("table", { className: "facts" });
  const facts = {
    Result: entry.id, Time: entry.time, Inspector: entry.model, Model: entry.model_digest || "not known",
    Threshold: `${entry.threshold.toFixed(5)}${entry.calibration ? `, calibration ${entry.calibration}` : ", named by hand or not calibrated"}`,
    Software: entry.software, "Image hash": entry.image_hash, Source: entry.source,
    ...(entry.label ? { "A person said": `${entry.label} (${entry.who})${entry.why ? `: ${entry.why}` : ""}` } : {}),
  };
  for (const [name, value] of Object.entries(facts)) table.insertRow().append(make("th", { textContent: name }), make("td", { textContent: value }));
  const buttons = entry.score === null ? [] : [labelButtons(entry.label, (label) => say(entry, label))];
  return [make("h2", { textContent: entry.image }), line(entry), ...buttons, picture(entry), table];
}

// --- the course over time -------------------------------------------------------------------------------------------

async function loadTrend() {
  const wanted = new URLSearchParams({ by: $("trend-by").value, limit: 100 });
  if ($("history-model").value) wanted.set("model", $("history-model").value);
  const { spans } = await get(`/v1/history/trend?${wanted}`);
  $("trend-box").hidden = !spans.length;
  if (spans.length) $("trend").replaceChildren(...chart(spans));
}

const W = 1000, TOP = 12, MIDDLE = 150, BOTTOM = 262;

/** Above: mean and highest level of each span, with the threshold's line; below: the share that was rejected. */
function chart(spans) {
  const x = (at) => 44 + ((W - 56) * (at + 0.5)) / spans.length;
  const y = (level) => MIDDLE - (MIDDLE - TOP) * level;
  const most = Math.max(0.05, ...spans.map((span) => span.anomalous / span.images));
  const high = (share) => ((BOTTOM - MIDDLE - 30) * share) / most;
  const text = (where, label, anchor = "end") => draw("text", { x: where[0], y: where[1], "text-anchor": anchor }, label);
  const drawn = [
    draw("line", { x1: 44, x2: W - 12, y1: y(0.5), y2: y(0.5), class: "limit" }),
    text([38, y(0.5) + 4], "0.5"), text([38, y(1) + 8], "1"), text([38, y(0) + 4], "0"),
    text([38, BOTTOM - high(most) + 10], `${Math.round(100 * most)}%`), text([38, BOTTOM], "0%"),
    text([x(0), BOTTOM + 18], when(spans[0]), "start"),
    draw("polyline", { class: "mean", points: spans.map((span, at) => `${x(at)},${y(span.level)}`).join(" ") }),
  ];
  if (spans.length > 1) drawn.push(text([x(spans.length - 1), BOTTOM + 18], when(spans.at(-1))));
  spans.forEach((span, at) => {
    const share = span.anomalous / span.images;
    const width = Math.max(2, Math.min(40, (W - 56) / spans.length - 2));
    const said = `${when(span)}: ${span.images} images, ${span.anomalous} anomalous, mean level ${span.level.toFixed(2)}, highest ${span.highest.toFixed(2)}`;
    drawn.push(
      draw("g", {},
        draw("title", {}, said),
        draw("rect", { class: "alarms", x: x(at) - width / 2, width, y: BOTTOM - high(share), height: high(share) }),
        draw("circle", { class: "mean", cx: x(at), cy: y(span.level), r: 3 }),
        draw("circle", { class: "highest", cx: x(at), cy: y(span.highest), r: 3 })));
    const before = spans[at - 1]?.calibrations.at(-1);
    if (at && span.calibrations.length && before !== undefined && span.calibrations.at(-1) !== before)
      drawn.push(draw("line", { class: "change", x1: x(at) - (W - 56) / spans.length / 2, x2: x(at) - (W - 56) / spans.length / 2, y1: TOP, y2: BOTTOM }, draw("title", {}, `calibration ${span.calibrations.at(-1)}`)));
  });
  return drawn;
}

function when(span) {
  const date = new Date(span.start);
  // A day is one of UTC.
  return $("trend-by").value === "day" ? date.toLocaleDateString(undefined, { timeZone: "UTC" }) : date.toLocaleString(undefined, { dateStyle: "short", timeStyle: "short" });
}
