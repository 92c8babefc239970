"""Serve an exported classifier over HTTP, on this machine only.

python examples/serve.py model.onnx 8000
curl --data-binary @photo.jpg http://127.0.0.1:8000

It needs onnxruntime, numpy and Pillow, neither PyTorch nor lessonkit.
"""

import io
import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image, ImageOps

MAX_BYTES, MAX_PIXELS = 20_000_000, 100_000_000
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
ORIENTATION = 274  # the EXIF tag
TURNS = {2: 0, 3: 3, 4: 1, 5: 5, 6: 4, 7: 6, 8: 2}  # its values as Image.Transpose
NO_PICTURE = f"Send a picture ({', '.join(FORMATS)}) of up to 20 MB and 8 px a side or more."

if len(sys.argv) != 3 or not Path(sys.argv[1]).is_file() or not sys.argv[2].isdecimal():
    sys.exit(__doc__)
if int(sys.argv[2]) > 65535:
    sys.exit(f"{sys.argv[2]} is no port: take a number up to 65535, such as 8000.")
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1  # each request has a thread of its own already
try:
    session = onnxruntime.InferenceSession(sys.argv[1], options, ["CPUExecutionProvider"])
    about = session.get_modelmeta().custom_metadata_map
    classes, size = json.loads(about["classes"]), int(about["size"])
except Exception as error:  # onnxruntime has a class of its own for each kind of fault
    reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
    sys.exit(f"{sys.argv[1]} is no classifier that lessonkit has exported ({reason:.200}).")


def square(data: bytes) -> np.ndarray:
    """The picture's middle as uint8 [1, 3, size, size], pixel for pixel as lessonkit decodes it.

    Greys of 16 bits, TIFFs with a fourth band and PNGs with a damaged description, which lessonkit
    takes too, are refused here.
    """
    image = Image.open(io.BytesIO(data), formats=FORMATS)
    if min(image.size) < 8 or image.width * image.height > MAX_PIXELS or image.mode[0] in "IF":
        raise ValueError("a picture that isn't taken")
    if image.format == "TIFF" and len(image.getbands()) > 3:
        raise ValueError("a fourth band that may be anything")
    image.draft("RGB", (size, size))  # a JPEG decodes faster straight to a smaller size
    image.load()  # some formats tell only at their end how they are to be turned
    try:
        turn = TURNS.get(image.getexif().get(ORIENTATION))  # upright, as the camera was held
    except Exception:  # in the pixels there is nothing wrong
        turn = None
    if image.getbands()[-1] == "A" and image.getchannel("A").getextrema() == (0, 0):
        image = image.convert("RGB")  # some programs write so what is opaque
    image = ImageOps.fit(image.convert("RGBA"), (size, size), Image.Resampling.BICUBIC)
    image = image if turn is None else image.transpose(turn)
    image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return np.asarray(image.convert("RGB")).transpose(2, 0, 1)[None]


class Handler(BaseHTTPRequestHandler):
    """Answers a POST of a picture file with its class and the probability of each."""

    timeout = 10  # s, for a client that never sends what it has announced

    def do_POST(self) -> None:
        """Status 200 and the answer as JSON, or 400 and a sentence."""
        try:
            length = int(self.headers["Content-Length"])
            images = square(self.rfile.read(length if 0 < length <= MAX_BYTES else 0))
        except Exception:  # damaged pictures fail in many ways
            return self.answer(400, {"error": NO_PICTURE})
        row = session.run(["probabilities"], {"images": images})[0][0].tolist()
        probabilities = dict(zip(classes, row, strict=True))
        best = max(classes, key=probabilities.get)
        return self.answer(200, {"class": best, "probabilities": probabilities})

    def answer(self, status: int, content: dict) -> None:
        """Send `content` as JSON."""
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    sys.stdout.reconfigure(errors="backslashreplace")  # classes that the terminal can't show
    try:
        server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[2])), Handler)
    except OSError as error:
        sys.exit(f"Port {sys.argv[2]} can't be used ({error.strerror}): take another one.")
    with server:
        print(f"Serving {', '.join(classes)} at http://127.0.0.1:{server.server_port}", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print("Stopped.")
