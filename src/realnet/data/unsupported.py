"""Pictures that are not read here, by what they begin with: an honest sentence says what they are."""

import struct

_BRANDS = {
    "HEIC": (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1", b"miaf"),
    "AVIF": (b"avif", b"avis"),
    "a camera's raw picture (CR3)": (b"crx ",),
}
_SIGNATURES = (
    (b"\xff\x0a", "JPEG XL"),
    (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
    (b"II\xbc", "JPEG XR"),
    (b"8BPS", "a Photoshop document"),
    (b"gimp xcf", "a GIMP document"),
    (b"\x76\x2f\x31\x01", "OpenEXR"),
    (b"#?RADIANCE", "Radiance HDR"),
    (b"#?RGBE", "Radiance HDR"),
    (b"SIMPLE  =", "FITS"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"\x89HDF", "HDF5"),
    (b"qoif", "QOI"),
    (b"FUJIFILMCCD-RAW", "a camera's raw picture (RAF)"),
    (b"SDPX", "DPX"),
    (b"XPDS", "DPX"),
    (b"\0\0\x01\0", "an icon"),
    (b"%PDF", "PDF"),
    (b"%!PS", "PostScript"),
    (b"\xc5\xd0\xd3\xc6", "PostScript"),
    (b"\xd7\xcd\xc6\x9a", "a Windows metafile"),
    (b"Pf", "a float map (PFM)"),
    (b"PF", "a float map (PFM)"),
    (b"P7", "PAM"),
)
# Start-of-frame markers of JPEG: every one but those that mean other things.
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_USUAL_FRAMES = (0xC0, 0xC1, 0xC2)


def foreign_format(data: bytes) -> str | None:
    """What ``data``, the contents of a file or its first kilobytes, is a picture of, in words; None: nobody knows."""
    if data[4:8] == b"ftyp":
        return _by_brand(data)
    if data[:2] == b"\xff\xd8":
        return _unusual_jpeg(data)
    if data[128:132] == b"DICM":
        return "DICOM"
    start = data[:512].lstrip().lower()
    if start.startswith(b"<svg") or (start.startswith(b"<?xml") and b"<svg" in start):
        return "SVG"
    return next((name for signature, name in _SIGNATURES if data.startswith(signature)), None)


def is_heic(data: bytes) -> bool:
    """Whether ``data`` begins as a HEIC picture does."""
    return data[4:8] == b"ftyp" and _by_brand(data) == "HEIC"


def _by_brand(data: bytes) -> str | None:
    length = max(16, min(struct.unpack(">I", data[:4])[0], 256))
    brands = [data[8:12], *(data[at : at + 4] for at in range(16, length, 4))]
    found = [name for brand in brands for name, known in _BRANDS.items() if brand in known]
    # AVIF names mif1 among its brands, too.
    return "AVIF" if "AVIF" in found else next(iter(found), None)


def _unusual_jpeg(data: bytes) -> str | None:
    """A JPEG of 12 bits, or one that is lossless or coded arithmetically."""
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:
            at += 1
        elif marker in _FRAMES:
            bits = data[at + 4]
            if bits != 8:
                return f"a JPEG of {bits} bits"
            return None if marker in _USUAL_FRAMES else "a lossless or arithmetically coded JPEG"
        else:
            at += 2 + struct.unpack(">H", data[at + 2 : at + 4])[0]
    return None
