// What the server is asked, and what it says. Refusals reach `onRefusal` in the server's own words.

const CLOSED = "deconv app has ended: start it again, and open the address that it prints";

let onRefusal = () => {};

async function send(method, path, body) {
  const headers = typeof body === "string" ? { "Content-Type": "application/json" } : {};
  try {
    const answer = await fetch(path, { method, body, headers });
    if (!answer.ok) throw new Error(await answer.text());
    onRefusal("");
    return answer;
  } catch (error) {
    onRefusal(error instanceof TypeError ? CLOSED : error.message);
    throw error;
  }
}

const at = (id) => `/pictures/${id}`;

export const server = {
  refusals(listener) { onRefusal = listener; },
  choices: async () => (await send("GET", "/choices")).json(),
  add: (file) => send("POST", `/pictures?name=${encodeURIComponent(file.name)}`, file),
  addExample: (name) => send("POST", `/examples/${name}`),
  addPsf: (id, file) => send("POST", `${at(id)}/psf?name=${encodeURIComponent(file.name)}`, file),
  ask: (id, task, settings) => send("POST", `${at(id)}/tasks/${task}`, JSON.stringify(settings)),
  cancel: (id) => send("DELETE", `${at(id)}/job`),
  remove: (id) => send("DELETE", at(id)),
  file: (id, part, name, version = "") => `${at(id)}/${part}/${encodeURIComponent(name)}?${version}`,
  onState(listener) {
    const events = new EventSource("/events");
    events.onmessage = (event) => listener(JSON.parse(event.data));
    events.onerror = () => onRefusal(CLOSED);
  },
};
