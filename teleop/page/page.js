"use strict";
// The recorder's page. It says where its stick is whenever the recorder asks, 50 times a second, and
// nothing in between: when it falls silent, the robot holds.
const byId = (id) => document.getElementById(id);
const NAMES = { ArrowUp: "up", ArrowDown: "down", ArrowLeft: "left", ArrowRight: "right", PageUp: "pageup",
  PageDown: "pagedown", Enter: "enter", " ": "space", Backspace: "backspace" };
const PAD_BUTTONS = { 0: "keep", 1: "rerecord", 2: "success", 3: "failure", 4: "take_over", 5: "hand_back",
  8: "drop", 9: "toggle" };
const held = new Set();      // keys that are down
const touch = new Map();     // what a finger or mouse pushes: name -> seven numbers
const padDown = new Set();   // buttons of the gamepad that are down
let wishes = [];
let shown = null;            // the number of the newest picture on the screen
let socket = null;
let heard = null;            // what was said aloud last

const typing = () => document.activeElement === byId("words");
const letGo = () => { held.clear(); touch.clear(); document.querySelectorAll(".pad i").forEach((i) => { i.style.transform = ""; }); };

function stick() {
  if (document.hidden) return null;
  const sum = [0, 0, 0, 0, 0, 0, 0];
  for (const key of held) { const [axis, sign] = KEYS.axes[key]; sum[axis] += sign; }
  for (const push of [...touch.values(), gamepad()]) push.forEach((value, axis) => { sum[axis] += value; });
  return sum.map((value) => Math.max(-1, Math.min(1, value || 0)));
}

function gamepad() {
  const pad = [...navigator.getGamepads()].find((one) => one && one.connected && one.mapping === "standard");
  if (!pad) return [];
  pad.buttons.forEach((button, index) => {
    if (button.pressed && !padDown.has(index) && PAD_BUTTONS[index]) wish(PAD_BUTTONS[index]);
    if (button.pressed) padDown.add(index); else padDown.delete(index);
  });
  const on = (index) => (pad.buttons[index] ? pad.buttons[index].value : 0);
  const [x, y, turn, lift] = pad.axes;
  return [-y, -x, -lift, on(15) - on(14), on(12) - on(13), -turn, on(7) - on(6)];
}

function wish(press, text = "") { if (wishes.length < 16) wishes.push({ press, text }); }

addEventListener("keydown", (event) => {
  if (typing() || event.ctrlKey || event.metaKey || event.altKey) return;
  const key = NAMES[event.key] || event.key;
  // A key on a button that has the focus is that button's.
  if (document.activeElement instanceof HTMLButtonElement && (key === "enter" || key === "space")) return;
  if (KEYS.axes[key]) held.add(key);
  else if (KEYS.presses[key] && !event.repeat) wish(KEYS.presses[key]);
  else return;
  event.preventDefault();
});
addEventListener("keyup", (event) => held.delete(NAMES[event.key] || event.key));
addEventListener("blur", letGo);
document.addEventListener("visibilitychange", letGo);

function makePad(pad, push) {
  const move = (event) => {
    const box = pad.getBoundingClientRect();
    let x = (event.clientX - box.left) / box.width * 2 - 1;
    let y = (event.clientY - box.top) / box.height * 2 - 1;
    const length = Math.max(1, Math.hypot(x, y));
    x /= length; y /= length;
    pad.firstElementChild.style.transform = `translate(${x * 110}%, ${y * 110}%)`;
    touch.set(pad.id, push(x, y));
  };
  const end = () => { touch.delete(pad.id); pad.firstElementChild.style.transform = ""; };
  pad.addEventListener("pointerdown", (event) => { pad.setPointerCapture(event.pointerId); move(event); event.preventDefault(); });
  pad.addEventListener("pointermove", (event) => { if (pad.hasPointerCapture(event.pointerId)) move(event); });
  for (const kind of ["pointerup", "pointercancel", "lostpointercapture"]) pad.addEventListener(kind, end);
}
makePad(byId("pad-move"), (x, y) => [-y, -x, 0, 0, 0, 0, 0]);
makePad(byId("pad-lift"), (x, y) => [0, 0, -y, 0, 0, -x, 0]);

for (const [id, sign] of [["open", 1], ["close", -1]]) {
  const button = byId(id);
  const end = () => { touch.delete(id); button.classList.remove("down"); };
  button.addEventListener("pointerdown", (event) => {
    button.setPointerCapture(event.pointerId); button.classList.add("down");
    touch.set(id, [0, 0, 0, 0, 0, 0, sign]); event.preventDefault();
  });
  for (const kind of ["pointerup", "pointercancel", "lostpointercapture"]) button.addEventListener(kind, end);
}
document.querySelectorAll("[data-press]").forEach((button) => {
  // Without the focus the space bar stays a key of the recording.
  button.addEventListener("click", (event) => { wish(button.dataset.press); if (event.detail) button.blur(); });
});
byId("note").addEventListener("submit", (event) => {
  event.preventDefault();
  wish("note", byId("words").value);
  byId("words").value = ""; byId("words").blur();
});

function problem(text) { byId("problem").textContent = text ? "robot holds: " + text : ""; byId("problem").hidden = !text; }

// In the browser's own voice, if it has one. What is new cuts off what is old.
function say(status) {
  const before = heard;
  heard = { message: status.message, problem: status.problem, kept: status.kept };
  if (!status.aloud || !before || !window.speechSynthesis) return;
  const words = [];
  if (status.problem && !before.problem) words.push("the robot holds: " + status.problem);
  if (status.message !== before.message) words.push(status.message);
  if (status.kept > before.kept) words.push(`${status.kept} of ${status.total} on the disk`);
  if (!words.length) return;
  speechSynthesis.cancel();
  speechSynthesis.speak(new SpeechSynthesisUtterance(words.join(". ")));
}

function show(status) {
  say(status);
  byId("stage").textContent = status.rehearsal ? "rehearsal: " + status.stage : status.stage;
  byId("stage").className = status.stage;
  byId("driver").textContent = status.control === "nobody" ? "nobody drives" : status.control === "policy" ? "the policy drives" : "you drive";
  byId("time").textContent = status.time_s.toFixed(1) + " s";
  byId("count").textContent = `${status.kept} of ${status.total} episodes` + (status.waiting > 20 ? `, ${status.waiting} frames to encode` : "") + (status.late ? `, ${status.late} late ticks` : "");
  byId("mark").textContent = (status.success === null ? "" : status.success ? "marked: success" : "marked: failure") + (status.note ? ` “${status.note}”` : "");
  byId("message").textContent = status.message;
  problem(status.problem);
  document.querySelectorAll(".policy").forEach((button) => { button.hidden = !status.policy; });
}

function frames(cameras) {
  const place = byId("cameras");
  if (place.childElementCount === cameras.length) return;
  place.replaceChildren(...cameras.map((name) => {
    const figure = document.createElement("figure"), image = document.createElement("img"), caption = document.createElement("figcaption");
    image.alt = "camera " + name; caption.textContent = name;
    figure.append(image, caption);
    return figure;
  }));
}

function picture(data) {
  const view = new DataView(data), image = byId("cameras").children[view.getUint8(0)]?.firstElementChild;
  const number = view.getUint32(1);
  if (!image) { shown = number; return; }
  const url = URL.createObjectURL(new Blob([data.slice(5)], { type: "image/jpeg" }));
  image.onload = image.onerror = () => { URL.revokeObjectURL(url); shown = number; };
  image.src = url;
}

function connect() {
  const token = new URLSearchParams(location.search).get("token");
  socket = new WebSocket(`ws://${location.host}/socket`, ["df_policy", token]);
  socket.binaryType = "arraybuffer";
  socket.onmessage = (event) => {
    if (typeof event.data !== "string") { picture(event.data); return; }
    const message = JSON.parse(event.data);
    if (message.status) { frames(message.cameras); show(message.status); }
    const answer = { tick: message.tick, stick: stick() };
    if (wishes.length) { answer.wishes = wishes; wishes = []; }
    if (shown !== null) { answer.picture = shown; shown = null; }
    socket.send(JSON.stringify(answer));
  };
  socket.onclose = (event) => {
    letGo(); wishes = []; shown = null;
    byId("stage").textContent = "not connected"; byId("stage").className = "";
    problem(event.reason || "no connection to the recorder; trying again");
    setTimeout(connect, 1000);
  };
}
connect();
