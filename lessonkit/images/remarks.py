"""What to know about pictures before training: too few to judge by, and copies of one another."""

from typing import Any

__all__ = ["about", "copies", "too_few"]

FEW = 25  # validation pictures: with fewer, one more or less is over 4 points of accuracy


def about(images: Any) -> list[str]:
    """All remarks on an ImageData, in sentences."""
    return too_few(images) + copies(images)


def too_few(images: Any) -> list[str]:
    """What each validation picture weighs, in one sentence, if that is over 4 points."""
    n = len(images.valid.labels)
    said = [f"{n} pictures for validation: each is {100 / n:.1f} points of accuracy."]
    return said if n < FEW else []


def copies(images: Any) -> list[str]:
    """Files with the same pixels: in two sets at once, in two classes, and in all."""
    place, said = _places(images), []
    groups = [[file for file in group if file in place] for group in images.copies]
    for number, kind in enumerate(("sets", "classes")):
        across = [g for g in groups if len({place[file][number] for file in g}) > 1]
        if across:
            both = " and ".join(dict.fromkeys(place[file][number] for file in across[0]))
            named = f"{' = '.join(across[0])} ({both})"
            said.append(f"{len(across)} picture(s) are in two {kind} at once, such as {named}.")
    if n_more := sum(len(group) - 1 for group in groups if group):
        example = next(group for group in groups if len(group) > 1)
        said.append(f"{n_more} file(s) are copies of others, such as {' = '.join(example)}.")
    return said


def _places(images: Any) -> dict[str, tuple[str, str]]:
    """Each file's set and class."""
    sets = {
        "training": (images.train, images.train_files),
        "validation": (images.valid, images.valid_files),
        "test": (images.test, images.test_files),
    }
    return {
        file: (name, images.classes[label])
        for name, (split, files) in sets.items()
        for file, label in zip(files, split.labels.tolist() if files else (), strict=True)
    }
