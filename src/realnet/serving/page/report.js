// The results of the page as files: one HTML file that opens offline, and a table.

const STYLE = `body{font:15px/1.5 system-ui,sans-serif;max-width:1100px;margin:32px auto;padding:0 20px;color:#1b2430}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}td,th{padding:6px 10px;border-bottom:1px solid #dfe4ea;text-align:left}
.anomalous{color:#c62f4b;font-weight:650}.good{color:#1c7c4d}.error{color:#a75a00}img{max-width:220px;display:block;border-radius:5px}`;

/** Text made harmless inside HTML. */
export function escaped(text) {
  return String(text).replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
}

/** One line an image and inspector: {name, model, verdict, score, threshold, level, regions, heatmap_png, error}. */
export function reportHtml(lines, when) {
  const rows = lines.map((line) => {
    const picture = line.heatmap_png ? `<img alt="" src="data:image/png;base64,${line.heatmap_png}">` : "";
    const said = line.error
      ? `<td class="error" colspan="4">${escaped(line.error)}</td>`
      : `<td class="${line.verdict}">${line.verdict}</td><td>${line.score.toFixed(4)}</td><td>${line.threshold.toFixed(4)}</td>` +
        `<td>${line.regions.map((r) => `${r.area} px at ${r.box[0]}, ${r.box[1]}`).join("<br>")}</td>`;
    return `<tr><td>${picture}</td><td>${escaped(line.name)}</td><td>${escaped(line.model)}</td>${said}</tr>`;
  });
  const judged = lines.filter((line) => !line.error);
  const anomalous = judged.filter((line) => line.verdict === "anomalous").length;
  return `<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>RealNet – inspection report</title>
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<style>${STYLE}</style></head><body><h1>Inspection report</h1>
<p>${escaped(when)}: ${judged.length} verdicts, ${anomalous} anomalous. A score above its threshold is anomalous.</p>
<table><thead><tr><th>Heat map</th><th>Image</th><th>Inspector</th><th>Verdict</th><th>Score</th><th>Threshold</th><th>Regions</th></tr></thead>
<tbody>${rows.join("\n")}</tbody></table></body></html>`;
}

/** The same as comma-separated values. */
export function reportCsv(lines) {
  // A cell that a spreadsheet would take for a formula gets an apostrophe.
  const cell = (value) => `"${String(value ?? "").replace(/^([=+\-@\t])/, "'$1").replaceAll('"', '""')}"`;
  const head = "image,inspector,verdict,score,threshold,level,regions,error";
  const rows = lines.map((line) =>
    [cell(line.name), cell(line.model), line.error ? "unreadable" : line.verdict, line.score ?? "", line.threshold ?? "",
      line.level ?? "", line.regions?.length ?? "", cell(line.error)].join(","));
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
