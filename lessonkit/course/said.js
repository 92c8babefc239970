// The element stays, and only what is in it changes: what comes in with its text isn't read out.
export default {
  render({ model, el }) {
    const place = document.createElement("div");
    place.setAttribute("role", "status");
    el.classList.add("jupyter-widgets", "widget-html"); // to look like ipywidgets' own text
    place.className = "widget-html-content";
    el.append(place);
    const show = () => {
      place.innerHTML = model.get("value");
    };
    model.on("change:value", show);
    show();
  },
};
