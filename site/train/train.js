// "Train in the page": pictures in classes, the LR finder, a fit, predictions, a file to take away.

import { made, showExplorer } from "./board.js";
import { COLOURS, Panel, panelWidths } from "./drawing.js";
import { general } from "./formulas.js";
import { lrsOf, schedulesExplorer } from "./schedules.js";
import { batchesOf, epochOf, findLr, fit, newHead, probabilities, randomness, split } from "./head.js";
import { modelFile } from "./model_file.js";
import { SIZE, lacking, loadBody, part, squareOf } from "./body.js";

const SEED = 0; // decides what is kept aside, and the order of the pictures
const FEWEST = 2; // pictures of a class: one to learn from, one to test with
const [TRAINING, ASIDE] = [COLOURS.blue, COLOURS.orange];

const plural = (n, word) => `${n} ${word}${n === 1 ? "" : "s"}`;
const shown = (pause = 0) => new Promise((resolve) => setTimeout(resolve, pause)); // lets the browser draw
const percent = (share) => `${general(100 * share, 3)} %`;

// --- The plots, on the board that all explorers have ---

function lossPanel(width, { losses, epochs }, batches) {
  const all = [...losses, ...epochs.map(({ valid }) => valid.loss)];
  const panel = new Panel({
    width, height: 250, x: [0, Math.max(1, losses.length)], y: [0, 1.1 * Math.max(0.1, ...all)],
    xLabel: "mini-batch", yLabel: "loss", title: "Loss",
  });
  panel.line(losses.map((_, i) => i), losses, { colour: TRAINING }, "training");
  panel.line(epochs.map(({ epoch }) => epoch * batches), epochs.map(({ valid }) => valid.loss), { colour: ASIDE, width: 3 }, "kept aside, after each epoch");
  return panel.html();
}

function accuracyPanel(width, { epochs }) {
  const panel = new Panel({
    width, height: 250, x: [0, Math.max(1, epochs.length)], y: [0, 1.05], xLabel: "epoch", yLabel: "accuracy", title: "Accuracy",
  });
  for (const [name, key, look] of [["training", "train", { colour: TRAINING }], ["kept aside", "valid", { colour: ASIDE, width: 3, dash: "7,3" }]]) {
    panel.line(epochs.map(({ epoch }) => epoch), epochs.map((row) => row[key].accuracy), look, name);
  }
  return panel.html();
}

function finderPanel(width, found, lr) {
  const finite = found.losses.filter(Number.isFinite);
  const top = Math.min(Math.max(...finite), 4 * found.losses[0]);
  const panel = new Panel({
    width, height: 250, logX: true, x: [1e-5, 10], y: [0, 1.1 * top], xLabel: "learning rate, growing", yLabel: "loss",
    title: "LR finder",
  });
  const low = (loss) => (loss <= 1.1 * top ? loss : NaN);
  panel.line(found.lrs, found.losses.map(low), { colour: COLOURS.grey, width: 1 }, "each mini-batch");
  panel.line(found.lrs, found.smoothed.map(low), { colour: TRAINING, width: 3 }, "smoothed");
  panel.upright(lr, { colour: ASIDE, dash: "7,3" }, "your learning rate");
  return panel;
}

const explorer = {
  name: "train",
  general,
  comment: schedulesExplorer.comment,
  code: (values, { found }) => schedulesExplorer.code(values, { steps_per_epoch: found.batches }),
  draw({ width, values, data: { found, history } }) {
    const [left, right] = panelWidths(width, [1, 1]);
    const lrs = lrsOf(values.kind, values, found.batches);
    const plan = new Panel({
      width: right, height: 250, x: [0, lrs.length], y: [0, 1.1 * (Math.max(...lrs) || values.lr)], xLabel: "mini-batch", yLabel: "learning rate", title: "The schedule",
      margin: { left: 70, right: 14, top: 28, bottom: 42 },
    });
    plan.line(lrs.map((_, i) => i), lrs, { colour: ASIDE, width: 3 });
    const trained = history ? lossPanel(left, history, found.batches) + accuracyPanel(right, history) : "";
    return { html: finderPanel(left, found, values.lr).html() + plan.html() + trained, told: tell(found, history) };
  },
  click({ event, picture }) {
    const svg = picture.querySelector("svg");
    const box = svg.getBoundingClientRect();
    if (event.clientX > box.right || event.clientY > box.bottom) return null;
    const lr = new Panel({ width: box.width, logX: true, x: [1e-5, 10], y: [0, 1] }).valueAtX(event.clientX - box.left);
    return lr >= 1e-5 && lr <= 10 ? { lr: Number(lr.toPrecision(2)) } : null;
  },
};

// The lower of two rules, as lessonkit's recipe does it: a single one fails.
const carefulLr = ({ suggestion, steepest }) => Number(Math.min(steepest, suggestion || Infinity).toPrecision(2));

function tellFound({ steepest, suggestion, neverFalls, train, valid }) {
  const fastest = `The loss falls fastest at ${general(steepest, 2)}`;
  const read = Number.isNaN(suggestion)
    ? `${fastest}, which is chosen. It never rises again, so nobody knows how high one may go: usual for few pictures, which are soon learned by heart.`
    : `${fastest}; a tenth of where it ${neverFalls ? "begins to rise" : "is lowest"} is ${general(suggestion, 2)}. The lower one is chosen.`;
  return `${plural(train.labels.length, "picture")} to train on, ${valid.labels.length} kept aside to test with. ${read}`;
}

function tell({ valid }, history) {
  const last = history?.epochs.at(-1);
  if (!last) return "Click on the LR finder's curve, or move the slider, to choose another learning rate; then train.";
  return `Epoch ${last.epoch}: training loss ${general(last.trainLoss, 3)}; of ${plural(valid.labels.length, "picture")} kept aside ${percent(last.valid.accuracy)} right, loss ${general(last.valid.loss, 3)}.`;
}

// --- The page ---

export function showPage(root, controls) {
  if (lacking()) {
    root.replaceChildren(made("p", { class: "sentence", role: "alert" }, lacking()));
    return;
  }
  let [classes, count, active, busy, fresh] = [[], 0, null, false, []];
  let [found, history, head, saved, own] = [null, null, null, true, false];
  const first = Object.fromEntries(controls.map(({ name, value }) => [name, value]));
  let values = { ...first };
  let refresh = () => {};

  // What is said: one line for how far it is, a list for what went wrong.
  const status = made("p", { class: "sentence", role: "status" });
  const problems = made("div", { class: "problems", role: "alert" });
  const reading = made("p", { class: "reading" });
  const say = (text) => (status.textContent = text);
  const complain = (text) => {
    problems.append(made("p", {}, text));
    if (problems.scrollHeight > problems.clientHeight) problems.tabIndex = 0; // the keyboard scrolls it
  };
  const forgive = () => {
    problems.replaceChildren();
    problems.removeAttribute("tabindex");
  };

  // One thing after the other, so that what is dropped meanwhile isn't lost; an error becomes a
  // sentence, and everything stays as it was.
  let [turn, waiting] = [Promise.resolve(), 0];
  const during = (act) => () => {
    const pressed = document.activeElement; // a button that is switched off loses the focus
    if (!waiting) forgive();
    waiting += 1;
    busy = true;
    page.setAttribute("aria-busy", "true");
    update();
    turn = turn.then(act).catch((error) => {
      say("");
      complain(error.message);
    }).then(() => {
      waiting -= 1;
      busy = waiting > 0;
      if (!busy) page.removeAttribute("aria-busy");
      update();
      if (!busy && document.activeElement === document.body && pressed?.isConnected) pressed.focus({ preventScroll: true });
    });
  };

  // --- Classes and their pictures ---

  const list = made("div", { class: "classes" });

  const changed = () => {
    [found, history, head] = [null, null, null];
    own &&= classes.some(({ pictures }) => pictures.some(({ mine }) => mine));
    for (const old of [answers, tries, reading]) old.replaceChildren();
    update();
  };

  // The first of "class 1", "class 2" … that no class has.
  function unused() {
    const taken = new Set(classes.map(({ name }) => name.trim()));
    let n = classes.length + 1;
    while (taken.has(`class ${n}`)) n += 1;
    return `class ${n}`;
  }

  function addClass(name = unused()) {
    count += 1;
    const one = { name, pictures: [] };
    const id = `class-${count}`;
    const named = made("input", { id, value: name, maxlength: 60, autocomplete: "off", oninput: () => (one.name = named.value) });
    named.addEventListener("change", () => {
      label();
      update();
    });
    const tiles = made("ul", { class: "tiles" });
    const tally = made("span", { class: "tally" });
    const remove = made("button", { type: "button", onclick: () => {
      if (busy) return;
      classes = classes.filter((other) => other !== one);
      one.card.remove();
      changed();
    } }, "Remove");
    const take = picker("", "Choose pictures", true, (files) => addPictures(one, files));
    const camera = made("button", { type: "button", onclick: () => takePictures(one) }, "Camera");
    one.card = made("section", { class: "class" },
      made("div", { class: "line" }, made("label", { for: id }, "Class"), named, tally, remove),
      made("div", { class: "line" }, take, camera, made("span", { class: "hint" }, "or drop or paste them here")), tiles);
    const label = () => { // for screen readers, which hear each button by itself
      const words = [[one.card, one.name], [remove, `Remove ${one.name}`], [take.querySelector("input"), `Choose pictures for ${one.name}`],
        [camera, `Take pictures for ${one.name} with the camera`]];
      for (const [element, text] of words) element.setAttribute("aria-label", text);
    };
    one.redraw = () => {
      tally.textContent = plural(one.pictures.length, "picture");
      tiles.replaceChildren(...one.pictures.map((picture) => made("li", {}, thumbnail(picture), made("button", {
        type: "button", "aria-label": `Remove ${picture.name}`, title: "Remove", onclick: () => {
          if (busy) return;
          one.pictures = one.pictures.filter((other) => other !== picture);
          one.redraw();
          changed();
        } }, "×"))));
    };
    for (const kind of ["focusin", "pointerdown"]) one.card.addEventListener(kind, () => (active = one));
    dropZone(one.card, (files) => addPictures(one, files));
    classes.push(one);
    list.append(one.card);
    label();
    one.redraw();
    return one;
  }

  const addPictures = (one, files) => during(async () => {
    if (!classes.includes(one)) throw new Error(`${one.name} is gone meanwhile, so ${plural(files.length, "picture")} could not be added: drop them again.`);
    const before = one.pictures.length;
    for (const [i, file] of files.entries()) {
      say(`Reading picture ${i + 1} of ${files.length} …`);
      await shown();
      try {
        const square = await squareOf(file);
        const known = classes.flatMap(({ pictures }) => pictures).find((other) => other.square.every((value, k) => value === square[k]));
        if (known) throw new Error(`${file.name} is the same picture as ${known.name}, which is here already: left out.`);
        one.pictures.push({ name: file.name, square, mine: true });
        own = true; // at once: the tab may be closed while the next one is read
      } catch (error) {
        complain(error.message);
      }
    }
    const added = one.pictures.length - before;
    say(`${plural(added, "picture")} added to ${one.name}.`);
    one.redraw();
    if (added) changed();
  })();

  function picker(label, words, multiple, act) {
    const input = made("input", { type: "file", accept: "image/*,.heic,.heif", multiple, "aria-label": label });
    input.addEventListener("change", () => {
      act([...input.files]);
      input.value = ""; // so that the same file can be chosen again
    });
    return made("label", { class: "file" }, words, input);
  }

  function dropZone(element, act) {
    const over = (on) => (event) => {
      event.preventDefault();
      element.classList.toggle("over", on);
    };
    element.addEventListener("dragover", over(true));
    element.addEventListener("dragleave", over(false));
    element.addEventListener("drop", (event) => {
      over(false)(event);
      event.stopPropagation();
      const files = [...event.dataTransfer.files];
      if (files.length) act(files);
      else complain("What was dropped is no file: save the picture first, then drop the file.");
    });
  }

  const thumbnail = ({ name, credit, square }) => {
    const canvas = made("canvas", { width: SIZE, height: SIZE, role: "img", "aria-label": name, title: credit ?? name });
    const pixels = new ImageData(SIZE, SIZE);
    for (let i = 0; i < SIZE * SIZE; i++) pixels.data.set([square[3 * i], square[3 * i + 1], square[3 * i + 2], 255], 4 * i);
    canvas.getContext("2d").putImageData(pixels, 0, 0);
    return canvas;
  };

  document.addEventListener("paste", (event) => {
    const files = [...event.clipboardData.files];
    if (!files.length) return;
    if (active === newPicture) predict(files);
    else if (active && classes.includes(active)) addPictures(active, files);
    else complain("Click into a class first, then paste the picture.");
  });

  // The author of a picture is its title, too, but that neither a finger nor the keyboard gets to see.
  const makers = made("ul", {});
  const credits = made("details", {}, made("summary", {}, "Who made these pictures"), makers);
  function showCredits() {
    const all = new Set([...classes.flatMap(({ pictures }) => pictures), ...fresh].map(({ credit }) => credit).filter(Boolean));
    credits.hidden = !all.size;
    makers.replaceChildren(...[...all].map((credit) => made("li", {}, credit)));
  }

  // A file that misses its class must not take the place of the page.
  for (const kind of ["dragover", "drop"]) document.addEventListener(kind, (event) => event.preventDefault());

  // --- The camera ---

  let filming = false;

  async function takePictures(one) {
    if (filming) return; // a second press, before the first has found the camera
    filming = true;
    let stream = null;
    try {
      stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
    } catch {
      filming = false;
      complain("There is no camera, or this page may not use it: choose or drop pictures.");
      return;
    }
    const video = made("video", { autoplay: true, playsinline: true, muted: true, "aria-label": "What the camera sees" });
    video.srcObject = stream;
    const tally = made("span", { role: "status" });
    const taken = [];
    const shoot = () => {
      if (!video.videoWidth) return;
      const canvas = made("canvas", { width: video.videoWidth, height: video.videoHeight });
      canvas.getContext("2d").drawImage(video, 0, 0);
      const name = `photo ${one.pictures.length + taken.length + 1}`;
      taken.push(new Promise((resolve) => canvas.toBlob((blob) => resolve(new File([blob], name)))));
      tally.textContent = `${plural(taken.length, "picture")} taken`;
    };
    const dialog = made("dialog", { class: "camera", "aria-label": `Pictures for ${one.name}` }, video,
      made("div", { class: "line" }, made("button", { type: "button", onclick: shoot }, "Take a picture"),
        made("button", { type: "button", onclick: () => dialog.close() }, "Done"), tally));
    dialog.addEventListener("close", async () => {
      stream.getTracks().forEach((track) => track.stop());
      filming = false;
      dialog.remove();
      if (taken.length) addPictures(one, await Promise.all(taken));
    });
    root.append(dialog);
    dialog.showModal();
  }

  // --- Looking, finding, training ---

  // What keeps these pictures from being trained on, in a sentence.
  function objection() {
    const [names, few] = [classes.map(({ name }) => name.trim()), classes.find(({ pictures }) => pictures.length < FEWEST)];
    if (classes.length < 2) return "A classifier needs two classes or more, to have something to tell apart: add one.";
    if (names.some((name) => !name)) return "A class has no name: give it one.";
    if (new Set(names).size < names.length) return "Two classes have the same name: rename one of them.";
    if (few) return `${few.name} has ${few.pictures.length ? "one picture only" : "no pictures"}: each class needs ${FEWEST} or more, one of which is kept aside. Add some, or remove the class.`;
    return "";
  }

  async function activate(picture) {
    const activations = await loadBody();
    picture.activations ??= await activations(picture.square);
    return picture.activations;
  }

  async function look() {
    if (objection()) throw new Error(objection());
    if (found) { // of these very pictures: the network that was trained on them stays
      values = { ...values, lr: carefulLr(found) };
      say("The pictures are the same, so the curve is, too: its learning rate is set again.");
      return;
    }
    say("Loading the network, 15 MB, once …");
    await shown();
    await loadBody().catch((error) => {
      throw new Error(`The network couldn't be started in this browser: ${error.message}`);
    });
    const all = classes.flatMap(({ pictures }, label) => pictures.map((picture) => ({ picture, label })));
    for (const [i, { picture }] of all.entries()) {
      say(`The network looks at picture ${i + 1} of ${all.length} …`);
      await shown();
      await activate(picture);
    }
    const [xs, labels] = [all.map(({ picture }) => picture.activations), all.map(({ label }) => label)];
    const rows = split(labels, randomness(SEED));
    const part = (chosen) => ({ xs: chosen.map((i) => xs[i]), labels: chosen.map((i) => labels[i]) });
    const [train, valid] = [part(rows.train), part(rows.valid)];
    const n = train.labels.length;
    found = { train, valid, batches: batchesOf(n), ...findLr(newHead(classes.length, xs[0].length), train.xs, train.labels, endless(n)) };
    [history, head] = [null, null];
    values = { ...values, lr: carefulLr(found) };
    reading.textContent = tellFound(found);
    say("The learning rate is found: train.");
  }

  // Mini-batches forever, epoch after epoch.
  function endless(n) {
    const [random, waiting] = [randomness(SEED), []];
    return () => {
      if (!waiting.length) waiting.push(...epochOf(n, random));
      return waiting.shift();
    };
  }

  async function train() {
    const [random, trained] = [randomness(SEED), newHead(classes.length, found.train.xs[0].length)];
    const chosen = values; // the sliders may move meanwhile
    const [lrs, before] = [lrsOf(chosen.kind, chosen, found.batches), history];
    if (!lrs.some(Boolean)) throw new Error("Every learning rate of this schedule is 0: choose a longer cycle, more epochs, or a floor above 0.");
    history = { losses: [], epochs: [] };
    const pause = Math.min(50, (2000 * found.batches) / lrs.length); // slow enough to be watched, 2 s at most
    try {
      for (const row of fit(trained, lrs, () => epochOf(found.train.labels.length, random), found.train, found.valid)) {
        history.losses.push(...row.losses);
        history.epochs.push(row);
        refresh();
        await shown(pause);
      }
    } catch (error) {
      history = before;
      throw error;
    }
    [head, saved] = [trained, false];
    const { valid } = history.epochs.at(-1);
    const told = `LR ${general(chosen.lr, 2)}, ${chosen.kind}, ${plural(history.epochs.length, "epoch")}: ${percent(valid.accuracy)} of those kept aside right, loss ${general(valid.loss, 3)}`;
    tries.append(made("li", {}, told));
    say("Trained. Change something and train again, or try it on a new picture.");
  }

  // --- New pictures ---

  const answers = made("div", { class: "answers", "aria-live": "polite" });

  const predict = (files) => during(async () => {
    if (!head) throw new Error("Train first, then the network can say what a new picture shows.");
    let n = 0;
    for (const file of files) {
      try {
        const picture = { name: file.name, credit: file.credit, square: await squareOf(file) };
        const shares = probabilities(head, await activate(picture));
        const rows = classes.map(({ name }, c) => ({ name, share: shares[c] })).sort((a, b) => b.share - a.share);
        answers.prepend(made("figure", {}, thumbnail(picture), made("figcaption", {}, ...rows.map(({ name, share }) =>
          made("div", { class: "bar" }, made("span", {}, name), made("meter", { min: 0, max: 1, value: share, "aria-label": name }), made("span", {}, share.toFixed(3)))))));
        n += 1;
      } catch (error) {
        complain(error.message);
      }
    }
    say(`${plural(n, "picture")} classified.`);
  })();

  function download() {
    forgive();
    if (objection()) return complain(objection()); // a name may have changed since
    const bytes = modelFile(head, classes.map(({ name }) => name.trim()), SIZE);
    const address = URL.createObjectURL(new Blob([bytes]));
    made("a", { href: address, download: "model.pt" }).click();
    setTimeout(() => URL.revokeObjectURL(address), 10_000);
    saved = true;
  }

  // --- Examples ---

  const fileOf = ({ name, credit, jpeg }) =>
    Object.assign(new File([Uint8Array.from(atob(jpeg), (c) => c.charCodeAt(0))], name), { credit });

  const choose = (number) => during(async () => {
    if (own && !confirm("The example takes the place of your pictures. Go on?")) return;
    const example = (await part("examples")).examples[number];
    classes.forEach(({ card }) => card.remove());
    [classes, own, fresh] = [[], false, example.fresh.map(fileOf)];
    for (const { name, pictures } of example.classes) {
      const one = addClass(name);
      say(`Reading ${plural(pictures.length, "picture")} of ${name} …`);
      await shown();
      for (const picture of pictures) one.pictures.push({ name: picture.name, credit: picture.credit, square: await squareOf(fileOf(picture)) });
      one.redraw();
    }
    changed();
    await look();
    update();
    reading.scrollIntoView({ block: "center" });
    await train();
  });

  // --- All of it ---

  const button = (words, act, more = {}) => made("button", { type: "button", onclick: act, ...more }, words);
  const looks = button("Find the learning rate", during(look), { class: "go" });
  const trains = button("Train", during(train), { class: "go" });
  const board = made("div");
  const tries = made("ol", { class: "tries" });
  const unseen = button("Try pictures that it hasn't seen", () => predict(fresh));
  const takes = picker("Choose a new picture", "Choose a new picture", true, predict);
  const newPicture = made("div", { class: "class", role: "group", "aria-label": "A new picture" }, made("div", { class: "line" }, takes, unseen, made("span", { class: "hint" }, "or drop or paste it here")), answers);
  dropZone(newPicture, predict);
  for (const kind of ["focusin", "pointerdown"]) newPicture.addEventListener(kind, () => (active = newPicture));
  const saves = button("Download the model", download, { class: "go" });
  const after = made("div", {},
    made("h2", {}, "3. Train"), board, made("div", { class: "line" }, trains, made("span", { class: "hint" }, "Each time from the start, on the same pictures, so that you can compare.")), tries);
  const last = made("div", {},
    made("h2", {}, "4. A new picture"), newPicture,
    made("h2", {}, "5. Take it with you"), made("div", { class: "line" }, saves),
    made("p", {}, "Where lessonkit is installed, ", made("code", {}, "lessonkit predict model.pt photo.jpg"), " gives the same answers: the file holds the head that was trained, and lessonkit has the body."));
  const page = made("div", { class: "train" },
    made("h2", {}, "1. Pictures"),
    made("div", { class: "line" }, made("span", {}, "Ready-made:"), button("Birds and mammals", choose(0)), button("Climates from above", choose(1))),
    list, credits, made("div", { class: "line" }, button("Add a class", () => busy || (addClass(), changed()))),
    made("h2", {}, "2. Find the learning rate"), made("div", { class: "line" }, looks), reading, after, last, made("div", { class: "said" }, status, problems));

  const store = {
    controls, static: true,
    get first() { // what Reset puts back
      return { ...first, lr: carefulLr(found) };
    },
    values: () => values, data: () => ({ found, history }),
    set: (next) => (values = next), listen: (act) => void (refresh = act),
  };
  let close = () => {};
  function update() {
    for (const one of page.querySelectorAll("button, input[type=file]")) if (!board.contains(one)) one.disabled = busy;
    showCredits();
    after.hidden = !found;
    last.hidden = !head;
    unseen.hidden = !fresh.length;
    if (found && !board.childElementCount) close = showExplorer(board, explorer, store);
    else if (found) refresh();
    else {
      close();
      board.replaceChildren();
    }
  }

  // The browser asks before it closes a page with pictures of one's own, or a network of them, that
  // are nowhere else; an example and its network are there again at a click.
  addEventListener("beforeunload", (event) => {
    if (own && !(head && saved)) {
      event.preventDefault();
      event.returnValue = true; // what Chrome asked for until 2023
    }
  });

  root.replaceChildren(page);
  addClass();
  addClass();
  update();
}
