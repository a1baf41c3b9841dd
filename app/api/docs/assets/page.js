"use strict";
document.getElementById("origin").textContent = location.origin;

const filter = document.getElementById("filter");
filter.hidden = false;
filter.addEventListener("input", () => {
  const wanted = filter.value.trim().toLowerCase().split(/\s+/);
  for (const element of document.querySelectorAll("[data-find]")) {
    const text = element.dataset.find.toLowerCase();
    element.hidden = !wanted.every((word) => text.includes(word));
  }
});

for (const block of document.querySelectorAll("pre")) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = "Copy";
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(block.querySelector("code").textContent);
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  });
  if (navigator.clipboard) block.append(button);
}
