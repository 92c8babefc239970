// What all explorers have in common: controls, a picture that follows them, a sentence that says
// what is to be seen, Reset, and buttons that let a ball run.

const FRAME = 70; // ms between two steps of a run
const PAUSE = 250; // ms between two changes of the address: Safari allows 100 in 10 s, Firefox 200

export const made = (tag, attributes = {}, ...children) => {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== false && value !== null) element.setAttribute(name, value === true ? "" : value);
  }
  // Else JupyterLab takes the arrow keys; it looks for this on the element in focus itself.
  if (["input", "select", "button"].includes(tag)) element.setAttribute("data-lm-suppress-shortcuts", "true");
  element.append(...children);
  return element;
};

const rounded = (value) => Number(value.toPrecision(12));

/* Show an explorer in `root`. `store` keeps its state: `controls` (a list), `first` (the values that
   Reset puts back), `values()`, `data()`, `set(values)`, and `listen(f)`, which calls f when
   something else has changed them and may return what ends that; `static` is true where no Python answers. */
export function showExplorer(root, explorer, store) {
  const id = `explorer-${Math.random().toString(36).slice(2)}`; // each bundle is for itself: no counter
  const inputs = new Map();
  let [step, timer] = [null, null]; // null: the whole run is shown

  const picture = made("div", { class: "picture", role: explorer.role ?? "img", "aria-labelledby": `${id}-told` });
  const told = made("p", { class: "told", id: `${id}-told`, role: "status", "aria-live": "polite" });
  const panel = made("div", { class: "controls" });
  const buttons = made("div", { class: "buttons" });
  const more = made("div", { class: "more" });

  // --- Controls ---

  const limited = (values) => {
    const kept = { ...values };
    for (const [name, [low, high]] of Object.entries(explorer.limits?.(kept, store.data(), store.static) ?? {})) {
      kept[name] = Math.max(low, Math.min(high, kept[name]));
    }
    for (const control of store.controls) {
      const stops = stopsOf(control);
      if (stops) kept[control.name] = stops[nearestStop(control, stops, kept[control.name])];
    }
    return kept;
  };

  const change = (values) => {
    stop();
    step = null;
    store.set(limited({ ...store.values(), ...values }));
    refresh();
  };

  // The only values that a slider can have, where these are few.
  const stopsOf = (control) => explorer.stops?.(store.data(), store.static)[control.name];
  const nearestStop = (control, stops, value) => {
    const far = (stop) => (control.log ? Math.abs(Math.log(stop / value)) : Math.abs(stop - value));
    return stops.reduce((best, stop, i) => (far(stop) < far(stops[best]) ? i : best), 0);
  };

  const inputOf = (control) => {
    if (control.kind === "choice") {
      const options = control.options.map((name) => made("option", { value: name }, name));
      const select = made("select", { id: `${id}-${control.name}` }, ...options);
      select.addEventListener("change", () => change({ [control.name]: select.value }));
      return select;
    }
    if (control.kind === "check") {
      const box = made("input", { type: "checkbox", id: `${id}-${control.name}` });
      box.addEventListener("change", () => change({ [control.name]: box.checked }));
      return box;
    }
    const range = made("input", { type: "range", id: `${id}-${control.name}`, step: control.step });
    const value = () => {
      const moved = Number(range.value);
      const stops = stopsOf(control);
      if (stops) return stops[moved];
      if (!control.log && Math.abs(moved) < 1e-9 * control.step) return 0; // steps of nearly 0.1 meet it only nearly
      return control.log ? rounded(10 ** moved) : rounded(moved);
    };
    // Where each value costs something, it is taken when the slider is let go.
    range.addEventListener(control.settle ? "change" : "input", () => change({ [control.name]: value() }));
    if (control.settle) range.addEventListener("input", () => write(control, value()));
    return range;
  };

  const worded = (control, value) => {
    if (control.kind !== "slider") return "";
    const number = control.log ? explorer.general(value, 2) : explorer.general(value, 4);
    if (control.percent) return `${explorer.general(100 * value, 3).replace("-", "−")} %`;
    const unit = value === 1 ? control.unit?.replace(/s$/, "") : control.unit;
    return number.replaceAll("-", "−").replace("e−0", "e−").replace("e+0", "e") + (unit ? ` ${unit}` : "");
  };

  const write = (control, value) => {
    const { input, output } = inputs.get(control.name);
    output.textContent = worded(control, value);
    if (control.kind === "slider") input.setAttribute("aria-valuetext", worded(control, value));
  };

  const place = (control, value, limits) => {
    const { input } = inputs.get(control.name);
    if (control.kind === "choice") input.value = value;
    else if (control.kind === "check") input.checked = value;
    else {
      const [low, high] = limits ?? [control.min, control.max];
      const stops = stopsOf(control);
      Object.assign(input, stops ? { min: 0, max: stops.length - 1, step: 1 } : { min: low, max: high });
      input.value = stops ? nearestStop(control, stops, value) : control.log ? Math.log10(value) : value;
    }
    write(control, value);
  };

  const boxes = [];
  for (const control of store.controls) {
    const output = made("output", { for: `${id}-${control.name}` });
    const input = inputOf(control);
    const label = made("label", { for: input.id }, control.label);
    const box = made("div", { class: `control ${control.kind}` }, label, output, input);
    inputs.set(control.name, { input, output, box });
    if (control.kind === "check") boxes.push(box);
    else panel.append(box);
  }

  // --- Buttons ---

  const button = (words, act, title) => made("button", { type: "button", onclick: act, title: title ?? null }, words);
  const still = () => window.matchMedia?.("(prefers-reduced-motion: reduce)").matches;
  const last = () => explorer.steps(store.values(), store.data());

  const stop = () => {
    clearInterval(timer);
    timer = null;
    if (run) run.textContent = "▶ Run";
  };

  const advance = (quietly, by = 1) => {
    const end = last();
    step = step === null || step >= end ? 0 : Math.min(end, step + by);
    draw(quietly && step < end);
    return step < end;
  };

  const toggle = () => {
    if (timer) {
      stop();
      draw();
    } else if (still()) {
      step = null;
      draw();
    } else {
      if (step === null || step >= last()) step = 0;
      draw(true);
      run.textContent = "❚❚ Stop";
      const by = Math.ceil((20 * last()) / 5000); // no run takes longer than 5 s
      const pace = Math.max(20, Math.min(FRAME, 5000 / last()));
      timer = setInterval(() => advance(true, by) || stop(), pace);
    }
  };

  let run = null;
  if (explorer.steps) {
    run = button("▶ Run", toggle, "Let the ball run from its start");
    const once = () => {
      stop();
      advance();
    };
    buttons.append(run, button("Step", once, "One step on"));
  }
  buttons.append(button("Reset", () => change(store.first), "Put all controls back"), ...boxes);
  for (const preset of explorer.presets ?? []) {
    if (!more.querySelector(".presets")) more.append(made("div", { class: "presets" }, made("span", {}, "Try:")));
    const choose = () => {
      change({ ...store.first, ...preset.values });
      if (preset.why) comment.textContent = preset.why;
    };
    more.querySelector(".presets").append(button(preset.name, choose));
  }
  const comment = made("p", { class: "comment", "aria-live": "polite" });
  const code = made("pre", { class: "code", tabindex: 0, "data-lm-suppress-shortcuts": "true" });
  if (explorer.code) {
    const words = "Copy";
    const copy = button(words, async () => {
      copy.textContent = (await copied(code.textContent, code)) ? "Copied" : "Press Ctrl+C";
      setTimeout(() => (copy.textContent = words), 1500);
    });
    copy.className = "copy";
    more.append(made("div", { class: "line" }, code, copy));
  }
  more.append(comment);

  // --- The picture ---

  let known = 0; // the picture's width, px
  const again = () => draw(true); // for what comes later, such as a picture: as the controls stand then
  const draw = (quietly = false) => {
    const [values, data] = [limited(store.values()), store.data()];
    known ||= picture.clientWidth; // asked for once: the browser would lay out the whole page for it
    const width = Math.max(240, known || 640);
    const shown = explorer.draw({ width, values, data, step, id, static: store.static, picture, again });
    if (shown.html !== undefined) picture.innerHTML = shown.html;
    shown.after?.(picture);
    if (!quietly) told.textContent = data.problem || shown.told;
  };

  const refresh = () => {
    const values = limited(store.values());
    const limits = explorer.limits?.(values, store.data(), store.static) ?? {};
    for (const control of store.controls) {
      inputs.get(control.name).box.hidden = !isShown(control, values);
      place(control, values[control.name], limits[control.name]);
    }
    comment.textContent = explorer.comment?.(values) ?? "";
    if (explorer.code) code.textContent = explorer.code(values, store.data());
    draw();
  };

  picture.addEventListener("click", (event) => {
    const chosen = explorer.click?.({ event, picture, values: store.values(), data: store.data() });
    if (chosen) change(chosen);
  });

  root.classList.add("explorer");
  root.replaceChildren(panel, buttons, picture, told, more);
  refresh();
  const forget = store.listen(() => { // other values: a run that is shown is none of theirs
    stop();
    step = null;
    refresh();
  });
  const resized = new ResizeObserver(() => {
    if (picture.clientWidth && picture.clientWidth !== known) {
      known = picture.clientWidth;
      draw(true);
    }
  });
  resized.observe(picture);
  return () => {
    stop();
    resized.disconnect();
    forget?.();
  };
}

// Some controls are there only while others have certain values.
export const isShown = (control, values) =>
  Object.entries(control.only ?? {}).every(([name, wanted]) => wanted.includes(values[name]));

async function copied(text, element) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    getSelection().selectAllChildren(element); // no permission: the reader copies what is marked
    return false;
  }
}

// --- Where the state is kept ---------------------------------------------------------------------

// In JupyterLab, VS Code and Colab: a widget's model, which Python shares.
export function renderWidget(explorer, { model, el }) {
  let isOwn = false;
  const store = {
    controls: model.get("controls"),
    first: model.get("first"),
    static: false,
    values: () => model.get("values"),
    data: () => model.get("data"),
    set: (values) => {
      isOwn = true; // this explorer draws what it has set anyway: once is enough
      try {
        model.set("values", values);
      } finally {
        isOwn = false;
      }
      setTimeout(() => model.save_changes()); // Python is told when the picture is there
    },
    listen: (act) => {
      const follow = () => isOwn || act();
      model.on("change:values change:data", follow);
      return () => model.off("change:values change:data", follow);
    },
  };
  const root = made("div");
  el.append(root);
  return showExplorer(root, explorer, store);
}

// On a page: the address, so that a setting can be shared: #descent:momentum=0.5;restarts:start=1
export function renderPage(explorer, place, number) {
  const stored = JSON.parse(place.querySelector("script[type='application/json']").textContent);
  const key = explorer.name + (number > 1 ? `-${number}` : "");
  const parts = () => plain(location.hash.slice(1)).split(";");
  const mine = (part) => part.startsWith(`${key}:`);
  // Ends that hang on the other controls are the explorer's own: its `limits` cut what is too much.
  const moving = Object.keys(explorer.limits?.(stored.first, stored.data, true) ?? {});
  const wide = stored.controls.map((control) => (moving.includes(control.name) ? { ...control, min: -Infinity, max: Infinity } : control));
  const given = () => ({ ...stored.first, ...fromAddress(parts().find(mine)?.slice(key.length + 1) ?? "", wide) });
  let values = given();
  const listeners = [];
  let [written, due] = [0, null]; // when the address last was, and what will write it again
  const write = () => {
    clearTimeout(due);
    [written, due] = [Date.now(), null];
    const others = parts().filter((part) => part.includes(":") && !mine(part));
    try {
      history.replaceState(history.state, "", `#${[...others, `${key}:${toAddress(values, stored)}`].join(";")}`);
    } catch { /* not allowed here, as in some frames: the explorer works without it */ }
  };
  const store = {
    ...stored,
    static: true,
    values: () => values,
    data: () => stored.data,
    set: (next) => {
      values = next;
      if (Date.now() - written >= PAUSE) write();
      else due ??= setTimeout(write, PAUSE - (Date.now() - written));
    },
    listen: (act) => void listeners.push(act),
  };
  addEventListener("hashchange", () => {
    if (!parts().some(mine)) return;
    clearTimeout(due);
    due = null;
    values = given();
    listeners.forEach((act) => act());
  });
  const root = made("div");
  place.replaceChildren(root);
  showExplorer(root, explorer, store);
  // Not before the page is complete: its pictures still move what is below them, and the browser,
  // which finds no anchor of this name, goes back to the top. Who comes back is where they were.
  const [visit] = performance.getEntriesByType("navigation");
  if (!mine(parts()[0]) || ["reload", "back_forward"].includes(visit?.type)) return;
  const arrive = () => place.scrollIntoView({ behavior: "instant" });
  if (document.readyState === "complete") arrive();
  else addEventListener("load", () => setTimeout(arrive), { once: true });
}

// Some programs that pass on a link write its ":" and "=" as %3A and %3D.
function plain(address) {
  try {
    return address.includes(":") && address.includes("=") ? address : decodeURIComponent(address);
  } catch {
    return address;
  }
}

const toAddress = (values, { controls, first }) =>
  controls
    .filter(({ name }) => values[name] !== first[name])
    .map(({ name }) => `${name}=${encodeURIComponent(values[name])}`)
    .join("&");

// Unknown names and values that a control can't have are left out.
export function fromAddress(part, controls) {
  const given = new URLSearchParams(part);
  const values = {};
  for (const control of controls.filter(({ name }) => given.has(name))) {
    const text = given.get(control.name);
    if (control.kind === "check" && ["true", "false"].includes(text)) values[control.name] = text === "true";
    else if (control.kind === "choice" && control.options.includes(text)) values[control.name] = text;
    else if (control.kind === "slider" && text.trim() !== "" && Number.isFinite(Number(text))) {
      const [low, high] = control.log ? [10 ** control.min, 10 ** control.max] : [control.min, control.max];
      const value = Math.max(low, Math.min(high, Number(text)));
      values[control.name] = (control.whole ? Math.round(value) : value) || 0; // not -0
    }
  }
  return values;
}
