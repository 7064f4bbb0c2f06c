// The settings of a picture, to and from the form.

const element = (id) => document.getElementById(id);

export const START = {
  kind: "estimated", model: "auto", length: 15, angle: 0, radius: 3, sigma: 2,
  method: "", strength: 0, noise: "", light: "", ending: "", region: null, psfName: "",
};

const FIELDS = { kind: "psf", model: "model", length: "length", angle: "angle", radius: "radius", sigma: "sigma",
  method: "method", strength: "strength", noise: "noise", light: "light", ending: "ending" };
const NUMBERS = ["length", "angle", "radius", "sigma", "strength"];

export function offer({ methods, endings }) {
  element("method").replaceChildren(...Object.keys(methods).map((name) => new Option(name.replaceAll("_", " "), name)));
  element("ending").append(...Object.entries(endings).map(([name, ending]) => new Option(name, ending)));
  START.method = Object.keys(methods)[0];
}

export function read(settings) { // takes what the form says into the settings
  for (const [name, id] of Object.entries(FIELDS)) {
    const value = element(id).value;
    settings[name] = NUMBERS.includes(name) ? Number(value) : value;
  }
}

export function write(settings, methods) {
  for (const [name, id] of Object.entries(FIELDS)) element(id).value = settings[name];
  for (const part of document.querySelectorAll("[data-psf]")) part.hidden = part.dataset.psf !== settings.kind;
  element("psf-name").textContent = settings.psfName;
  element("method-words").textContent = methods[settings.method] ?? "";
  const strength = 2 ** settings.strength;
  element("strength-words").textContent = strength === 1 ? "as the noise calls for" : `${Number(strength.toPrecision(2))} times that`;
}

export function asked(settings) { // as the server takes them
  const psf = {
    motion: `motion:${settings.length},${settings.angle}`,
    disk: `disk:${settings.radius}`,
    gaussian: `gaussian:${settings.sigma}`,
  };
  return {
    psf: psf[settings.kind] ?? settings.kind,
    model: settings.model,
    method: settings.method,
    strength: 2 ** settings.strength,
    noise: settings.noise === "" ? null : Number(settings.noise) / 100,
    linear: settings.light === "" ? null : settings.light === "true",
    region: settings.region,
    ending: settings.ending || null,
  };
}
