// The results of the page as files: one HTML file that opens offline, and a table.

const STYLE = `body{font:15px/1.5 system-ui,sans-serif;max-width:1100px;margin:32px auto;padding:0 20px;color:#1b2430}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}td,th{padding:6px 10px;border-bottom:1px solid #dfe4ea;text-align:left;vertical-align:top}
.anomalous{color:#c62f4b;font-weight:650}.good{color:#1c7c4d}.error{color:#a75a00}.soft{color:#5d6a7a;font-size:13px}.moved{color:#a75a00}
.line{white-space:nowrap}.wide{overflow-x:auto}details{position:relative}summary{list-style:none;cursor:zoom-in}summary::-webkit-details-marker{display:none}
.thumb{position:relative;width:220px}.thumb img,.big img{display:block;width:100%;border-radius:5px}.thumb svg,.big svg{position:absolute;inset:0;width:100%;height:100%}
polygon{fill:none;stroke:#00ebff;stroke-width:2;vector-effect:non-scaling-stroke}
details[open] summary{cursor:zoom-out}details[open] .thumb{position:fixed;inset:0;width:auto;height:auto;z-index:2;display:grid;place-items:center;background:#000c}
details[open] .thumb .fit{position:relative;max-width:92vw}details[open] .thumb img{width:auto;max-width:92vw;max-height:92vh;min-width:min(92vw,640px)}
@media print{details[open] .thumb{position:relative;inset:auto;width:220px;height:auto}}`;

/** Text made harmless inside HTML. */
export function escaped(text) {
  return String(text).replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
}

/** The heat map with outlines; a click makes it as large as the window. */
function thumbnail(line) {
  if (!line.heatmap_png) return "";
  const outlines = line.regions.map((region) => `<polygon points="${region.outline.map((point) => point.join(",")).join(" ")}"/>`).join("");
  return `<details><summary><div class="thumb"><div class="fit"><img alt="heat map of ${escaped(line.name)}" src="data:image/png;base64,${line.heatmap_png}">` +
    `<svg viewBox="0 0 ${line.width} ${line.height}" preserveAspectRatio="none">${outlines}</svg></div></div></summary></details>`;
}

/** Which model, calibration and program an inspector's verdicts come from. */
function origin(model, lines) {
  const own = lines.filter((line) => line.model === model.name && !line.error);
  const calibration = model.calibration_version ? `calibration ${model.calibration_version}` : "not calibrated";
  const moved = own.some((line) => line.moved) ? ` <strong class="moved">The threshold was moved by hand: the inspector's own is ${model.threshold.toFixed(4)}.</strong>` : "";
  return `<li><strong>${escaped(model.name)}</strong>: model ${escaped(model.model_digest || "not known")}, ${calibration}, ` +
    `${escaped(own[0]?.software ?? "")}, threshold ${own[0] ? own[0].threshold.toFixed(4) : model.threshold.toFixed(4)}.${moved}<br>` +
    `<span class="soft">${model.calibration.map(escaped).join(" ")}</span></li>`;
}

/** One line an image and inspector: an answer of the server with verdict, level, threshold and regions as the page has them. */
export function reportHtml(lines, models, when) {
  const worst = [...lines].sort((a, b) => (b.level ?? -1) - (a.level ?? -1));
  const rows = worst.map((line) => {
    const said = line.error
      ? `<td class="error" colspan="5">${escaped(line.error)}</td>`
      : `<td class="${line.verdict}">${line.verdict}</td><td>${line.level.toFixed(2)}</td><td>${line.score.toFixed(4)}</td>` +
        `<td>${line.regions.map((r) => `<span class="line">${r.area} px at ${r.box[0]}, ${r.box[1]}</span>`).join("<br>")}</td><td>${escaped(line.label ?? "")}</td>`;
    const id = line.id ? `<br><span class="soft">${escaped(line.time)}<br>${escaped(line.id)}</span>` : "";
    return `<tr><td>${line.error ? "" : thumbnail(line)}</td><td>${escaped(line.name)}${id}</td><td>${escaped(line.model)}</td>${said}</tr>`;
  });
  const judged = lines.filter((line) => !line.error);
  const anomalous = judged.filter((line) => line.verdict === "anomalous").length;
  const unknown = judged.filter((line) => line.verdict === "unknown").length;
  return `<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>RealNet – inspection report</title>
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<style>${STYLE}</style></head><body><h1>Inspection report</h1>
<p>${escaped(when)}: ${judged.length} verdicts, ${anomalous} anomalous${unknown ? `, ${unknown} not of a product that the inspector knows` : ""}. The worst come first; a level above 0.5, where the threshold is, is anomalous.
A click enlarges a picture. Colours follow the outline's threshold, which is the middle of their scale.</p>
<ul>${models.map((model) => origin(model, lines)).join("")}</ul>
<div class="wide"><table><thead><tr><th>Heat map</th><th>Image</th><th>Inspector</th><th>Verdict</th><th>Level</th><th>Score</th><th>Regions</th><th>A person said</th></tr></thead>
<tbody>${rows.join("\n")}</tbody></table></div></body></html>`;
}

/** The same as comma-separated values. */
export function reportCsv(lines) {
  // A cell that a spreadsheet would take for a formula gets an apostrophe.
  const cell = (value) => `"${String(value ?? "").replace(/^([=+\-@\t])/, "'$1").replaceAll('"', '""')}"`;
  const head = "image,inspector,verdict,score,threshold,level,regions,error,id,time,model_digest,calibration,software,image_hash,threshold_moved,person";
  const rows = lines.map((line) =>
    [cell(line.name), cell(line.model), line.error ? "unreadable" : line.verdict, line.score ?? "", line.threshold ?? "",
      line.level ?? "", line.regions?.length ?? "", cell(line.error), cell(line.id), cell(line.time), cell(line.model_digest),
      (line.moved ? "" : line.calibration) ?? "", cell(line.software), cell(line.image_hash), line.error ? "" : String(line.moved), cell(line.label)].join(","));
  return [head, ...rows].join("\r\n") + "\r\n";
}

/** Offer `text` as a file. */
export function download(name, text, type) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
