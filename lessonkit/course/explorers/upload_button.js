// A button that chooses files.

// Jupyter cuts the connection at a message of 10 MB, so files come in parts.
const PART = 4_000_000;

function render({ model, el }) {
  const button = document.createElement("button");
  const input = document.createElement("input");
  button.className = "jupyter-button widget-button";
  button.textContent = "Choose pictures";
  button.style.width = "auto";
  Object.assign(input, { type: "file", accept: "image/*", multiple: true, hidden: true });
  button.addEventListener("click", () => input.click());
  input.addEventListener("change", async () => {
    const files = [...input.files];
    input.value = "";  // so that the same file can be chosen again
    button.disabled = true;
    for (const [number, file] of files.entries()) {
      try {
        for (let start = 0; start === 0 || start < file.size; start += PART) {
          const part = await file.slice(start, start + PART).arrayBuffer();
          const ends = start + PART >= file.size;
          model.send({ name: file.name, number, start, ends }, undefined, [part]);
        }
      } catch { // gone or changed since it was chosen: told as a file without contents
        model.send({ name: file.name, number, start: 0, ends: true }, undefined, [new ArrayBuffer(0)]);
      }
    }
    button.disabled = false;
  });
  el.append(button, input);
}
export default { render };
