// A picture with a description. It tells where it was clicked, where that means something: shares
// of its width and height, and how often.
function render({ model, el }) {
  const image = document.createElement("img");
  image.className = "widget-image";
  image.style.maxWidth = "100%";
  const show = () => {
    URL.revokeObjectURL(image.src);
    image.src = URL.createObjectURL(new Blob([model.get("value")], { type: "image/png" }));
  };
  const describe = () => { image.alt = model.get("alt"); };
  const invite = () => { image.style.cursor = model.get("clickable") ? "crosshair" : ""; };
  image.addEventListener("click", (event) => {
    if (!model.get("clickable")) return;
    const box = image.getBoundingClientRect();
    const x = (event.clientX - box.left) / box.width;
    const y = (event.clientY - box.top) / box.height;
    model.set("clicked", [x, y, model.get("clicked")[2] + 1]);
    model.save_changes();
  });
  model.on("change:value", show);
  model.on("change:alt", describe);
  model.on("change:clickable", invite);
  show();
  describe();
  invite();
  el.append(image);
}
export default { render };
