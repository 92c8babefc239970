"""Exercises of notebook 00, and the test of the whole course."""

import math

from lessonkit.course.exercises.quiz import Option, Question, choice, function, number

EXERCISES = {
    "00.1": number(
        lambda: -math.log(0.25),
        "The loss is -ln(0.25) = 1.39. Two classes with 0.5 each would give 0.69: the network is "
        "worse than a coin on this photo.",
        within=0.01,
        wrong={
            -math.log(0.75): "That is the loss if a mammal were right: 0.75 is the probability of "
            "the *other* class.",
            0.75: "That is how far the probability is from 1. The loss is its logarithm, with a "
            "minus sign.",
            math.log(0.25): "The logarithm of a number below 1 is negative; the loss is *minus* "
            "that.",
            -math.log10(0.25): "That is the logarithm to base 10. Here, as nearly everywhere in "
            "this field, it is the natural one: math.log.",
            -math.log2(0.25): "That is the logarithm to base 2. Here it is the natural one: "
            "math.log.",
        },
        hint="The loss is minus the natural logarithm of the probability of the right class.",
    ),
    "00.2": function(
        lambda n_pictures, batch_size: math.ceil(n_pictures / batch_size),
        [(100, 32), (64, 64), (65, 64), (1, 64), (2542, 64), (75, 32)],
        "Every picture takes part in the epoch, so the rest is a mini-batch too, a smaller one.",
        wrong=[
            (
                lambda n_pictures, batch_size: n_pictures // batch_size,
                "This leaves out the pictures that don't fill a whole mini-batch. They would never "
                "be learned from.",
            ),
            (
                lambda n_pictures, batch_size: n_pictures // batch_size + 1,
                "This counts an empty mini-batch where the division leaves no rest, as with 64 "
                "pictures in mini-batches of 64.",
            ),
            (
                lambda n_pictures, batch_size: n_pictures / batch_size,
                "There are no fractions of mini-batches: the rest is one of its own.",
            ),
            (
                lambda n_pictures, batch_size: round(n_pictures / batch_size),
                "Rounding to the nearest whole number drops a small rest: round up instead.",
            ),
        ],
        hint="How many mini-batches are full, and is anything left after them?",
    ),
    "00.3": choice(
        "about 70 %",
        ["about 99 %", "about 85 %", "about 70 %"],
        wrong={
            "about 99 %": "That is how well it knows the photos it has learned from, partly by "
            "heart. New photos aren't among them.",
            "about 85 %": "New photos aren't half old. The network has learned from none of them, "
            "just as with the validation photos.",
        },
        why="The validation photos stand for new ones: the network has learned from neither.",
        hint="Which of the two numbers was measured on pictures that it hasn't learned from?",
    ),
}


def _question(text: str, right: str, why: str, *wrong: tuple[str, str]) -> Question:
    options = [Option(right, True, why), *(Option(other, False, hint) for other, hint in wrong)]
    # The right option isn't always the first: its place follows from the question's length.
    turn = len(text) % len(options)
    return Question(text, options[turn:] + options[:turn])


QUESTIONS = [
    _question(
        "Which number is 1e-2?",
        "0.01",
        "1e-2 is 10 to the power of -2: one hundredth.",
        ("0.001", "That is 1e-3."),
        ("-100", "The exponent is negative, not the number."),
    ),
    _question(
        "The learning rate is far too high. What do you see?",
        "The loss grows, and soon isn't a number any more",
        "Every step overshoots further than the last one.",
        ("The loss falls, but slowly", "That is what a learning rate that is too *low* does."),
        ("The loss falls on training pictures only", "That is overfitting, another matter."),
    ),
    _question(
        "What does the LR finder do?",
        "It raises the learning rate batch by batch and watches the loss",
        "One short run over all powers of ten; then it puts everything back.",
        ("It trains once for each of ten learning rates", "That works too, and takes far longer."),
        ("It computes the best learning rate from the pictures", "Nobody knows how to do that."),
    ),
    _question(
        "In the finder's curve the loss is lowest at 0.1. What does the lesson advise?",
        "0.01: one order of magnitude lower",
        "At the lowest point the loss is about to explode.",
        ("0.1: where the loss is lowest", "There it is about to explode."),
        ("1: one order of magnitude higher", "There it has exploded already."),
    ),
    _question(
        "You have unfrozen all layers. What about the learning rate?",
        "Find it again: other weights train now",
        "The network that trains is another one.",
        ("Keep it: it was good", "It was good for the head alone."),
        ("Multiply it by the number of layers", "There is no such rule."),
    ),
    _question(
        "Which change may you make to handwritten digits?",
        "Rotate them by a few degrees",
        "A slightly slanted 6 is a 6.",
        ("Mirror them", "A mirrored 3 is no digit, and a mirrored 2 looks like another one."),
        ("Turn them upside down", "A 6 becomes a 9."),
    ),
    _question(
        "Which change may you make to satellite tiles, but not to photos of dogs?",
        "Turn them upside down",
        "From above there is no up and down.",
        ("Zoom in by 10 %", "Both stand that."),
        ("Change the colours strongly", "On tiles colour is most of what tells climates apart."),
    ),
    _question(
        "With precompute=True, what does augmentation do?",
        "Nothing: the stored activations are those of the unchanged pictures",
        "It acts only from step 4 on, when precompute is off. The trap of this lesson.",
        ("It makes the head more robust", "The head never sees a changed picture."),
        ("It slows each epoch down", "Nothing is augmented, so nothing is slower."),
    ),
    _question(
        "Why do earlier layers often get a lower learning rate?",
        "What they know, edges and textures, fits other photos already",
        "There is less to change. On pictures unlike photos that reason goes away.",
        ("They have fewer weights", "The number of weights is not the reason."),
        ("They are further from the loss, so gradients explode", "They usually shrink on the way."),
    ),
    _question(
        "Why is the learning rate lowered towards the end of training?",
        "So as not to overshoot the minimum",
        "High while far away, low when close: annealing.",
        ("So that each epoch takes less time", "The time of a step doesn't depend on it."),
        ("So that the network forgets less", "It is about where it comes to rest."),
    ),
    _question(
        "fit(lr, 3, cycle_len=1, cycle_mult=2): how many epochs is that?",
        "7",
        "1 + 2 + 4: each cycle is twice as long as the one before.",
        ("3", "That is the number of cycles."),
        ("6", "Each cycle is twice the one *before*: 1, 2, 4."),
    ),
    _question(
        "What is test-time augmentation?",
        "Predictions for several variants of each picture, averaged",
        "It costs as many predictions as there are variants.",
        ("Training on the test pictures", "That would be cheating."),
        ("Augmenting the validation set to make it larger", "The pictures stay as many."),
    ),
]
