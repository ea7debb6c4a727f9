"use strict";
{
  const root = document.documentElement;
  const button = document.getElementById("theme");
  const isDark = () => matchMedia("(prefers-color-scheme: dark)").matches;
  if (button) {
    button.hidden = false;
    button.addEventListener("click", () => {
      const now = root.dataset.theme ?? (isDark() ? "dark" : "light");
      root.dataset.theme = now === "dark" ? "light" : "dark";
    });
  }
}
