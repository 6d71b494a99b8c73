// What makes pages alive: local times, countdowns, the inbox that looks again by itself, copying, and passkeys.
// Every page works without it, except that a passkey needs the browser's own interface.
"use strict";

// The gateway's clock, not this machine's: a countdown must not depend on how a phone is set.
const served = Number(document.body.dataset.now) / 1000;
const loaded = performance.now();
const now = () => served + (performance.now() - loaded);

function localTimes() {
  for (const time of document.querySelectorAll("time[datetime]")) {
    const moment = new Date(time.dateTime);
    time.title = time.textContent;
    time.textContent = moment.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
  }
}

function left(milliseconds) {
  const seconds = Math.max(0, Math.floor(milliseconds / 1000));
  const two = (n) => String(n).padStart(2, "0");
  const [h, m, s] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  return h ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

function countDown() {
  for (const clock of document.querySelectorAll("[data-until]")) {
    const rest = Number(clock.dataset.until) / 1000 - now();
    clock.textContent = rest > 0 ? `${left(rest)} left` : "time is over";
  }
}

// Looks whether what the page shows is still so; if not, the page is loaded anew, but never under somebody who types.
// Neither counts as using the login, so that a page left open does not keep it alive.
async function lookAgain(part) {
  const typed = (field) => field.value !== field.defaultValue;
  if (document.hidden || [...document.querySelectorAll("input:not([type=hidden]), textarea")].some(typed)) return;
  try {
    const answer = await fetch(part.dataset.live, { headers: { accept: "application/json" }, redirect: "error" });
    if (!answer.ok) return;
    const { mark } = await answer.json();
    if (mark !== part.dataset.mark) location.replace(`${location.pathname}?again=1`);
  } catch { /* the gateway is away for a moment; the next look will tell */ }
}

const bytes = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));
const text = (buffer) =>
  btoa(String.fromCharCode(...new Uint8Array(buffer))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");

// JSON of WebAuthn (section 5.8): the browser's own functions where it has them.
function wanted(options) {
  const named = (list) => (list || []).map((each) => ({ ...each, id: bytes(each.id) }));
  const read = { ...options, challenge: bytes(options.challenge) };
  if (options.user) read.user = { ...options.user, id: bytes(options.user.id) };
  if (options.allowCredentials) read.allowCredentials = named(options.allowCredentials);
  if (options.excludeCredentials) read.excludeCredentials = named(options.excludeCredentials);
  return { publicKey: read };
}

function written(credential) {
  const { response } = credential;
  const parts = {};
  for (const name of ["clientDataJSON", "attestationObject", "authenticatorData", "signature", "userHandle"])
    if (response[name]) parts[name] = text(response[name]);
  if (response.getTransports) parts.transports = response.getTransports();
  return JSON.stringify({
    id: credential.id, rawId: text(credential.rawId), type: credential.type, response: parts,
    clientExtensionResults: credential.getClientExtensionResults(),
    authenticatorAttachment: credential.authenticatorAttachment,
  });
}

const REASONS = {
  TypeError: "The gateway does not answer, or you are not logged in any more: load the page again.",
  NotAllowedError: "The passkey was not used: it was cancelled, or took too long.",
  InvalidStateError: "This passkey is added already.",
  SecurityError: "Passkeys work only at the gateway's own address, over https or on this machine.",
};

// A form with data-passkey asks the gateway for a challenge, then the authenticator, then sends itself.
async function usePasskey(form, button) {
  const said = form.querySelector("[data-said]");
  said.hidden = true;
  button.disabled = true;
  try {
    const body = new URLSearchParams([...new FormData(form)].filter(([name]) => name !== "credential"));
    const headers = { accept: "application/json" };
    const answer = await fetch(form.dataset.passkey, { method: "POST", body, headers, redirect: "error" });
    const asked = await answer.json();
    if (!answer.ok) throw new Error(asked.detail || "The gateway did not answer.");
    const making = form.dataset.make !== undefined;
    const options = wanted(asked.options);
    const made = await (making ? navigator.credentials.create(options) : navigator.credentials.get(options));
    form.elements.challenge.value = asked.challenge;
    form.elements.credential.value = written(made);
    form.submit();
  } catch (error) {
    said.textContent = REASONS[error.name] || error.message;
    said.hidden = false;
    button.disabled = false;
  }
}

localTimes();
countDown();
setInterval(countDown, 1000);
for (const part of document.querySelectorAll("[data-live]")) setInterval(lookAgain, 3000, part);
for (const part of document.querySelectorAll("[data-scripts]"))
  part.hidden = part.dataset.scripts === "passkey" && !window.PublicKeyCredential;
for (const form of document.querySelectorAll("form[data-passkey]"))
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    usePasskey(form, event.submitter || form.querySelector("button"));
  });
for (const button of document.querySelectorAll("[data-copy]")) {
  button.hidden = !navigator.clipboard;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(document.querySelector(button.dataset.copy).textContent);
    button.textContent = "Copied";
  });
}
