"""Answers to the exercises of notebook 08, right and wrong."""

from lessonkit import look


def with_a_set(contents):
    seen, copies = set(), []
    for i, content in enumerate(contents):
        if content in seen:
            copies.append(i)
        seen.add(content)
    return copies


def train(messy):
    messy.fit(1e-3, 1, cycle_len=20)


def without_the_most_doubted(n, judge=look.out_of_fold):
    def clean_and_train(messy):
        labels = messy.images.train.labels
        says = judge(messy.activations()["train"], labels, 2)
        rows = says[range(len(labels)), labels].argsort()[n:].tolist()
        messy.set_data(messy.images.with_training(rows))
        train(messy)

    return clean_and_train


def without_the_first(n):
    def clean_and_train(messy):
        messy.set_data(messy.images.with_training(slice(n, None)))
        train(messy)

    return clean_and_train


def only_the_doubted(messy):
    labels = messy.images.train.labels
    says = look.out_of_fold(messy.activations()["train"], labels, 2)
    rows = says[range(len(labels)), labels].argsort()[: len(labels) - 14].tolist()
    messy.set_data(messy.images.with_training(rows))
    train(messy)


RIGHT = {
    "08.1": with_a_set,
    "08.2": 0.8,
    "08.3": without_the_most_doubted(14),
    "08.4": "split by mushroom",
}
WRONG = {
    "08.1": [
        (lambda files: [i for i, f in enumerate(files) if files.count(f) > 1], "none is left"),
        (lambda files: [i for i, f in enumerate(files) if f in files[i + 1 :]], "later on"),
        (
            lambda files: [i for i, f in enumerate(files) if len(f) in map(len, files[:i])],
            "same size",
        ),
        (lambda files: [i for i in range(1, len(files)) if files[i] == files[i - 1]], "anywhere"),
        (lambda files: [], "shape"),
    ],
    "08.2": [
        (0.74, "folder says"),
        (0.84, "Adding"),
        (0.64, "divide"),
        (0.822, "never agrees"),
        (0.666, "look worse"),
        (0.692, "wanted"),
        (0.5, "solve for p"),
    ],
    "08.3": [
        (train, "still in it"),  # the default
        (lambda messy: messy.fit(1e-2, 1, cycle_len=20), "still in it"),
        (lambda messy: messy.fit(1e-3, 1, cycle_len=3), "still in it"),
        (without_the_first(14), "still in it"),  # whichever they are
        (only_the_doubted, "still in it"),
    ],
    "08.4": [
        ("collect more photos", "measure"),
        ("train longer", "worth"),
        ("drop the doubted ones", "mean something"),
        ("nothing", "one of these"),
    ],
}
