// The list of pictures: what is done to each, how far it is, and a button to cancel it or to take it away.
// Rows stay while the state changes under them: a button that were made anew would lose the click on it.

const DOING = { open: "reading", estimate: "finding the blur", preview: "preview", restore: "restoring", save: "saving" };

export function busy(picture) { return ["waiting", "running"].includes(picture.job?.state); }

function time(seconds) {
  return seconds < 90 ? `${Math.ceil(seconds)} s` : `${Math.ceil(seconds / 60)} min`;
}

export function words({ name, job, results }) {
  if (job.state === "waiting") return "waits";
  if (job.state === "running") {
    const left = job.left === null ? "" : `, ${time(job.left)} left`;
    return `${job.title || DOING[job.task] || "reading"}${left}`;
  }
  if (job.state === "failed") return job.message.startsWith(`${name}: `) ? job.message.slice(name.length + 2) : job.message;
  if (job.state === "cancelled") return "cancelled";
  const { width, height, kind } = results.open;
  return `${width} × ${height} ${kind}${results.restore ? "; restored" : ""}`;
}

export class Queue {
  // `actions` are choose, cancel and remove, each of an id.
  constructor(place, actions) {
    this.place = place;
    this.actions = actions;
    this.rows = new Map();
  }

  update(pictures, chosen) {
    for (const [id, { row }] of this.rows) {
      if (pictures.some((picture) => picture.id === id)) continue;
      row.remove();
      this.rows.delete(id);
    }
    for (const picture of pictures) {
      if (!this.rows.has(picture.id)) this.rows.set(picture.id, this.make(picture));
      const { row, act, what, bar } = this.rows.get(picture.id);
      const active = busy(picture);
      row.className = picture.id === chosen ? "chosen" : "";
      row.dataset.state = picture.job.state;
      act.textContent = active ? "Cancel" : "Remove";
      act.ariaLabel = `${act.textContent} ${picture.name}`;
      act.onclick = () => (active ? this.actions.cancel : this.actions.remove)(picture.id);
      what.textContent = words(picture);
      what.classList.toggle("bad", picture.job.state === "failed");
      bar.hidden = picture.job.state !== "running";
      if (picture.job.share > 0) bar.value = picture.job.share;
      else bar.removeAttribute("value");
    }
  }

  make({ id, name }) {
    const made = (tag, properties) => Object.assign(document.createElement(tag), properties);
    const row = made("li");
    const title = made("button", { type: "button", className: "name", textContent: name, title: name });
    title.onclick = () => this.actions.choose(id);
    const act = made("button", { type: "button", className: "link" });
    const what = made("span", { className: "what" });
    const bar = made("progress", { max: 1 });
    row.append(title, act, what, bar);
    this.place.append(row);
    return { row, act, what, bar };
  }
}
