// The page: its pictures and their settings, and what happens when the server says something or a button is pressed.

import { START, asked, offer, read, write } from "./form.js";
import { Queue, busy, words } from "./queue.js";
import { server } from "./server.js";
import { Viewer } from "./viewer.js";

const element = (id) => document.getElementById(id);

let pictures = [];
let chosen = null; // the id of the picture that is shown
let methods = {};
let toSave = new Set(); // pictures whose file is to be offered as soon as it is written
const settings = new Map(); // by id
const images = new Map(); // by address

const picture = () => pictures.find((each) => each.id === chosen);
const settingsOf = (id) => {
  if (!settings.has(id)) settings.set(id, { ...START });
  return settings.get(id);
};

const viewer = new Viewer(element("canvas"), {
  moved: (split) => { viewer.split = split; element("split").value = split; viewer.draw(); },
  drawn: (tool, value) => {
    const own = settingsOf(chosen);
    if (tool === "motion") Object.assign(own, value, { kind: "motion" });
    if (tool === "region") own.region = value;
    write(own, methods);
  },
  zoomed: () => {
    element("whole-size").ariaPressed = String(viewer.zoom === 1);
    element("fit-size").ariaPressed = String(viewer.zoom === null);
  },
});

const queue = new Queue(element("pictures"), { choose, cancel: server.cancel, remove: server.remove });

// What is shown.

const latestOf = (results) => Object.keys(results).findLast((task) => ["preview", "restore"].includes(task));

function image(address) {
  if (!images.has(address)) {
    const loaded = new Image();
    loaded.src = address;
    images.set(address, loaded.decode().then(() => loaded));
  }
  return images.get(address);
}

async function show() {
  const now = picture();
  const open = now?.results.open;
  element("empty").hidden = Boolean(open);
  if (!open) return viewer.show(null, null);
  const { id, results } = now;
  const latest = latestOf(results);
  const name = { preview: "preview.png", restore: "restored.png" }[latest];
  const addresses = [server.file(id, "made", "before.png")];
  if (name) addresses.push(server.file(id, "made", name, results[latest].version));
  for (const address of images.keys()) if (!addresses.includes(address)) images.delete(address);
  const [before, restored] = await Promise.all(addresses.map(image));
  const [x, y, w, h] = results[latest]?.region ?? [0, 0, open.width, open.height];
  const after = restored ? { image: restored, x, y, w, h } : null;
  if (id !== chosen) return;
  viewer.region = settingsOf(id).region ?? (w < open.width || h < open.height ? results[latest].region : null);
  if (viewer.id !== id) viewer.motion = null;
  viewer.id = id;
  viewer.show(before, after);
}

function tell() {
  const now = picture();
  const results = now?.results ?? {};
  const ready = Boolean(results.open);
  for (const id of ["estimate", "preview", "restore"]) element(id).disabled = !ready;
  element("save").disabled = !results.restore || busy(now);
  element("restore-all").hidden = pictures.length < 2;
  element("save-all").hidden = pictures.filter((each) => each.results.restore).length < 2;
  const found = results.estimate ?? results.restore?.estimate ?? results.preview?.estimate;
  element("estimated").hidden = !found || settingsOf(chosen).kind !== "estimated";
  if (found) {
    element("psf-image").src = server.file(chosen, "made", "psf.png", found.seconds);
    element("psf-words").textContent = [found.words, ...found.cautions].join("; ");
    element("psf-words").className = found.found ? "" : "bad";
    element("confidence-line").hidden = !found.found;
    element("confidence").value = found.confidence;
    element("confidence-words").textContent = found.confidence.toFixed(2);
  }
  const latest = results[latestOf(results)];
  element("done").replaceChildren();
  if (now && busy(now)) element("done").textContent = words(now); // where the button is, too: a phone shows no more at once
  else if (latest) {
    const said = [latest.psf, latest.noise, latest.light ? "linear light" : "grey values",
      latest.method.replaceAll("_", " "), `${latest.seconds.toFixed(1)} s`, ...latest.notes];
    element("done").textContent = said.join("; ");
  }
  element("warning").hidden = !latest?.warning;
  element("warning").textContent = latest?.warning ?? "";
  element("showing").textContent = latest ? `after: ${latest.region ? "preview" : "restored"}` : ready ? "not restored yet" : "";
  element("split").disabled = !latest;
  const saved = results.save;
  element("saved").textContent = saved ? [saved.name, ...saved.notes].join("; ") : "";
  element("command").hidden = !results.restore;
  element("command").querySelector("code").textContent = (results.restore?.command ?? []).map(quoted).join(" ");
}

const quoted = (word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`);

function choose(id) {
  chosen = id;
  write(settingsOf(id), methods);
  refresh();
}

function refresh() {
  queue.update(pictures, chosen);
  tell();
  show();
}

function hear(state) {
  const known = new Set(pictures.map((each) => each.id));
  pictures = state.pictures;
  const newest = pictures.findLast((each) => !known.has(each.id));
  if (newest && (!picture() || !latestOf(picture().results))) chosen = newest.id;
  if (!picture()) chosen = pictures.at(-1)?.id ?? null;
  if (chosen && newest?.id === chosen) write(settingsOf(chosen), methods);
  refresh();
  for (const each of pictures) {
    if (toSave.has(each.id) && each.job.task === "save" && !busy(each)) {
      toSave.delete(each.id);
      if (each.job.state === "done") download(server.file(each.id, "saved", each.results.save.name, each.results.save.version));
    }
  }
}

function download(address) {
  const link = document.createElement("a");
  link.href = address;
  link.download = "";
  link.click();
}

// What is pressed.

const ask = (task, id = chosen) => server.ask(id, task, asked(settingsOf(id)));
const addAll = async (files) => { for (const file of files) await server.add(file).catch(() => {}); };

element("files").onchange = (event) => { addAll([...event.target.files]); event.target.value = ""; };
element("psf-file").onchange = async (event) => {
  const [file] = event.target.files;
  event.target.value = "";
  await server.addPsf(chosen, file);
  settingsOf(chosen).psfName = file.name;
  write(settingsOf(chosen), methods);
};
element("estimate").onclick = () => ask("estimate");
element("preview").onclick = () => {
  const own = settingsOf(chosen);
  server.ask(chosen, "preview", asked({ ...own, region: own.region ?? around(picture().results.open) }));
};
element("restore").onclick = () => ask("restore");
element("restore-all").onclick = () => { for (const each of pictures) if (each.results.open) ask("restore", each.id); };
const save = (id) => { toSave.add(id); ask("save", id); };
element("save").onclick = () => save(chosen);
element("save-all").onclick = () => { for (const each of pictures) if (each.results.restore && !busy(each)) save(each.id); };

function around({ width, height }) { // the middle of what is seen
  const side = 512;
  const [x, y] = [viewer.centre[0], viewer.centre[1]];
  const [w, h] = [Math.min(side, width), Math.min(side, height)];
  const place = (middle, size, all) => Math.round(Math.min(Math.max(0, middle - size / 2), all - size));
  return [place(x, w, width), place(y, h, height), w, h];
}

for (const field of document.querySelectorAll("aside select, aside input:not([type=file])")) {
  field.addEventListener("input", () => {
    if (!chosen) return;
    read(settingsOf(chosen));
    write(settingsOf(chosen), methods);
    tell();
  });
}

element("split").oninput = (event) => { viewer.split = Number(event.target.value); viewer.draw(); };
element("whole-size").onclick = () => viewer.zoomTo(1);
element("fit-size").onclick = () => viewer.zoomTo(null);
const tools = document.querySelectorAll("[data-tool]");
for (const button of tools) {
  button.onclick = () => {
    viewer.tool = button.dataset.tool;
    for (const each of tools) each.ariaPressed = String(each === button);
  };
}

const stage = element("stage");
document.addEventListener("dragover", (event) => { event.preventDefault(); stage.classList.add("over"); });
document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) stage.classList.remove("over"); });
document.addEventListener("drop", (event) => {
  event.preventDefault();
  stage.classList.remove("over");
  addAll([...event.dataTransfer.files]);
});

server.refusals((words) => { element("refused").textContent = words; element("refused").hidden = !words; });
const choices = await server.choices();
methods = choices.methods;
offer(choices);
for (const name of choices.examples) {
  const button = Object.assign(document.createElement("button"), { type: "button", className: "link", textContent: name });
  button.onclick = () => server.addExample(name);
  if (element("examples").childNodes.length) element("examples").append(", ");
  element("examples").append(button);
}
write(START, methods);
server.onState(hear);
