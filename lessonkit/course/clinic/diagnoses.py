"""What may be wrong with each patient of the clinic, and the sign that speaks for or against it.

Like the patients themselves, this is to be read after you have made your own diagnosis. Of each
patient the first diagnosis is kept, in diagnoses.json on the reader's disk: {patient's number: the
option chosen, in words}.
"""

import html
from functools import partial
from typing import Any

import ipywidgets

from lessonkit.course import records
from lessonkit.course.exercises.quiz import Option, Question, Quiz

__all__ = ["SUSPECTS", "Score", "diagnose", "first_diagnoses", "forget", "score"]

NAME = "diagnoses"

# patient -> suspects, each with whether it is right and which sign says so.
SUSPECTS: dict[int, list[Option]] = {
    1: [
        Option(
            "The learning rate is too low",
            False,
            "Then both losses would fall side by side, however slowly. Here training falls, and "
            "validation doesn't come along. The learning rate of 0.1 served the healthy run.",
        ),
        Option(
            "The labels are shuffled",
            True,
            "The training loss falls below guessing, so it can learn: these pictures, by heart. "
            "Validation stays at guessing or above: nothing of it holds for other pictures.",
        ),
        Option("A layer is dead", False, "All channels of all layers react."),
        Option(
            "It overfits",
            False,
            "Overfitting comes after learning: validation gets better first. Here it has never "
            "been better than guessing.",
        ),
    ],
    2: [
        Option("The labels are shuffled", False, "Validation falls together with training."),
        Option(
            "The learning rate is too low",
            True,
            "Both losses fall, side by side, and very slowly. Look at the scale of the learning "
            "rate: the healthy run had 0.1.",
        ),
        Option("A layer is dead", False, "All channels react, and the loss does fall a little."),
        Option(
            "The network is too small",
            False,
            "It is the healthy run's network, and nobody knows yet what it can do: it has hardly "
            "moved.",
        ),
    ],
    3: [
        Option(
            "The learning rate is too low",
            False,
            "0.1 served the healthy run. And a low one would still let the loss fall a little.",
        ),
        Option(
            "The labels are shuffled",
            False,
            "Then the training loss would begin to fall, as pictures are learned by heart. It lies "
            "on the dotted line.",
        ),
        Option(
            "A layer is dead",
            True,
            "From the fourth convolution on nothing ever reacts. Behind it the network doesn't see "
            "the picture at all, and no gradient comes back.",
        ),
        Option(
            "The learning rate has come down too early",
            False,
            "It came down as in the healthy run, which had learned most by half-time.",
        ),
    ],
    4: [
        Option(
            "The learning rate is too high",
            True,
            "Its first epoch is no better than guessing, and it lags far behind the healthy run. "
            "It learns only once the learning rate has come down from 3.",
        ),
        Option("It overfits", False, "Training and validation end side by side."),
        Option(
            "The augmentation changes what pictures mean",
            False,
            "Nothing says that this patient is augmented. Some classes are bad, but it is stopped "
            "in the midst of learning: both losses are still falling.",
        ),
        Option(
            "The learning rate was never brought down",
            False,
            "It was: see the third picture. Look at where it starts.",
        ),
    ],
    5: [
        Option("It overfits", False, "Validation is still getting better, though by leaps."),
        Option(
            "The learning rate is far too low",
            False,
            "The training loss is below 0.5 after a few epochs: that is quick.",
        ),
        Option(
            "The learning rate was never brought down",
            True,
            "The third picture is flat. The network jumps about the minimum until the last step, "
            "and you get it wherever it happens to be.",
        ),
        Option(
            "The body is frozen",
            False,
            "A small network trained from scratch has nothing to freeze, and it learns well.",
        ),
    ],
    6: [
        Option(
            "It overfits",
            False,
            "Training isn't better than validation. It has trouble with its *training* pictures.",
        ),
        Option(
            "The learning rate is too high",
            False,
            "It is the healthy run's. And after five of eight epochs the losses have come to rest: "
            "a lower rate doesn't help any more.",
        ),
        Option(
            "The augmentation changes what pictures mean",
            True,
            "What suffers are 2 and 5, 4, 6 and 9: digits that mirrors and turns make into each "
            "other. 0, 1 and 8 look the same in a mirror, and are fine.",
        ),
        Option(
            "Some labels are wrong",
            False,
            "Wrong labels would spoil all classes alike. Look at which ones are bad.",
        ),
    ],
    7: [
        Option(
            "It overfits",
            True,
            "Training goes to zero while validation turns upwards after a few epochs. Right: "
            "it is sure of nearly all it has learned from, and certain of many wrong answers.",
        ),
        Option(
            "Training pictures are among the validation pictures",
            False,
            "Then validation would be nearly as good as training. Here the gap is wide.",
        ),
        Option(
            "The learning rate is too high",
            False,
            "The training loss falls smoothly, to nearly zero.",
        ),
        Option(
            "The pictures are not normalised",
            False,
            "They are the activations on which healthy heads of this course are trained.",
        ),
    ],
    8: [
        Option("Nothing: it is a good model", False, "It looks like one. That is the danger."),
        Option(
            "It overfits",
            False,
            "There is hardly a gap: validation is as good as training.",
        ),
        Option(
            "Validation pictures are known from training",
            True,
            "No curve says so: they are all beautiful. What is suspicious is that on unseen parts "
            "of the Earth such heads stay below .8 (notebook 08), and this one is above .9.",
        ),
        Option(
            "The learning rate is too low",
            False,
            "The loss has fallen far and has come to rest.",
        ),
    ],
    9: [
        Option(
            "It overfits: it needs augmentation",
            False,
            "The chart says that it *is* augmented. Did the network ever see that?",
        ),
        Option(
            "The augmentation changes what pictures mean",
            False,
            "Then training would be hard. Its loss is zero after a few epochs, and photos may be "
            "mirrored.",
        ),
        Option(
            "Augmentation is on, but never reaches the network",
            True,
            "The inputs of all epochs are exactly the same: the flat line at zero. The head trains "
            "on stored activations.",
        ),
        Option(
            "The body learns too fast and forgets ImageNet",
            False,
            "The body doesn't learn: only the head is trained.",
        ),
    ],
    10: [
        Option(
            "It overfits",
            False,
            "It hasn't learned enough for that: on the validation photos it says mammal to all of "
            "them, and its training loss is only half-way down.",
        ),
        Option(
            "BatchNorm still measures each batch",
            True,
            "Training gets better, and validation is hardly better than guessing *from the first "
            "epoch on*: the network is another one when it is asked than when it learns.",
        ),
        Option(
            "Two thirds of the photos are mammals",
            False,
            "So they are, and a head that knows nothing says mammal. But healthy runs on the same "
            "photos get nine in ten.",
        ),
        Option(
            "The learning rate is too low",
            False,
            "Then validation would follow training, slowly. Here the two part at once.",
        ),
    ],
    11: [
        Option(
            "It overfits",
            False,
            "Training and validation end at the same loss. It isn't good on either.",
        ),
        Option(
            "The learning rate is too low",
            False,
            "The loss falls fast at first and then comes to rest; the curve has done what it can.",
        ),
        Option(
            "The body is still frozen",
            True,
            "Both losses come to rest together, far up, and the body's weights haven't moved at "
            "all. The head can't make up for what the body doesn't look at.",
        ),
        Option(
            "The labels are shuffled",
            False,
            "It is far better than guessing on pictures that it hasn't seen.",
        ),
    ],
    12: [
        Option(
            "The body is frozen, and should not be",
            False,
            "It is frozen, rightly so with 318 tiles: frozen as well, others get nearly .8.",
        ),
        Option(
            "It overfits",
            False,
            "There is a gap. But training itself has come to rest far up: look for what keeps "
            "*both* up.",
        ),
        Option(
            "The pictures aren't normalised",
            True,
            "On the right: the first layer gets numbers up to 255. On ImageNet it was fed numbers "
            "between -1 and 1. What comes out are still activations, but poor ones.",
        ),
        Option(
            "The learning rate is too low",
            False,
            "The losses have come to rest: more steps of this kind won't bring them down.",
        ),
    ],
}


def diagnose(number: int) -> Quiz:
    """What is wrong with patient `number`? Ask, and say which sign speaks for or against it."""
    question = Question(f"What is wrong with patient {number}?", SUSPECTS[number])
    asked = Quiz(f"patient {number}", [question])
    asked.radios[0].observe(partial(_keep, asked, number), names="index")
    return asked


def _keep(asked: Quiz, number: int, change: dict) -> None:
    if change["new"] is None:
        return
    kept = _read()
    kept.setdefault(str(number), SUSPECTS[number][change["new"]].text)
    try:
        records.write(NAME, kept)
    except OSError as error:
        asked.score.value = f"<p>Your diagnosis can't be kept: {html.escape(str(error))}</p>"


def first_diagnoses() -> dict[int, tuple[str, bool]]:
    """Of each patient that was diagnosed, the first diagnosis, and whether it was right."""
    right = {n: {option.text: option.right for option in SUSPECTS[n]} for n in SUSPECTS}
    kept = {int(number): text for number, text in _read().items()}
    return {n: (kept[n], right[n][kept[n]]) for n in SUSPECTS if kept.get(n) in right[n]}


def forget() -> None:
    """Delete all that was kept, to begin the clinic anew."""
    records.forget(NAME)


class Score:
    """How many of the twelve you diagnosed at the first go. A button counts anew."""

    def __init__(self) -> None:
        self.table = ipywidgets.HTML()
        button = ipywidgets.Button(description="Count", tooltip="Count your diagnoses so far")
        button.on_click(self.show)
        self.widget = ipywidgets.VBox([button, self.table])
        self.show()

    def show(self, button: ipywidgets.Button | None = None) -> None:
        """Read what has been kept, and show it."""
        found = first_diagnoses()
        lines = [
            f'<tr><th scope="row">patient {n}</th><td>{html.escape(text)}</td>'
            f"<td>{'✓' if right else '✗'}</td></tr>"
            for n, (text, right) in found.items()
        ]
        right = sum(well for _, well in found.values())
        said = f"{right} of {len(SUSPECTS)} right at the first go"
        left = len(SUSPECTS) - len(found)
        said += f", {left} not diagnosed yet." if left else "."
        shown = f"<p><b>{said}</b></p><table>{''.join(lines)}</table>"
        self.table.value = f'<div role="status">{shown}</div>'

    def __repr__(self) -> str:
        return "your diagnoses, counted"

    def _repr_mimebundle_(self, **kwargs: Any) -> dict:
        # What is stored in a notebook must not depend on who has diagnosed what.
        return dict(self.widget._repr_mimebundle_(**kwargs)) | {"text/plain": repr(self)}


def score() -> Score:
    """A widget with your first diagnosis of each patient, and how many of them were right."""
    return Score()


def _read() -> dict[str, str]:
    def valid(found: Any) -> bool:
        return isinstance(found, dict) and all(
            number.isdecimal() and isinstance(text, str) for number, text in found.items()
        )

    return records.read(NAME, valid, {})
