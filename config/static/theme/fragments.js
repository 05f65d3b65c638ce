// Parts of a page that change by themselves: <div data-live="address"> is asked for every two seconds, until the answer
// says that it is over (X-Over). Nothing is asked for while nobody looks.
"use strict";

(() => {
  const EVERY = 2000;

  async function refresh(box) {
    if (!document.hidden) {
      try {
        const answer = await fetch(box.dataset.live, { credentials: "same-origin" });
        if (answer.ok && !answer.redirected) {
          const open = [...box.querySelectorAll("details[open]")].map((one) => one.id);
          box.innerHTML = await answer.text();
          for (const id of open) document.getElementById(id)?.setAttribute("open", "");
          if (answer.headers.has("X-Over")) return;
        }
      } catch {
        // the site is being restarted: ask again
      }
    }
    setTimeout(() => refresh(box), EVERY);
  }

  for (const box of document.querySelectorAll("[data-live]")) setTimeout(() => refresh(box), EVERY);
})();
