"""The large parts of the page "Train in the page", each a script that the page loads when asked.

    python site/train_parts.py        writes them into site/_build/train; make site calls it

The runtime comes from npm (package-lock.json says which, by checksum), the network from the
course's own export, the examples from the course's own pictures. Scripts, because a page opened
from disk may load nothing else; gzip, which the browser unpacks; base64, because scripts are text.
"""

import base64
import csv
import gzip
import io
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, numpy_helper
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # for lessonkit, if not installed

from lessonkit import models
from lessonkit.course.datasets import embedded
from lessonkit.networks.weights import OWN
from lessonkit.training import onnx_graph

SITE = Path(__file__).resolve().parent
PARTS = SITE / "_build" / "train"
RUNTIME = SITE / "node_modules" / "onnxruntime-web"
SIZE = 128  # px: the side of the pictures, as in lessonkit
A_CLASS, NEW = 20, 2  # pictures of each class in an example: to train and test with, and unseen
SPARED = 6  # bits of each weight
CLIMATES = ["rainforest", "savanna", "steppe", "desert"]


def main() -> None:
    """Write all parts; without npm, say what the site will lack."""
    if why := fetch_runtime():
        shutil.rmtree(PARTS, ignore_errors=True)
        print(f'Left out: the parts of the page "Train in the page", because {why}.')
        return
    write_parts(PARTS)


def fetch_runtime() -> str:
    """Have npm put the runtime into site/node_modules, once; why it couldn't, or ""."""
    if (there := RUNTIME / "package.json").exists():
        wanted = json.loads((SITE / "package.json").read_text("utf-8"))["dependencies"]
        if json.loads(there.read_text("utf-8"))["version"] == wanted[RUNTIME.name]:
            return ""
    if not shutil.which("npm"):
        return "they need npm, which comes with Node.js (nodejs.org), and there is none here"
    done = subprocess.run(["npm", "ci"], cwd=SITE, capture_output=True, text=True)
    return "" if done.returncode == 0 else f"npm failed ({' '.join(done.stderr.split())[:300]})"


def write_parts(folder: Path) -> None:
    """Write runtime, network and examples into `folder`, unless newer ones are there already."""
    code = (Path(module.__file__) for module in (models, onnx_graph, embedded))
    pictures = embedded.creatures_folder().parent.rglob("*.*")
    sources = [Path(__file__), SITE / "package-lock.json", *code, *pictures]
    newest = max(source.stat().st_mtime for source in sources)
    dist = RUNTIME / "dist"
    made: dict[str, Callable[[], str]] = {
        "runtime": lambda: runtime(dist),
        "network": lambda: part("network", packed(rounded(body()))),
        "examples": lambda: part("examples", json.dumps(examples())),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, make in made.items():
        script = folder / f"{name}.js"
        if not script.exists() or script.stat().st_mtime < newest:  # an export takes a while
            part_of_it = script.with_suffix(".part")
            part_of_it.write_text(make(), "utf-8")
            part_of_it.replace(script)


def part(name: str, value: str) -> str:
    """A script that puts a value, written as JSON, where the page looks for it."""
    return f"(globalThis.trainParts ??= {{}}).{name} = {value};\n"


def packed(contents: bytes) -> str:
    """Bytes as JSON text: gzip, in base64."""
    return json.dumps(base64.b64encode(gzip.compress(contents, mtime=0)).decode())


def runtime(dist: Path) -> str:
    """onnxruntime-web: its script as it is, its licence, and what the script would fetch."""
    licence = Path(onnxruntime.__file__).with_name("LICENSE").read_text("utf-8")  # the same one
    script = (dist / "ort.wasm.min.js").read_text("utf-8").split("//# sourceMappingURL")[0]
    glue = (dist / "ort-wasm-simd-threaded.mjs").read_bytes()
    wasm = (dist / "ort-wasm-simd-threaded.wasm").read_bytes()
    parts = part("glue", packed(glue)) + part("wasm", packed(wasm))
    return f"/*\n{licence}*/\n{script}\n{parts}"


# --- The network --------------------------------------------------------------------------------


def body() -> onnx.ModelProto:
    """The frozen body of lessonkit's network, "images" to activations."""
    groups = models.pretrained(OWN, 2)
    return onnx_graph.trace(groups[:-1].eval(), SIZE, "activations")


def rounded(model: onnx.ModelProto) -> bytes:
    """The same network, its weights rounded to 18 of their 24 bits: zeros take no room in gzip.

    Probabilities stay within 4e-4; in float16, which would halve the file, they change by 2e-2.
    """
    for weights in model.graph.initializer:
        if weights.data_type == TensorProto.FLOAT and weights.dims:
            bits = numpy_helper.to_array(weights).view(np.uint32)
            bits = (bits + np.uint32(1 << (SPARED - 1))) >> SPARED << SPARED
            weights.CopyFrom(numpy_helper.from_array(bits.view(np.float32), weights.name))
    onnx.checker.check_model(model)
    return model.SerializeToString()


# --- Examples -----------------------------------------------------------------------------------


def examples() -> list[dict]:
    """Pictures for the first click: {classes: [{name, pictures}], fresh: pictures}."""
    return [creatures(), earth()]


def creatures() -> dict:
    """Mammals and birds, as the files are; every one names who made it."""
    folder = embedded.creatures_folder()
    with (folder / "CREDITS.csv").open(encoding="utf-8", newline="") as file:
        credits = {row["file"]: row for row in csv.DictReader(file)}

    def picture(file: Path) -> dict:
        row = credits[file.relative_to(folder).as_posix()]
        credit = f"{row['title']} ({row['author']}, {row['licence']})"
        return {"name": file.name, "credit": credit, "jpeg": text_of(file.read_bytes())}

    classes = {
        name: [picture(file) for file in sorted((folder / name).glob("*.jpg"))]
        for name in ("bird", "mammal")
    }
    return example(classes)


def earth() -> dict:
    """The Earth from above, four climates."""
    tiles = embedded.earth_tiles()
    credit = "NASA, Blue Marble, public domain"

    def picture(row: int) -> dict:
        file = io.BytesIO()
        Image.fromarray(tiles.images[row]).save(file, "JPEG", quality=92)
        return {"name": f"tile {row}", "credit": credit, "jpeg": text_of(file.getvalue())}

    classes = {}
    for name in CLIMATES:
        rows = np.flatnonzero((tiles.labels == tiles.classes.index(name)) & ~tiles.valid)
        classes[name] = [picture(row) for row in rows]
    return example(classes)


def example(classes: dict[str, list[dict]]) -> dict:
    """A few pictures of each class, spread over all that there are, and a few that stay unseen."""
    chosen, fresh = [], []
    for name, pictures in classes.items():
        places = np.linspace(0, len(pictures) - 1, A_CLASS + NEW).round().astype(int)
        spread = [pictures[place] for place in places]
        unseen = spread[:: len(spread) // NEW][:NEW]
        chosen.append({"name": name, "pictures": [one for one in spread if one not in unseen]})
        fresh += unseen
    return {"classes": chosen, "fresh": fresh}


def text_of(contents: bytes) -> str:
    """Bytes in base64."""
    return base64.b64encode(contents).decode()


if __name__ == "__main__":
    main()
