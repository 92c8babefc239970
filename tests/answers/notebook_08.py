"""Answers to the exercises of notebook 08, right and wrong."""

from lessonkit import look


def with_a_set(contents):
    seen, copies = set(), []
    for i, content in enumerate(contents):
        if content in seen:
            copies.append(i)
        seen.add(content)
    return copies


def without_the_least_doubted(activations, labels):
    says = look.out_of_fold(activations, labels, 2)
    return says[range(len(labels)), labels].argsort()[:-14].tolist()


RIGHT = {
    "08.1": with_a_set,
    "08.2": 0.8,
    "08.4": "split by mushroom",
}
ALSO_RIGHT = {
    "08.2": [80, "80 %", "4/5", "0,8", "80 percent", "80 times in 100", "8 in 10", "4 out of 5"],
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
        (
            lambda files: [i for i, f in enumerate(files) if set(f) in map(set, files[:i])],
            "shape",
        ),
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
        (lambda activations, labels: range(len(labels)), "still in it"),  # all of them
        (lambda activations, labels: range(14, len(labels)), "still in it"),
        (without_the_least_doubted, "still in it"),
    ],
    "08.4": [
        ("collect more photos", "measure"),
        ("train longer", "worth"),
        ("drop the doubted ones", "mean something"),
        ("nothing", "one of these"),
    ],
}
