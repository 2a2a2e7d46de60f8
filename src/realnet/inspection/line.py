"""Several cameras at once, by name, each with an inspector of its own."""

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import Field, StringConstraints, ValidationError

from realnet.config import Node
from realnet.errors import UserError
from realnet.files import name_pattern
from realnet.inspection.judging import Judge
from realnet.inspection.result_folder import InspectionRequest, inspect_items
from realnet.inspection.rows import Row
from realnet.inspection.sources import Sources
from realnet.inspection.summary_page import Summary
from realnet.overriding import first_problem

_POLL_SECONDS = 0.2
# Of an inspector or a camera.
LONGEST_NAME = 64
Name = Annotated[str, StringConstraints(pattern=name_pattern(LONGEST_NAME))]


class CameraSettings(Node):
    """One camera in the file of a line.

    Attributes:
        source: ``camera:N``, ``camera:URL``, or a folder in which images appear.
        run: folder of the run or export that judges its images.
        every: seconds between pictures of a camera; None: 1.
    """

    source: str
    run: Path
    every: float | None = Field(default=None, ge=0)


class LineSettings(Node):
    """The file of a line: cameras by name, which letters, digits, ``-``, ``_`` and ``.`` make up."""

    cameras: dict[Name, CameraSettings] = Field(min_length=1)


def read_line(path: Path) -> dict[str, CameraSettings]:
    """The cameras of a line by name, from a YAML file whose folders are relative to here; UserError for another."""
    try:
        return LineSettings.model_validate(yaml.safe_load(path.read_text(encoding="utf-8"))).cameras
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): give a YAML file that names cameras.") from error
    except (ValidationError, yaml.YAMLError, ValueError, RecursionError) as error:
        problem = f"names no cameras ({first_problem(error)})"
        raise UserError(f"{path} {problem}: write `cameras:` and for each name `source:` and `run:`.") from error


@dataclass(frozen=True)
class Station:
    """A camera by its name, with all that is made of its images; several stations may share one judge."""

    name: str
    judge: Judge
    sources: Sources
    output: Path
    request: InspectionRequest


def inspect_line(
    stations: list[Station], stop: threading.Event, told: Callable[[str, Row], None] = lambda name, row: None
) -> Mapping[str, Summary]:
    """Judge the images of all stations at once, each as :func:`inspect_items` does, until ``stop`` is set.

    Where one cannot go on, as on a full disk, all end: a line that is half inspected looks inspected. ``told`` hears of
    each new row, one at a time. Returns what was found by the station's name; UserError, the first of a station's.
    """
    lock = threading.Lock()
    # One each, as reading ends by setting its own, also where a station has come to its limit.
    ends = [threading.Event() for _ in stations]

    def work(station: Station, end: threading.Event) -> Summary:
        def tell(row: Row) -> None:
            with lock:
                told(station.name, row)

        try:
            return inspect_items(station.judge, station.sources.items, station.output, station.request, tell, end)
        except UserError as error:
            raise UserError(f"{station.name}: {error}") from error

    with ThreadPoolExecutor(len(stations), thread_name_prefix="station") as pool:
        futures = [pool.submit(work, station, end) for station, end in zip(stations, ends, strict=True)]
        try:
            while not all(future.done() for future in futures):
                wait(futures, timeout=_POLL_SECONDS, return_when=FIRST_EXCEPTION)
                if stop.is_set() or any(future.done() and future.exception() is not None for future in futures):
                    break
        finally:
            for end, future in zip(ends, futures, strict=True):
                if stop.is_set() or not future.done():
                    end.set()
    return {station.name: future.result() for station, future in zip(stations, futures, strict=True)}
