// Make an inspector of good parts: give or photograph them, let it learn, add more, and watch the figures change.
import { $, Away, ask, complain, make, post, sentence } from "/parts.js";

let gathered = []; // what the server has, by inspector
let busy = false;

/**
 * Show the part of the page that makes inspectors.
 * `photograph()` gives the camera's picture as a file, or null; `dropped(transfer)` the files of a drop; `made(name)` is told of an inspector that is new or has changed.
 */
export async function startMaking(photograph, dropped, made) {
  $("making").hidden = false;
  $("making-photo").hidden = !navigator.mediaDevices?.getUserMedia;
  $("making-files").addEventListener("change", (event) => { give([...event.target.files]); event.target.value = ""; });
  $("making-photo").addEventListener("click", async () => {
    const file = await photograph();
    if (file) await give([file]);
  });
  for (const name of ["dragover", "dragleave", "drop"])
    $("making").addEventListener(name, (event) => {
      event.preventDefault();
      event.stopPropagation(); // what is dropped here is not judged
      $("making").classList.toggle("over", name === "dragover");
      if (name === "drop") dropped(event.dataTransfer).then(give);
    });
  $("making-name").addEventListener("input", () => { forget(); describe(); });
  $("making-learn").addEventListener("click", () => learn(made));
  const response = await ask("/v1/good");
  if (response.ok) gathered = await response.json();
  if (gathered.length) $("making-name").value = gathered[0].name;
  describe();
}

const nameOf = () => $("making-name").value.trim();
const current = () => gathered.find((one) => one.name === nameOf()) ?? { name: nameOf(), made: false, images: 0, waiting: 0 };

function forget() {
  $("making-said").hidden = $("making-figures").hidden = true;
  $("making-figures").tBodies[0].replaceChildren();
}

function describe(known = 0) {
  const { made, images, waiting } = current();
  const some = (count) => `${count} good image${count === 1 ? "" : "s"}`;
  $("making-count").textContent = `${some(images)}${made && waiting ? `, ${waiting} of them new` : ""}${known ? `; ${known} had been given before` : ""}`;
  $("making-learn").textContent = busy ? "Learning…" : made ? "Learn the new ones" : "Make the inspector";
  $("making-learn").disabled = busy || (made ? !waiting : images < 2);
  $("making-name").disabled = busy;
  $("making-names").replaceChildren(...gathered.map((one) => make("option", { value: one.name })));
}

/** Send good parts one by one; what cannot be used is named, and the others are kept. */
async function give(files) {
  const name = nameOf();
  const problems = [];
  let known = 0;
  for (const file of files) {
    const form = new FormData();
    form.set("image", file, file.name);
    try {
      const response = await sent(`/v1/models/${encodeURIComponent(name)}/good`, form);
      if (!response.ok) {
        problems.push(await sentence(response));
        continue;
      }
      const found = await response.json();
      known += found.known;
      gathered = [...gathered.filter((one) => one.name !== name), found];
      describe(known);
    } catch (error) {
      if (!(error instanceof Away)) throw error;
      problems.push(`${error.message} ${file.name} and what follows was not sent: give it again.`);
      break;
    }
  }
  complain(problems.join(" "));
}

/** Post a form; where the server wants fewer at a time, again when it says. */
async function sent(place, form) {
  for (;;) {
    const response = await ask(place, { method: "POST", body: form });
    if (response.status !== 503 && response.status !== 429) return response;
    await new Promise((done) => setTimeout(done, 1000 * Number(response.headers.get("Retry-After") ?? 1)));
  }
}

async function learn(made) {
  const name = nameOf();
  busy = true;
  describe();
  try {
    const found = await post(`/v1/models/${encodeURIComponent(name)}/learn`, {});
    complain("");
    gathered = gathered.map((one) => (one.name === name ? { ...one, made: true, waiting: 0 } : one));
    $("making-said").replaceChildren(...found.sentences.map((textContent) => make("li", { textContent })));
    const cells = [found.good_images, found.threshold.toFixed(4), `${(100 * found.promised).toFixed(1)} %`, found.seconds.toFixed(1)];
    $("making-figures").tBodies[0].insertRow().append(...cells.map((textContent) => make("td", { textContent })));
    $("making-said").hidden = $("making-figures").hidden = false;
    await made(name);
  } catch (error) {
    complain(error.message);
  }
  busy = false;
  describe();
}
