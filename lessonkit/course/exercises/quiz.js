// Questions with radio buttons: each choice is answered at once, with the reason.

export const score = (questions, chosen) => {
  const right = questions.filter((question, i) => question.options[chosen[i]]?.right).length;
  return `${right} of ${questions.length} right so far.`;
};

export const answer = (question, choice, silent) => {
  if (choice === null) return "";
  return silent ? "Your first choice is kept." : question.options[choice].said;
};

const made = (tag, attributes = {}, ...children) => {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
};

const html = (tag, attributes, inside) => {
  const element = made(tag, attributes);
  element.innerHTML = inside;
  return element;
};

/* Arrow keys go from option to option and choose none: each choice is told whether it is right, and the
   first may be kept. Space chooses. */
function walk(event, inputs) {
  const way = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key];
  if (!way || event.altKey || event.ctrlKey || event.metaKey) return; // those are the browser's
  event.preventDefault();
  inputs[(inputs.indexOf(event.target) + way + inputs.length) % inputs.length].focus();
}

/* Show `questions` in `root`: [{text, options: [{text, right, said}]}], with texts in HTML. `store`
   keeps what was chosen: `chosen()`, `choose(question, option)`, and says whether the quiz is
   `silent` and what `problem()` there is. Returns what brings the answers up to date. */
export function showQuiz(root, questions, store) {
  const id = `quiz-${Math.random().toString(36).slice(2)}`; // radio buttons of one name belong together
  const choose = (question, option) => {
    store.choose(question, option);
    follow();
  };
  const parts = questions.map((question, i) => {
    const number = questions.length > 1 ? `${i + 1}. ` : "";
    const inputs = question.options.map((_, place) => {
      // Else JupyterLab takes the arrow keys.
      const input = made("input", { type: "radio", name: `${id}-${i}`, "data-lm-suppress-shortcuts": "true" });
      input.addEventListener("change", () => choose(i, place));
      return input;
    });
    inputs.forEach((input) => input.addEventListener("keydown", (event) => walk(event, inputs)));
    const labels = question.options.map((option, place) => made("label", {}, inputs[place], html("span", {}, option.text)));
    const told = made("p", { class: "told", role: "status" });
    const box = made("fieldset", {}, html("legend", {}, number + question.text), ...labels, told);
    return { box, inputs, told };
  });
  const total = made("p", { class: "score", role: "status" });
  const problem = made("p", { class: "problem", role: "status" });
  const say = (element, inside) => {
    if (element.innerHTML !== inside) element.innerHTML = inside; // what is written again is read out again
  };
  const follow = () => {
    const [chosen, unkept] = [store.chosen(), store.silent && store.problem()];
    parts.forEach(({ inputs, told }, i) => {
      inputs.forEach((input, place) => (input.checked = chosen[i] === place));
      say(told, unkept ? "" : answer(questions[i], chosen[i], store.silent));
    });
    const counted = questions.length > 1 && !store.silent && chosen.some((choice) => choice !== null);
    say(total, counted ? score(questions, chosen) : "");
    problem.textContent = store.problem();
  };
  root.classList.add("quiz");
  root.replaceChildren(...parts.map(({ box }) => box), total, problem);
  follow();
  return follow;
}

// In a notebook: a widget's model, which Python shares.
function render({ model, el }) {
  const root = made("div");
  const store = {
    silent: model.get("silent"),
    chosen: () => model.get("chosen"),
    choose: (question, option) => {
      model.set("chosen", model.get("chosen").map((other, i) => (i === question ? option : other)));
      model.send({ question, option }); // Python sets it, too
    },
    problem: () => model.get("problem"),
  };
  const follow = showQuiz(root, model.get("asked"), store);
  model.on("change:chosen change:problem", follow);
  el.append(root);
  return () => model.off("change:chosen change:problem", follow);
}

// On a page: the questions stand there already, with their answers folded away.
export function questionsOn(page) {
  return [...page.querySelectorAll("details")].map((folded) => {
    const options = folded.previousElementSibling;
    const answers = [...folded.querySelectorAll("li")];
    return {
      text: options.previousElementSibling.innerHTML,
      options: [...options.children].map((option, i) => ({
        text: option.innerHTML,
        said: answers[i].innerHTML,
        right: answers[i].textContent.startsWith("✓"),
      })),
    };
  });
}

export function renderOn(page) {
  const [root, questions] = [made("div"), questionsOn(page)];
  const chosen = questions.map(() => null);
  const choose = (question, option) => (chosen[question] = option);
  showQuiz(root, questions, { silent: false, chosen: () => chosen, choose, problem: () => "" });
  page.replaceChildren(root);
}

export default { render };
