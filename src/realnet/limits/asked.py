"""What a person wants to be found, such as ``scratch:2px``."""

import re
from collections.abc import Sequence

from realnet.errors import UserError
from realnet.limits.counted import title_of
from realnet.limits.drawn import KINDS, Wanted

DEPTH = 64
"""Grey levels, where none are named."""
_FORM = re.compile(r"(?P<kind>[a-z]+):(?P<size>\d+(?:\.\d+)?)\s*px(?:@(?P<depth>\d+))?")


def read_asked(texts: Sequence[str]) -> list[Wanted]:
    """What ``--find`` says: ``scratch:2px``, or with ``@32`` of 32 grey levels; several with commas; else UserError."""
    found = []
    for text in (part.strip() for parts in texts for part in parts.split(",")):
        match = _FORM.fullmatch(text)
        if match is None or match["kind"] not in KINDS:
            raise UserError(
                f"--find {text!r} is not understood: write scratch:2px, or scratch:2px@32 for a depth of 32 grey "
                f"levels; kinds are {', '.join(KINDS)}."
            )
        size, depth = float(match["size"]), int(match["depth"] or DEPTH)
        if not 1 <= size <= 4096 or not 1 <= depth <= 255:
            raise UserError(f"--find {text!r}: a size is 1 to 4096 pixels of the image, a depth 1 to 255 grey levels.")
        kind = next(one for one in KINDS if one == match["kind"])
        if kind == "missing" and match["depth"]:
            raise UserError(f"--find {text!r}: a missing part has no depth, write missing:{match['size']}px.")
        found.append(Wanted(kind, size, None if kind == "missing" else depth))
    return found


def named(wanted: Sequence[Wanted]) -> str:
    """In words."""
    return ", ".join(
        f"{title_of(one.kind)} of {one.size:g} px" + (f" and {one.depth} grey levels" if one.depth else "")
        for one in wanted
    )
