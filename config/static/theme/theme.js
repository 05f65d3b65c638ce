// What the theme leaves out for keyboards and screen readers. No more than labels, roles and keys.
"use strict";

function nameChoices() {
  // select2 names its box after the chosen text, which is empty at first: the label says what it is for.
  for (const box of document.querySelectorAll(".select2-selection[role=combobox]")) {
    const field = box.closest(".select2-container")?.previousElementSibling;
    const label = field?.id && document.querySelector(`label[for="${field.id}"]`);
    if (box.dataset.named) continue;
    box.dataset.named = "yes";
    const shown = box.querySelector("[role=textbox]"); // which one cannot write in
    for (const one of ["role", "aria-readonly"]) shown?.removeAttribute(one);
    if (label) {
      label.id ||= `${field.id}_label`;
      const chosen = box.getAttribute("aria-labelledby");
      box.setAttribute("aria-labelledby", chosen ? `${label.id} ${chosen}` : label.id);
    } else if (field) {
      box.setAttribute("aria-label", field.name);
    }
  }
  for (const sign of document.querySelectorAll(".help-tooltip[aria-label]")) sign.setAttribute("role", "img");
}

function reachByKeyboard() {
  // Links that only run a script have no address, and so no place in the order of tabs.
  for (const link of document.querySelectorAll("a:not([href])")) {
    if (![...link.attributes].some((one) => one.name.startsWith("x-on:click"))) continue;
    link.setAttribute("role", "button");
    link.tabIndex = 0;
    link.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      link.click();
    });
  }
}

function beginInTheForm() {
  // Browsers leave autofocus alone when something else was quicker. What is in a closed form waits for it to open.
  const fields = [...document.querySelectorAll("[autofocus]")].filter((one) => !one.closest("[popover]"));
  fields[0]?.focus();
}

document.addEventListener("DOMContentLoaded", () => {
  beginInTheForm();
  nameChoices();
  reachByKeyboard();
  // Widgets build themselves when they like, and inlines get rows.
  new MutationObserver(nameChoices).observe(document.body, { childList: true, subtree: true });
});
