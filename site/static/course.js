// What the pages do: copy code, enlarge pictures, and let the keyboard reach what scrolls.
"use strict";

async function copy(text) {
  try {
    return await navigator.clipboard.writeText(text);
  } catch { /* browsers hide the clipboard from pages over plain http, and some frames may not use it */ }
  const area = document.body.appendChild(document.createElement("textarea"));
  area.value = text;
  area.select();
  document.execCommand("copy");
  area.remove();
}

function addCopyButton(box) {
  const text = box.querySelector("pre").textContent;
  const button = document.createElement("button");
  button.className = "copy";
  button.type = "button";
  button.textContent = "Copy";
  button.addEventListener("click", async () => {
    await copy(text);
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  });
  box.append(button);
}

function makeEnlargeable(picture) {
  const button = document.createElement("button");
  button.className = "enlarge";
  button.type = "button";
  button.setAttribute("aria-label", `Enlarge the picture: ${picture.alt}`);
  picture.replaceWith(button);
  button.append(picture);
  button.addEventListener("click", () => enlarge(picture));
}

function enlarge(picture) {
  const dialog = document.body.appendChild(document.createElement("dialog"));
  dialog.className = "picture";
  dialog.setAttribute("aria-label", "Enlarged picture");
  const close = document.createElement("button");
  close.type = "button";
  close.textContent = "Close";
  close.addEventListener("click", () => dialog.close());
  const large = document.createElement("img");
  large.src = picture.src;
  large.alt = picture.alt;
  dialog.append(close, large);
  dialog.addEventListener("close", () => dialog.remove()); // the focus goes back to the picture
  dialog.showModal();
}

function letTheKeyboardScroll() {
  for (const box of document.querySelectorAll("article pre, .table-wrapper, .cell_output > .output")) {
    if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
    else box.removeAttribute("tabindex");
  }
}

// A table of many columns becomes blocks on a narrow screen: each cell then says what it is.
// Roles are named, because to a browser something shown as blocks isn't a table any more.
function letItStack(table) {
  const headings = [...table.querySelectorAll("thead th")];
  if (headings.length < 5) return;
  table.classList.add("stacks");
  table.setAttribute("role", "table");
  for (const group of table.querySelectorAll("thead, tbody")) group.setAttribute("role", "rowgroup");
  for (const row of table.querySelectorAll("tr")) row.setAttribute("role", "row");
  for (const heading of headings) heading.setAttribute("role", "columnheader");
  for (const row of table.querySelectorAll("tbody tr")) {
    [...row.cells].forEach((cell, column) => {
      cell.setAttribute("role", "cell");
      cell.dataset.heading = headings[column].textContent;
      cell.classList.toggle("nothing", !cell.textContent.trim());
    });
  }
}

// Furo's page of search results begins without one.
function addMissingHeading() {
  const article = document.querySelector("article");
  if (!article || article.querySelector("h1")) return;
  const heading = document.createElement("h1");
  heading.textContent = "Search";
  article.prepend(heading);
}

document.addEventListener("DOMContentLoaded", () => {
  addMissingHeading();
  document.querySelectorAll("article div.highlight").forEach(addCopyButton);
  document.querySelectorAll("article img").forEach((picture) => {
    if (!picture.closest("a, button")) makeEnlargeable(picture);
  });
  document.querySelectorAll("article table").forEach(letItStack);
  letTheKeyboardScroll();
  window.addEventListener("resize", letTheKeyboardScroll);
});
