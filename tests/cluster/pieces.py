"""Work for machines that need not load anything for it."""

import time

from realnet.errors import UserError


def slow_square(piece: int, seconds: float) -> int:
    time.sleep(seconds)
    return piece**2


def refuse(piece: int, kind: str) -> int:
    if piece == 3:
        raise UserError(f"{kind} {piece} is no good.")
    if piece == 5:
        raise ValueError("broken")
    return piece
