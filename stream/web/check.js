/** The connection test: runs the checks in order, shows each, and says what it comes to. */

import * as checks from "./checks.js";

const $ = (selector) => document.querySelector(selector);
const ICONS = {
  ok: "M5.5 10.4l3 3 6-6.6",
  warn: "M10 5.2v5.6M10 14.3v.1",
  bad: "M6.6 6.6l6.8 6.8M13.4 6.6l-6.8 6.8",
  skip: "M6 10h8",
  run: "",
};
const LIST = [
  ["page", "Secure page"],
  ["browser", "Browser"],
  ["server", "Server"],
  ["socket", "Commands and events (WebSocket)"],
  ["udp", "Sound and picture (UDP)"],
  ["relay", "Relay (TURN)"],
  ["pictures", "First picture"],
  ["microphone", "Microphone"],
];

function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

function icon(state) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  svg.setAttribute("class", "check-icon");
  svg.setAttribute("viewBox", "0 0 20 20");
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", { ok: "good", warn: "not all good", bad: "bad", skip: "not tested", run: "testing" }[state]);
  path.setAttribute("d", ICONS[state]);
  svg.append(path);
  return svg;
}

function show(row, title, result, video) {
  row.dataset.state = result.state;
  const parts = [icon(result.state), element("span", "check-title", title)];
  parts.push(element("span", "check-value", result.value ?? ""));
  if (result.text) parts.push(element("p", "check-text", result.text));
  if (result.fix) parts.push(element("p", "check-fix", result.fix));
  if (result.facts) {
    const list = element("dl", "check-facts");
    for (const [name, value] of Object.entries(result.facts)) {
      list.append(element("dt", "", name), element("dd", "", value));
    }
    parts.push(list);
  }
  if (video) parts.push(video);
  row.replaceChildren(...parts);
}

/** What all of it comes to, in a sentence. */
function judge(results) {
  const bad = LIST.filter(([name]) => results[name].state === "bad").map(([, title]) => title);
  if (bad.length) {
    const [first] = bad;
    return ["bad", "Something is in the way", `${first}: ${lower(results[nameOf(first)].text)}`];
  }
  const untested = LIST.filter(([name]) => results[name].state === "skip" && !results[name].nothing).map(([, title]) => title);
  if (untested.length) {
    const rest = Object.values(results).some(({ state }) => state === "warn") ? "works, with reservations" : "is fine";
    return ["warn", "Not everything was tested", `Not tested: ${untested.join(", ").toLowerCase()}. The rest ${rest}; see below.`];
  }
  if (results.page.state === "warn" || results.microphone.state === "warn") {
    return ["warn", "You can watch and type, but not speak", "The avatar's picture and sound get here. The microphone does not work on this page; see below."];
  }
  if (Object.values(results).some(({ state }) => state === "warn")) {
    return ["warn", "It works, with reservations", "See below."];
  }
  return ["ok", "All is well", "Pictures, sound and commands get through."];
}

const nameOf = (title) => LIST.find(([, t]) => t === title)[0];
const lower = (text) => text.charAt(0).toLowerCase() + text.slice(1);

/** Without WebRTC there is nothing to try with. */
async function attempt(name, results, video) {
  if (["udp", "relay", "pictures"].includes(name) && results.browser.state === "bad") {
    return { state: "skip", text: "Not tested: it needs WebRTC." };
  }
  try {
    return await checks[name](video);
  } catch (error) {
    return { state: "bad", text: error.message };
  }
}

let report = {};

async function run() {
  $("#again").disabled = $("#copy").disabled = true;
  $(".verdict").dataset.state = "run";
  $("#verdict-title").textContent = "Testing the connection";
  $("#verdict-text").textContent = "This takes a few seconds.";
  const results = {};
  const rows = LIST.map(([name, title]) => {
    const row = element("li");
    row.dataset.check = name;
    show(row, title, { state: "skip" });
    return row;
  });
  $("#checks").replaceChildren(...rows);
  for (const [at, [name, title]] of LIST.entries()) {
    const video = name === "pictures" ? element("video") : null;
    if (video) Object.assign(video, { hidden: true, playsInline: true, muted: true });
    show(rows[at], title, { state: "run" }, video);
    results[name] = await attempt(name, results, video);
    show(rows[at], title, results[name], video);
  }
  const [state, title, text] = judge(results);
  $(".verdict").dataset.state = state;
  $("#verdict-title").textContent = title;
  $("#verdict-text").textContent = text;
  report = { at: new Date().toISOString(), page: location.href, browser: navigator.userAgent, verdict: title, results };
  window.saccadeCheck = report; // For end-to-end tests and the curious.
  $("#again").disabled = $("#copy").disabled = false;
}

$("#again").addEventListener("click", run);
$("#copy").addEventListener("click", async ({ currentTarget: button }) => {
  const text = JSON.stringify(report, null, 2);
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = element("textarea"); // Plain HTTP has no clipboard.
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  button.textContent = "Copied";
  setTimeout(() => (button.textContent = "Copy report"), 2000);
});

run();
