"""The pets' download: whole or not at all, and one sentence where there is no connection."""

import hashlib
import socket
import tarfile
from urllib.error import URLError

import pytest
import torchvision.datasets
from PIL import Image
from torchvision.datasets import utils

from lessonkit import data
from lessonkit.course.datasets import pets
from lessonkit.data import DataError

BREEDS = ["Abyssinian", "great_pyrenees"]


@pytest.fixture(autouse=True)
def cache(cache, monkeypatch):
    monkeypatch.setattr(pets, "BYTES", 1)
    return cache


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A publisher's server with two breeds of five photos; a dict of file names and contents."""
    lines = []
    for number, breed in enumerate(BREEDS, 1):
        for i in range(5):
            photo = tmp_path / "made" / "images" / f"{breed}_{i}.jpg"
            photo.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (24, 20), (40 * number, 50 * i, 0)).save(photo)
            lines.append(f"{breed}_{i} {number} 1 1")
    listed = tmp_path / "made" / "annotations" / "trainval.txt"
    listed.parent.mkdir()
    listed.write_text("\n".join(lines))
    files, resources = {}, []
    for name in ("images", "annotations"):
        archive = tmp_path / f"{name}.tar.gz"
        with tarfile.open(archive, "w:gz") as tar:
            tar.add(tmp_path / "made" / name, name)
        files[archive.name] = archive.read_bytes()
        sum_ = hashlib.md5(files[archive.name]).hexdigest()
        resources.append((f"https://example.org/{archive.name}", sum_))
    monkeypatch.setattr(torchvision.datasets.OxfordIIITPet, "_RESOURCES", tuple(resources))

    def fetch(url, filename, *_):
        content = files[url.rsplit("/", 1)[1]]
        if isinstance(content, BaseException):
            raise content
        with open(filename, "wb") as file:
            file.write(content)

    monkeypatch.setattr(utils, "_urlretrieve", fetch)
    monkeypatch.setattr(utils, "_get_redirect_url", lambda url, **_: url)
    return files


def test_pets_are_sorted_into_breeds_and_downloaded_once(server, cache):
    images = data.pets(size=16)
    assert images.classes == ["Abyssinian", "Great Pyrenees"]
    assert len(images.train.labels) == 8 and len(images.valid.labels) == 2
    server.clear()  # nothing can be fetched any more
    assert data.pets(size=16).key == images.key
    assert not list((cache / "pets").glob("download"))


@pytest.mark.parametrize(
    "failure", [URLError("no such host"), TimeoutError("timed out"), b"half of it"]
)
def test_without_a_connection_or_with_half_a_file_one_sentence_and_nothing_stays(
    server, cache, failure
):
    honest = server["annotations.tar.gz"]
    server["annotations.tar.gz"] = failure
    with pytest.raises(DataError, match=r"can't be downloaded now .*: use data.creatures\(\)"):
        data.pets(size=16)
    assert not list(cache.iterdir()) and socket.getdefaulttimeout() is None
    server["annotations.tar.gz"] = honest
    assert len(data.pets(size=16).classes) == 2


def test_stopped_half_way_nothing_stays(server, cache):
    server["annotations.tar.gz"] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        data.pets(size=16)
    assert not list(cache.iterdir())


def test_a_disk_that_is_too_small_is_noticed_before_the_download(server, monkeypatch):
    monkeypatch.setattr(pets, "BYTES", 10**18)
    with pytest.raises(OSError, match="MB are needed"):
        pets.pets_folder()
