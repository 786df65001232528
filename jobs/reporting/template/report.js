"use strict";
const SHOWN = 20;
const data = document.getElementById("items-data");
if (data) {
  const items = JSON.parse(data.textContent).map((item) => ({
    item, words: item.slice(0, 4).join(" ").toLowerCase(),
  }));
  const search = document.getElementById("search");
  const show = () => {
    const wanted = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const found = items.filter(({ words }) => wanted.every((word) => words.includes(word)));
    document.getElementById("found").textContent =
      `${found.length.toLocaleString("en")} found` + (found.length > SHOWN ? `, the ${SHOWN} most popular are shown` : "");
    document.getElementById("results").replaceChildren(...found.slice(0, SHOWN).map(({ item }) => row(item)));
  };
  const row = ([id, title, brand, category, price, neighbours]) => {
    const line = document.createElement("tr");
    for (const text of [title || id, brand, category, price, neighbours.join("; ") || "–"]) {
      const value = document.createElement("td");
      value.textContent = text;
      line.append(value);
    }
    line.children[3].className = "number";
    return line;
  };
  search.addEventListener("input", show);
  show();
}
const button = document.getElementById("load-pictures");
if (button) {
  button.addEventListener("click", () => {
    for (const picture of document.querySelectorAll("img[data-picture]")) {
      picture.referrerPolicy = "no-referrer";
      picture.loading = "lazy";
      picture.src = picture.dataset.picture;
      picture.hidden = false;
    }
    button.disabled = true;
  });
}
