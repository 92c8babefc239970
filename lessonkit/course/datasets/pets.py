"""The Oxford-IIIT Pets: photos of 37 breeds of cats and dogs, for those who are online."""

import shutil
import socket
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path

from lessonkit.files import cache
from lessonkit.images.image_data import DataError

__all__ = ["pets_folder"]

BYTES = 1_700_000_000  # the archives and what is in them
SECONDS = 30.0  # without a sign of the server, then it counts as gone


def pets_folder() -> Path:
    """A folder with 3,680 photos (the "trainval" part), one folder a breed.

    800 MB are downloaded once, by torchvision, which checks the publishers' MD5 sums; a download
    that stops half-way counts for nothing. Raises DataError where there is no connection.
    """
    return cache.cached("pets", _download)


def _download(folder: Path) -> None:
    from torchvision.datasets import OxfordIIITPet

    cache.check_room(folder, BYTES)
    try:
        with _guarded():
            photos = OxfordIIITPet(folder / "download", download=True)
    # RuntimeError: not the publishers' files. HTTPException: the server ended in mid-sentence.
    except (OSError, RuntimeError, HTTPException, tarfile.TarError) as error:
        said = "".join(c if c.isprintable() else " " for c in str(error))  # by a server: anything
        raise DataError(
            f"The pets can't be downloaded now ({' '.join(said.split())}): use data.creatures() "
            "instead."
        ) from error
    for path, label in zip(photos._images, photos._labels, strict=True):
        target = folder / photos.classes[label] / path.name
        target.parent.mkdir(exist_ok=True)
        path.rename(target)
    shutil.rmtree(folder / "download")


@contextmanager
def _guarded() -> Iterator[None]:
    """Give up on a silent server, and unpack archives into their own folder only.

    torchvision itself would wait forever, and before Python 3.14 follow names such as `../x`.
    """
    timeout, how = socket.getdefaulttimeout(), tarfile.TarFile.__dict__.get("extraction_filter")
    socket.setdefaulttimeout(SECONDS)
    tarfile.TarFile.extraction_filter = staticmethod(tarfile.data_filter)
    try:
        yield
    finally:
        socket.setdefaulttimeout(timeout)
        tarfile.TarFile.extraction_filter = how
