// A camera of this computer: a picture every so often, with its verdict and outlines over the live image.
import { $, make, outlines } from "/parts.js";

let stream = null;
let latest = null; // the file that was judged last

/**
 * Let the page watch a camera, where the browser has one to offer.
 * `judge(file)` gives an answer, `conclude(answer)` the verdict under the sliders, `keep(file)` adds it to the images below.
 */
export function startLive(judge, conclude, keep) {
  $("live-start").hidden = !navigator.mediaDevices?.getUserMedia; // browsers hide cameras from plain http beyond localhost
  $("live-start").addEventListener("click", () => begin(judge, conclude));
  $("live-camera").addEventListener("change", () => begin(judge, conclude));
  $("live-stop").addEventListener("click", stop);
  $("live-keep").addEventListener("click", () => { if (latest) keep(latest); });
}

async function begin(judge, conclude) {
  stop();
  const chosen = $("live-camera").value;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: chosen ? { deviceId: { exact: chosen } } : true });
  } catch (error) {
    return say("error", `No camera: ${error.message}`);
  }
  $("live").hidden = false;
  $("live-start").hidden = true;
  $("live-video").srcObject = stream;
  await $("live-video").play();
  const cameras = (await navigator.mediaDevices.enumerateDevices()).filter((device) => device.kind === "videoinput");
  const used = stream.getVideoTracks()[0].getSettings().deviceId;
  $("live-camera").replaceChildren(...cameras.map((device, number) => make("option", { value: device.deviceId, textContent: device.label || `camera ${number + 1}`, selected: device.deviceId === used })));
  watch(stream, judge, conclude);
}

function stop() {
  for (const track of stream?.getTracks() ?? []) track.stop();
  stream = latest = null;
  $("live").hidden = true;
  $("live-start").hidden = false;
}

/** Judge pictures of `own` until another stream takes its place; one at a time, so that a slow server is not flooded. */
async function watch(own, judge, conclude) {
  while (stream === own) {
    const begun = performance.now();
    const file = await picture();
    if (file) {
      const answer = await judge(file).catch(() => ({ error: "The server does not answer; the next picture is tried." }));
      if (stream !== own) return;
      latest = file;
      show(answer, conclude);
    }
    const rest = 1000 * (Number($("live-every").value) || 1) - (performance.now() - begun);
    await new Promise((done) => setTimeout(done, Math.max(rest, 50)));
  }
}

/** A picture of the camera that is watched; where none is, the camera starts, and the next call has one. */
export async function photograph() {
  if (!stream) return $("live-start").click(), null;
  return picture();
}

/** The picture that the camera shows now, as a file named by the time. */
async function picture() {
  const video = $("live-video");
  if (!video.videoWidth) return null;
  const canvas = make("canvas", { width: video.videoWidth, height: video.videoHeight });
  canvas.getContext("2d").drawImage(video, 0, 0);
  const blob = await new Promise((done) => canvas.toBlob(done, "image/png"));
  return new File([blob], `camera-${new Date().toISOString().replaceAll(":", "-")}.png`, { type: "image/png" });
}

function show(answer, conclude) {
  $("live-frame").querySelector("svg")?.remove();
  if (answer.error) return say("error", answer.error);
  const found = conclude(answer);
  say(found.verdict, found.verdict === "unknown"
    ? "not a product this inspector knows" : `level ${found.level.toFixed(2)}, score ${answer.score.toFixed(4)}`);
  $("live-frame").append(outlines(found.regions, answer.width, answer.height));
}

function say(verdict, text) {
  $("live-verdict").replaceChildren(make("span", { className: `badge ${verdict}`, textContent: verdict === "error" ? "no verdict" : verdict }), ` ${text}`);
  if (verdict === "error" && $("live").hidden) $("live").hidden = false;
}
