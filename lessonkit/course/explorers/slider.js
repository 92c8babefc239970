// A number, chosen with the browser's own slider: it has a name, and keys that move it.
function render({ model, el }) {
  const box = document.createElement("label");
  const name = document.createElement("span");
  const shown = document.createElement("output");
  const input = document.createElement("input");
  box.style.cssText = "display: grid; grid-template-columns: 1fr auto; gap: 4px; width: 300px; "
    + "max-width: 100%; margin: 4px 12px 4px 2px";
  input.style.cssText = "grid-column: 1 / -1; width: 100%; height: 28px; margin: 0";
  input.type = "range";
  input.setAttribute("data-lm-suppress-shortcuts", "true");  // JupyterLab takes arrows otherwise
  const follow = () => {
    for (const part of ["min", "max", "step", "value"]) input[part] = model.get(part);
    name.textContent = model.get("description");
    input.setAttribute("aria-label", model.get("description"));
    shown.textContent = model.get("value");
  };
  input.addEventListener("input", () => {
    model.set("value", Number(input.value));
    model.save_changes();
  });
  model.on("change", follow);
  box.append(name, shown, input);
  follow();
  el.append(box);
}
export default { render };
