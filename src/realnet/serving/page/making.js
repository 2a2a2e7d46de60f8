// Make an inspector of good parts: give or photograph them, let it learn, add more, and watch the figures change.
import { $, Away, ask, complain, make, post, sentence } from "/parts.js";

let gathered = []; // what the server has, by inspector
let busy = 0; // since when the server makes or changes the inspector, in milliseconds; 0: it does not

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
  $("making-name").addEventListener("change", () => showOdd(made));
  $("making-learn").addEventListener("click", () => learn(made));
  const response = await ask("/v1/good");
  if (response.ok) gathered = await response.json();
  if (gathered.length) $("making-name").value = gathered[0].name;
  describe();
  await showOdd(made);
}

const nameOf = () => $("making-name").value.trim();
const current = () => gathered.find((one) => one.name === nameOf()) ?? { name: nameOf(), made: false, images: 0, waiting: 0 };

function forget() {
  $("making-said").hidden = $("making-figures").hidden = $("making-odd").hidden = true;
  $("making-figures").tBodies[0].replaceChildren();
}

function describe(known = 0) {
  const { made, images, waiting } = current();
  const some = (count) => `${count} good image${count === 1 ? "" : "s"}`;
  $("making-count").textContent = `${some(images)}${made && waiting ? `, ${waiting} of them new` : ""}${known ? `; ${known} had been given before` : ""}`;
  $("making-learn").textContent = busy ? `Learning… ${Math.round((Date.now() - busy) / 1000)} s` : made ? "Learn the new ones" : "Make the inspector";
  $("making-learn").disabled = busy || (made ? !waiting : images < 2);
  $("making-name").disabled = Boolean(busy);
  $("making-names").replaceChildren(...gathered.map((one) => make("option", { value: one.name })));
}

/** Send good parts one by one; what cannot be used is named, and the others are kept. */
async function give(files) {
  const name = nameOf();
  if (!name) return complain("Give the inspector a name first.");
  const problems = [];
  let known = 0;
  for (const file of files) {
    const form = new FormData();
    form.set("image", file, file.name);
    try {
      const response = await sent(`/v1/models/${encodeURIComponent(name)}/good`, form);
      if (!response.ok) {
        problems.push(await sentence(response));
        if (response.status === 422) break; // the name: it is the same for all
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

/** Let the server do what makes or changes the inspector, and show what came of it. */
async function work(place, made, becomes) {
  const name = nameOf();
  busy = Date.now();
  describe();
  const clock = setInterval(describe, 1000);
  try {
    const found = await post(`/v1/models/${encodeURIComponent(name)}/${place}`, {});
    complain("");
    gathered = gathered.map((one) => (one.name === name ? becomes(one) : one));
    $("making-said").replaceChildren(...found.sentences.map((text) => make("li", { textContent: text.replace(/\b[0-9a-f]{16}-/g, "") })));
    const cells = [found.good_images, found.threshold.toFixed(4), `${(100 * found.promised).toFixed(1)} %`, found.seconds.toFixed(1)];
    $("making-figures").tBodies[0].insertRow().append(...cells.map((textContent) => make("td", { textContent })));
    $("making-said").hidden = $("making-figures").hidden = false;
    await made(name);
  } catch (error) {
    complain(error.message);
  }
  clearInterval(clock);
  busy = 0;
  describe();
  await showOdd(made);
}

const learn = (made) => work("learn", made, (one) => ({ ...one, made: true, waiting: 0 }));

/** Show the good parts that score far above the others, for a person to say of each what it is. */
async function showOdd(made) {
  const name = nameOf();
  let odd = [];
  if (current().made) {
    try {
      const response = await ask(`/v1/models/${encodeURIComponent(name)}/odd`);
      if (response.ok) odd = await response.json();
    } catch (error) {
      if (!(error instanceof Away)) throw error;
    }
  }
  if (name === nameOf()) drawOdd(odd, name, made);
}

function drawOdd(odd, name, made) {
  $("making-odd").hidden = !odd.length;
  $("making-odd-list").replaceChildren(...odd.map(({ image, picture }) => {
    const called = image.replace(/^[0-9a-f]{16}-/, "");
    const keep = make("button", { textContent: "It is good" });
    const out = make("button", { textContent: "Leave it out", title: "It is no good part: the inspector unlearns it" });
    const place = `odd/${encodeURIComponent(image)}`;
    const both = (disabled) => { for (const button of $("making-odd-list").querySelectorAll("button")) button.disabled = disabled; };
    keep.addEventListener("click", async () => {
      both(true);
      try {
        drawOdd(await post(`/v1/models/${encodeURIComponent(name)}/${place}/keep`, {}), name, made);
      } catch (error) {
        complain(error.message);
        both(false);
      }
    });
    out.addEventListener("click", () => {
      both(true);
      work(`${place}/leave-out`, made, (one) => ({ ...one, images: one.images - 1, waiting: 0 }));
    });
    return make("figure", {}, make("img", { src: picture, alt: `good part ${called}` }), make("figcaption", { textContent: called, title: called }), keep, out);
  }));
}
