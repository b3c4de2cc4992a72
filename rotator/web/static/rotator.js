// Asks for the same page again and takes over what is marked data-live. Without it, reloading does.
"use strict";

const EVERY = 5000;
const WHILE_BUSY = 1000;
const TYPING = 300;

const button = document.getElementById("live");
const said = document.getElementById("refreshed");
const form = document.getElementById("filters");
let timer = 0;
let asked = 0;

function tell(words) {
  if (said.textContent !== words) said.textContent = words;
}

function wanted() {
  return button.getAttribute("aria-pressed") === "true" && !document.hidden;
}

function again() {
  clearTimeout(timer);
  const busy = document.querySelector("progress, [data-busy]");
  if (wanted()) timer = setTimeout(refresh, busy ? WHILE_BUSY : EVERY);
}

function takeOver(old, fresh) {
  if (old.isEqualNode(fresh)) return;
  // Whoever is on a link with the keyboard stays on it.
  const focused = old.contains(document.activeElement) ? document.activeElement : null;
  const links = focused ? [...old.querySelectorAll("a")] : [];
  const same = links.filter((link) => link.href === focused.href).indexOf(focused);
  old.replaceWith(document.adoptNode(fresh));
  if (!focused) return;
  const now = [...fresh.querySelectorAll("a")].filter((link) => link.href === focused.href);
  (now[same] || now[0] || document.getElementById("main")).focus({ preventScroll: true });
}

async function refresh() {
  clearTimeout(timer);
  const turn = ++asked;
  try {
    const answer = await fetch(location.href, {
      headers: { Accept: "text/html" },
      signal: AbortSignal.timeout(20000),
    });
    if (turn !== asked) return;
    if (!answer.ok) throw new Error(`HTTP ${answer.status}`);
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    if (turn !== asked) return;
    for (const part of document.querySelectorAll("[data-live]")) {
      const found = fresh.getElementById(part.id);
      if (found) takeOver(part, found);
    }
    tell("");
  } catch (error) {
    if (turn === asked) tell("Not refreshed: no answer. What stands here may be old.");
  }
  again();
}

button.closest("p").hidden = false;
button.addEventListener("click", () => {
  const on = button.getAttribute("aria-pressed") !== "true";
  button.setAttribute("aria-pressed", String(on));
  tell(on ? "" : "Stopped");
  if (on) refresh();
  else clearTimeout(timer);
});
document.addEventListener("visibilitychange", () => (wanted() ? refresh() : clearTimeout(timer)));

if (form) {
  let typing = 0;
  const show = () => {
    const query = new URLSearchParams(
      [...new FormData(form)].filter(([name, value]) => value && !(name === "order" && value === "attention")),
    );
    history.replaceState(null, "", `./${query.size ? `?${query}` : ""}`);
    refresh();
  };
  form.addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(show, TYPING);
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    clearTimeout(typing);
    show();
  });
}

again();
