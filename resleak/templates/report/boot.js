"use strict";
const screens = matchMedia("print");
const places = document.querySelectorAll("div.figure");
const config = JSON.parse(document.getElementById("figure-config").textContent);

for (const place of places) {
  const { data, layout, frames } = JSON.parse(place.nextElementSibling.textContent);
  Plotly.newPlot(place, { data, layout, frames, config }).catch((error) => {
    place.textContent = "This figure could not be drawn: " + error.message;
  });
}

// Paper has another width than the screen, and is laid out without a resize.
const fit = () => places.forEach((place) => place.data && Plotly.Plots.resize(place));
screens.addEventListener("change", fit);
