"""What to know about pictures before training: too few to judge by, copies, and empty ones."""

from typing import Any

from torch import Tensor

__all__ = ["about", "copies", "empty", "too_few"]

FEW = 25  # validation pictures: with fewer, one more or less is over 4 points of accuracy


def about(images: Any) -> list[str]:
    """All remarks on an ImageData, in sentences."""
    return too_few(images) + copies(images) + empty(images)


def too_few(images: Any) -> list[str]:
    """In one sentence what each validation picture weighs, if over 4 points; or that none is."""
    n = len(images.valid.labels)
    if not n:
        return ["There are no pictures for validation."]
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


def empty(images: Any) -> list[str]:
    """Files whose pixels are all of one colour, as of a camera with its cap on."""
    named = [
        file
        for split, files in _sets(images).values()
        for picture, file in zip(split.images, files, strict=True)
        if _is_of_one_colour(picture)
    ]
    said = f"{len(named)} file(s) are of one colour everywhere, such as {', '.join(named[:3])}."
    return [said] if named else []


def _is_of_one_colour(picture: Tensor) -> bool:
    corner, middle = picture[:, :1, :1], picture.shape[1] // 2
    # Most pictures differ between corner and middle: then the rest needn't be looked at.
    return bool(
        (picture[:, middle, middle] == corner.flatten()).all() and (picture == corner).all()
    )


def _places(images: Any) -> dict[str, tuple[str, str]]:
    """Each file's set and class."""
    return {
        file: (name, images.classes[label])
        for name, (split, files) in _sets(images).items()
        for file, label in zip(files, split.labels.tolist(), strict=True)
    }


def _sets(images: Any) -> dict[str, tuple[Any, list[str]]]:
    """The sets whose pictures came from files, each with these files."""
    sets = {
        "training": (images.train, images.train_files),
        "validation": (images.valid, images.valid_files),
        "test": (images.test, images.test_files),
    }
    return {name: (split, files) for name, (split, files) in sets.items() if files}
