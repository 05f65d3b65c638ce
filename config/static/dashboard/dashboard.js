// Brings the parts of the dashboard up to date without loading the page again. Without it the page is as it was opened.
"use strict";

function dashboard() {
  const bar = document.getElementById("refreshing");
  if (!bar) return;
  const said = document.getElementById("refreshed");
  const button = document.getElementById("hold-still");
  const parts = [...document.querySelectorAll("[data-refresh]")];
  const timers = new Map();
  let still = false;
  let last = new Date();

  const clock = (at) => at.toLocaleTimeString(document.documentElement.lang, { hourCycle: "h23" });
  const say = (fresh) => {
    said.textContent = `${fresh ? said.dataset.fresh : said.dataset.stale} ${clock(last)}`;
  };

  function put(part, html) {
    // What a person has opened stays open, and what has the focus keeps it.
    const open = [...part.querySelectorAll("details[open]")].map((one) => one.id);
    const active = part.contains(document.activeElement) ? document.activeElement : null;
    const place = active && [...part.querySelectorAll("a, summary")].indexOf(active);
    for (const canvas of part.querySelectorAll("canvas.chart")) Chart.getChart(canvas)?.destroy();
    part.innerHTML = html;
    for (const id of open) document.getElementById(id)?.setAttribute("open", "");
    if (active) part.querySelectorAll("a, summary")[place]?.focus();
    if (part.querySelector("canvas.chart")) renderCharts(); // the theme's
  }

  async function refresh(part) {
    clearTimeout(timers.get(part));
    if (still || document.hidden) return;
    try {
      const answer = await fetch(part.dataset.refresh, { credentials: "same-origin", redirect: "manual" });
      if (!answer.ok) throw new Error(String(answer.status));
      const html = await answer.text();
      if (!still) put(part, html);
      last = new Date();
      say(true);
    } catch {
      say(false); // signed out, or nobody answers: the page says so and tries again
    }
    later(part);
  }

  function later(part) {
    clearTimeout(timers.get(part));
    timers.set(part, setTimeout(() => refresh(part), Number(part.dataset.seconds) * 1000));
  }

  button.addEventListener("click", () => {
    still = !still;
    button.setAttribute("aria-pressed", String(still));
    if (!still) parts.forEach(refresh);
  });
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) parts.forEach(refresh);
  });
  bar.hidden = false;
  say(true);
  parts.forEach(later);
}

document.addEventListener("DOMContentLoaded", dashboard);
