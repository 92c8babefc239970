"""Files as cameras, scanners and other programs write them, built byte by byte."""

import struct
import zlib

import numpy as np

PNG = b"\x89PNG\r\n\x1a\n"


def chunk(kind, body, damaged=False):
    """A chunk of a PNG; `damaged`: with a wrong checksum."""
    checksum = zlib.crc32(kind + body) ^ damaged
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", checksum)


def png(pixels, *side_chunks, depth=8):
    """A PNG of uint8 or uint16 pixels [H, W, bands], with `side_chunks` before its data."""
    _, width, bands = pixels.shape
    kind = ">u2" if depth == 16 else "u1"
    return png_of_rows(pixels.astype(kind), width, *side_chunks, depth=depth, bands=bands)


def png_of_rows(rows, width, *side_chunks, depth, bands=1):
    """A PNG of rows of bytes, in which several pixels may share one."""
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[bands]
    header = struct.pack(">IIBBBBB", width, len(rows), depth, kind, 0, 0, 0)
    rows = b"".join(b"\0" + row.tobytes() for row in rows)
    data = [chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")]
    return b"".join([PNG, chunk(b"IHDR", header), *side_chunks, *data])


def exif(*tags, order="<"):
    """An EXIF block of tags (number, type, count, four bytes or a whole number)."""
    start = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", 8)
    block = struct.pack(f"{order}H", len(tags))
    for number, kind, count, value in tags:
        if isinstance(value, int):
            value = struct.pack(
                f"{order}HH" if kind == 3 else f"{order}I", value, *[0] * (kind == 3)
            )
        block += struct.pack(f"{order}HHI", number, kind, count) + value
    return b"Exif\0\0" + start + block + bytes(4)


def tiff(pixels, bits=8, photometric=None, extra=None, sample_format=None, planar=False):
    """An uncompressed TIFF of whole numbers [H, W, bands]; `planar`: one band after the other."""
    height, width, bands = pixels.shape
    pixels = pixels.transpose(2, 0, 1) if planar else pixels
    n_strips = bands if planar else 1
    if bits in (8, 16, 32):
        kind = np.dtype(f"<i{bits // 8}" if sample_format == 2 else f"<u{bits // 8}")
        data = pixels.astype(kind).tobytes()
    else:  # packed, each row filled up to a whole byte
        ones = (pixels.reshape(height, -1, 1) >> np.arange(bits)[::-1]) & 1
        data = np.packbits(ones.reshape(height, -1).astype(np.uint8), axis=1).tobytes()
    tags = {
        256: [width], 257: [height], 258: [bits] * bands, 259: [1],
        262: [(2 if bands >= 3 else 1) if photometric is None else photometric],
        273: [0] * n_strips, 277: [bands], 278: [height], 279: [len(data) // n_strips] * n_strips,
        284: [1 + planar],
    }  # fmt: skip
    if extra is not None:
        tags[338] = extra
    if sample_format:
        tags[339] = [sample_format] * bands
    after = 8 + 2 + 12 * len(tags) + 4  # where values that don't fit into four bytes begin
    start = after + sum(2 * len(v) for v in tags.values() if len(v) > 2)
    tags[273] = [start + i * len(data) // n_strips for i in range(n_strips)]
    entries, beyond = b"", b""
    for number, values in sorted(tags.items()):
        packed = struct.pack(f"<{len(values)}H", *values) if len(values) > 1 else b""
        if len(packed) > 4:
            packed, beyond = struct.pack("<I", after + len(beyond)), beyond + packed
        if len(values) == 1:
            entries += struct.pack("<HHII", number, 4, 1, values[0])
        else:
            entries += struct.pack("<HHI", number, 3, len(values)) + packed.ljust(4, b"\0")
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4) + beyond + data


def bmp_with_alpha(pixels):
    """A BMP of 32 bits and a mask for alpha, of uint8 pixels [H, W, 4]: red, green, blue, alpha."""
    height, width, _ = pixels.shape
    data = pixels[::-1, :, [2, 1, 0, 3]].astype(np.uint8).tobytes()
    masks = struct.pack("<IIII", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    header = struct.pack("<IiiHHIIiiII", 108, width, height, 1, 32, 3, len(data), 0, 0, 0, 0)
    header += masks + b"BGRs" + bytes(48)
    start = 14 + len(header)
    return b"BM" + struct.pack("<IHHI", start + len(data), 0, 0, start) + header + data


def noisy_png(width, height, depth, colours, interlaced, share=1.0):
    """A PNG of any kind with noise for pixels, of whose rows only the first `share` was written."""
    bands = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colours]
    passes = [np.ones((height, width), bool)]
    if interlaced:  # as Adam7 is drawn in the PNG specification
        even, mixed = [7] * 8, [5, 6] * 4
        order = [[1, 6, 4, 6, 2, 6, 4, 6], even, mixed, even, [3, 6, 4, 6] * 2, even, mixed, even]
        tiled = np.tile(order, (-(-height // 8), -(-width // 8)))[:height, :width]
        passes = [tiled == number for number in range(1, 8)]
    noise, rows = np.random.default_rng(0), []
    for row in (row[row] for one in passes for row in one if row.any()):
        n_bytes = -(-len(row) * bands * depth // 8)
        rows.append(b"\0" + noise.integers(1, 256, n_bytes, np.uint8).tobytes())
    data = zlib.compress(b"".join(rows[: int(share * len(rows))]))
    header = struct.pack(">IIBBBBB", width, height, depth, colours, 0, 0, interlaced)
    palette = [chunk(b"PLTE", noise.bytes(3 * 2**depth))] if colours == 3 else []
    parts = [chunk(b"IDAT", data[i : i + 99]) for i in range(0, len(data), 99)]
    return b"".join([PNG, chunk(b"IHDR", header), *palette, *parts, chunk(b"IEND", b"")])
