"""Exercises of notebook 01, the learning rate."""

from lessonkit import augment, data, models
from lessonkit.course.exercises.quiz import function, number
from lessonkit.course.exercises.training import training
from lessonkit.learner import Learner, adamw

Pair = tuple[float, float]


def _step(x: float, v: float, gradient: float, lr: float, momentum: float) -> Pair:
    v = momentum * v + gradient
    return x - lr * v, v


def _with_adamw(seed: int) -> Learner:
    """The page's network with another optimiser, on 1,000 digits of 16 px."""
    digits = data.digits(16).with_augment(augment.none()).with_training(slice(None, None, 4))
    model = models.small_cnn(10, width=8, seed=seed)
    return Learner(model, digits, seed=seed, optimizer=adamw, batch_size=32)


def _about_the_lr(learn: Learner, accuracy: float) -> str:
    if accuracy >= 0.88:
        return ""
    if max(learn.history.lr) < 3e-3:
        return "The LR is too low for two epochs: try one several times higher."
    if learn.history.lr[-1] > max(learn.history.lr) / 2 and max(learn.history.lr) < 0.02:
        return "At such an LR the last steps are still large: let it come down (`cycle_len=2`)."
    if max(learn.history.lr) < 0.01:
        return "The LR comes down from too low a top: try two or three times as much."
    return "With AdamW each weight moves by about the LR in each step: this LR is too high for it."


EXERCISES = {
    "01.1": number(
        1000,
        "1e-1 is 0.1 and 1e-4 is 0.0001. The exponents differ by three: three orders of magnitude.",
        wrong={
            3: "That is the difference of the exponents, the number of orders of magnitude. Each "
            "of them is a factor of ten.",
            0.001: "That is how many times *lower* 1e-4 is. Divide the other way round.",
            0.0999: "That is the difference. Learning rates are compared by their ratio.",
            30: "Three orders of magnitude are 10 · 10 · 10, not 10 + 10 + 10.",
            10000: "That is how 1e-4 compares with 1. Here it is compared with 1e-1.",
        },
        hint="Write both as decimal numbers, and divide the larger by the smaller.",
    ),
    "01.2": number(
        0.25,
        "2/λ = 2/8. At exactly 0.25 the ball bounces forever; anything above diverges.",
        wrong={
            0.125: "That is 1/λ, where the ball reaches the lowest point in one step. The limit is "
            "twice as high.",
            16: "You multiplied. The more the bowl curves, the lower the limit: divide.",
            4: "That is λ/2, the limit upside down.",
            2: "That is the limit for λ = 1. This bowl curves eight times as much.",
            0.475: "That is the limit with momentum 0.9. Here there is none.",
        },
        hint="Each step multiplies x by 1 - lr · λ. At which LR does that become -1?",
    ),
    "01.3": function(
        _step,
        [
            (4.0, 0.0, 4.0, 0.5, 0.9),
            (1.5, -2.0, 0.75, 0.1, 0.8),
            (-3.0, 1.0, -6.0, 0.05, 0.5),
            (2.0, 0.5, 1.0, 0.2, 0.0),
        ],
        "First the velocity, then the weight with the *new* velocity. torch's SGD does the same.",
        wrong={
            (lambda x, v, gradient, lr, momentum: (x - lr * v, momentum * v + gradient)): (
                "The weight moves with the old velocity: update v first, then x."
            ),
            (lambda x, v, gradient, lr, momentum: _step(x, v, gradient, -lr, momentum)): (
                "It climbs. The gradient points uphill: subtract lr times the velocity."
            ),
            (lambda x, v, gradient, lr, momentum: (x - lr * gradient, gradient)): (
                "The old velocity plays no part: momentum is missing."
            ),
            (lambda *given: _step(*given)[::-1]): "The right two numbers, in the wrong order: x "
            "first, then v.",
            (lambda x, v, gradient, lr, momentum: _step(x, v, lr * gradient, 1.0, momentum)): (
                "The LR has gone into the velocity. Some books do that, but here, as in torch, v "
                "is made of gradients, and the LR multiplies it when x moves."
            ),
            (lambda x, v, g, lr, momentum: _step(x, v, (1 - momentum) * g, lr, momentum)): (
                "The gradient is scaled by 1 - momentum. Adam does that; here it counts in full."
            ),
        },
        hint="v = momentum · v + gradient, and after that x = x - lr · v. Return both.",
    ),
    "01.4": number(
        7,
        "0.9 to the power of 6 is 0.53, and to the power of 7 it is 0.48.",
        within=0.01,
        wrong={
            5: "That would be right if each step covered a tenth of the distance at the *start*. "
            "Each covers a tenth of what is left.",
            6: "After 6 steps 0.53 of the distance is left: not quite half yet.",
            6.58: "There it is exactly half. But steps are whole: after 6 it isn't half yet.",
            10: "After 10 steps 0.35 is left. Half was reached before.",
            22: "After 22 steps a tenth of the distance is left. Half is asked for.",
            1: "One step leaves 0.9 of the distance.",
        },
        hint="Each step leaves 1 - 0.1 = 0.9 of the distance. How often until 0.5 or less is left?",
    ),
    "01.5": training(
        _with_adamw,
        0.88,
        "AdamW's good LRs are lower than SGD's: the gradient is divided by its usual size, so a "
        "weight moves by about the LR itself, however flat the loss is.",
        "Try LRs a factor of ten apart, as this page does, and then one between the best two.",
        "The best one lies near 0.01: learn.fit(lr, 1, cycle_len=2).",
        _about_the_lr,
        epochs=2,
        seeds=(7, 8),
    ),
}
