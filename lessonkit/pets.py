"""The Oxford-IIIT Pets: photos of 37 breeds of cats and dogs, for those who are online."""

import shutil
import socket
from pathlib import Path

from lessonkit import storage
from lessonkit.folder import DataError

__all__ = ["pets_folder"]

BYTES = 1_700_000_000  # the archives and what is in them
SECONDS = 30.0  # without a sign of the server, then it counts as gone


def pets_folder() -> Path:
    """A folder with 3,680 photos (the "trainval" part), one folder a breed.

    800 MB are downloaded once, by torchvision, which checks the publishers' MD5 sums; a download
    that stops half-way counts for nothing. Raises DataError where there is no connection.
    """
    return storage.cached("pets", _download)


def _download(folder: Path) -> None:
    from torchvision.datasets import OxfordIIITPet

    storage.check_room(folder, BYTES)
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(SECONDS)  # torchvision itself would wait for ever
    try:
        photos = OxfordIIITPet(folder / "download", download=True)
    except (OSError, RuntimeError) as error:  # RuntimeError: not the publishers' files
        raise DataError(
            f"The pets can't be downloaded now ({error}): use data.creatures() instead."
        ) from error
    finally:
        socket.setdefaulttimeout(before)
    for path, label in zip(photos._images, photos._labels, strict=True):
        target = folder / photos.classes[label] / path.name
        target.parent.mkdir(exist_ok=True)
        path.rename(target)
    shutil.rmtree(folder / "download")
