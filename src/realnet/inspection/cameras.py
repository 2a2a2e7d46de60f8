"""Pictures of cameras and films, by OpenCV."""

import datetime
import os
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import cv2
import numpy as np

from realnet.data.tiff import quiet_opencv
from realnet.errors import UserError
from realnet.inspection.items import Item, frame_item, version_of
from realnet.progress import Notify

PREFIX = "camera:"
_RETRY_SECONDS = 1.0
# How long pictures are thrown away after a pause: those that the driver had kept are old.
_DRAIN_SECONDS = 0.2


def check_film(path: Path) -> None:
    """Raise UserError where ``path`` is no film that OpenCV reads."""
    film = _open(str(path))
    readable = film.isOpened() and film.grab()
    film.release()
    if not readable:
        raise UserError(f"{path} is no video that OpenCV can read; convert it to MP4 or AVI.")


def film_items(path: Path, every: float) -> Iterator[Item]:
    """The first frame at or after each multiple of ``every`` seconds of the film; 0: every frame."""
    film, version = _open(str(path)), version_of(path)
    rate = film.get(cv2.CAP_PROP_FPS)
    number, due = 0, 0
    try:
        while film.grab():
            # Counted frames are the same on every machine; a film without a rate has its own clock.
            at = number / rate if rate > 0 else film.get(cv2.CAP_PROP_POS_MSEC) / 1000
            number += 1
            if at < due * every - 1e-6:
                continue
            due = int(at / every + 1e-6) + 1 if every > 0 else 0
            taken, frame = film.retrieve()
            if taken:
                stem = f"{path.stem}-{round(at * 1000):09d}ms"
                yield frame_item(f"{path}@{at:.3f}s", stem, path.parent, version, _rgb(frame), live=False)
    finally:
        film.release()


def camera_items(address: str, every: float, say: Notify, stop: threading.Event) -> Iterator[Item]:
    """A picture of ``address``, a number or URL, every ``every`` seconds, until ``stop`` is set.

    A camera that is away is waited for; ``say`` is told so once, and when it is back.
    """
    name = camera_name(address)
    away, last = False, 0
    while not stop.is_set():
        camera = _open(int(address) if address.isdigit() else address)
        try:
            for frame in _frames(camera, every, stop):
                if away:
                    say(f"{name} is back.")
                away = False
                last = max(last + 1, time.time_ns() // 1_000_000)
                moment = datetime.datetime.fromtimestamp(last // 1000, datetime.UTC)
                named = f"{name}-{moment:%Y%m%dT%H%M%S}.{last % 1000:03d}Z"
                yield frame_item(named, named, Path(), (-1, last), _rgb(frame), live=True)
        finally:
            camera.release()
        if not away and not stop.is_set():
            say(f"{name} gives no picture; it is tried again every second.")
            away = True
        stop.wait(_RETRY_SECONDS)


def camera_name(address: str) -> str:
    """``camera-0``, or ``camera-HOST`` of a URL: without the password that may be in it."""
    host = address if address.isdigit() else urlsplit(address).hostname or "url"
    return "camera-" + re.sub(r"[^\w.-]", "_", host)


def _frames(camera: Any, every: float, stop: threading.Event) -> Iterator[np.ndarray]:
    camera.set(cv2.CAP_PROP_BUFFERSIZE, 1)
    due = time.monotonic()
    while camera.grab():
        if stop.is_set():
            return
        if time.monotonic() < due:
            continue
        taken, frame = camera.retrieve()
        if not taken:
            return
        start = time.monotonic()
        yield frame
        due, now = start + every, time.monotonic()
        if now - start > _DRAIN_SECONDS:
            due = max(due, now + _DRAIN_SECONDS)


def _open(address: str | int) -> Any:
    """Quietly: what OpenCV prints of absent devices would be printed every second."""
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    with quiet_opencv():
        return cv2.VideoCapture(address)


def _rgb(frame: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(frame, cv2.COLOR_GRAY2RGB if frame.ndim == 2 else cv2.COLOR_BGR2RGB)
