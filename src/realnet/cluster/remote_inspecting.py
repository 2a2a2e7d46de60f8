"""Inspection of any number of files on a cluster: Ray Data, paths of fsspec, a Parquet file for each part."""

import itertools
import json
import math
import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from realnet.acceleration import allow_tf32
from realnet.cluster.connection import Cluster, translated
from realnet.cluster.packing import Packed, pack, unpack
from realnet.cluster.urls import exists, find_images, join, names_in, read_bytes, write_whole
from realnet.data import decode_image
from realnet.data.finding import LeftOut
from realnet.data.summary import describe_not_used
from realnet.errors import UserError
from realnet.inspection.journal import Settings
from realnet.inspection.judging import Judge
from realnet.inspection.loading import load
from realnet.inspection.rows import Row
from realnet.inspection.summary_page import Summary
from realnet.inspection.tables import from_parquet, names_to_parquet, to_parquet
from realnet.progress import Watcher
from realnet.run_folder import Run
from realnet.view import Looked

_FORMAT = "realnet inspect on a cluster 1"
SETTINGS_FILE, LIST_FILE, PARTS = "inspection.json", "files.parquet", "parts"
# Files of a part: minutes of work, so that little is lost with a machine; more where the list is very long.
_PART, _MOST_PARTS = 256, 20_000
_BATCH, _READERS = 8, 8


def inspect_on(
    cluster: Cluster, run: Path, images: Sequence[str], output: str, threshold: float | None, minimum_area: int,
    resume: bool, watcher: Watcher,
) -> Summary:  # fmt: skip
    """Judge files on ``cluster`` and write ``output/parts/part-NNNNNN.parquet``, with a row for each in their order.

    Which file belongs to which part is settled by ``output/files.parquet`` before anything is judged. A part appears
    whole under its own name, and a machine that takes over a lost one's part writes the same but for ids and times:
    every file is in the results exactly once. Parts that are there are not made again. UserError where ``output`` holds
    other results or cannot be written.

    Args:
        run: folder of the run or export; is sent to the machines.
        images: files, folders and patterns of paths or URLs; looked through unless an earlier call's list is taken up.
        output: folder, a path or URL that all machines can write.
        threshold: of the image score; None: the run's.
        minimum_area: of a defect, in pixels of the image.
        resume: go on with an earlier call's list.
        watcher: told how many files of how many are done.
    """
    opened = Run(run)
    opened.check_usable()
    packed, (usual, pixel) = pack(cluster.ray, run), opened.thresholds
    level = usual if threshold is None else threshold
    settings = Settings(opened.digest, level, pixel, minimum_area, False, False)
    left_out: list[LeftOut] = []
    listed = _begin(output, settings, partial(find_images, images, left_out), resume)
    size = max(_PART, math.ceil(len(listed) / _MOST_PARTS))
    parts = [listed[start : start + size] for start in range(0, len(listed), size)]
    there = set(range(len(parts))) & _there(output)
    summary = Summary(level, opened.calibration)
    for number in sorted(there):
        _count(summary, *from_parquet(read_bytes(_place(output, number)), ("verdict", "score")))
    summary.earlier = summary.images
    watcher.stage("Inspecting", summary.images, len(listed))
    shared = {"packed": packed, "output": output, "threshold": level, "minimum_area": minimum_area}
    missing = [{"part": n, "files": json.dumps(files)} for n, files in enumerate(parts) if n not in there]
    for found in _made(cluster, missing, {**shared, "device": cluster.share.device}):
        _count(summary, *found)
        watcher.stage("Inspecting", summary.images, len(listed))
    summary.notes = describe_not_used(left_out)
    return summary


def _begin(output: str, settings: Settings, files: Callable[[], Sequence[str]], resume: bool) -> list[str]:
    """The list of files, settled: an earlier call's, or a new one that is written before anything else."""
    header = {"format": _FORMAT, **vars(settings)}
    place = join(output, SETTINGS_FILE)
    if exists(place):
        if not resume:
            raise UserError(f"{output} holds an inspection: go on with it by --resume, or choose another --output.")
        try:
            begun = json.loads(read_bytes(place))
        except ValueError as error:
            raise UserError(f"{place} is damaged: choose another --output.") from error
        if begun != header:
            raise UserError(
                f"{output} was begun with another model, threshold or smallest defect: continue it with those, or "
                "choose another --output."
            )
        (listed,) = from_parquet(read_bytes(join(output, LIST_FILE)), ("image",))
        return listed
    found = list(files())
    # The settings come last: where they are, the list is whole.
    write_whole(join(output, LIST_FILE), names_to_parquet(found))
    write_whole(place, json.dumps(header, indent=2).encode())
    return found


def _there(output: str) -> set[int]:
    matches = (re.fullmatch(r"part-(\d+)\.parquet", name) for name in names_in(join(output, PARTS)))
    return {int(match[1]) for match in matches if match}


def _place(output: str, number: int) -> str:
    return join(output, PARTS, f"part-{number:06d}.parquet")


def _count(summary: Summary, verdicts: list[str], scores: list[float | None]) -> None:
    known = [score for score in scores if score is not None]
    summary.count(len(verdicts), verdicts.count("anomalous"), verdicts.count("unknown"), known)


def _made(
    cluster: Cluster, missing: list[dict[str, Any]], shared: dict[str, Any]
) -> Iterator[tuple[list[str], list[float | None]]]:
    """Verdicts and scores of each missing part, once it is there."""
    if not missing:
        return
    context = cluster.ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    data = cluster.ray.data.from_items(missing, override_num_blocks=len(missing))
    try:
        share = cluster.share  # what a lost machine did Ray Data does again of itself
        judged = data.map(_judge_part, fn_kwargs=shared, num_cpus=share.cpus, num_gpus=share.gpus)
        for row in judged.iter_rows():
            if row["error"]:
                raise UserError(row["error"])
            verdicts, scores = json.loads(row["found"])
            yield verdicts, scores
    except cluster.ray.exceptions.RayTaskError as error:
        raise translated(error) from None


def _judge_part(
    row: dict[str, Any], packed: Packed, output: str, threshold: float, minimum_area: int, device: str
) -> dict[str, str]:
    """On a machine: judge one part and write its rows; a sentence where that fails, as Ray Data keeps no cause."""
    try:
        judge = _loaded(packed, device).judge_by(threshold, minimum_area)
        rows = list(_judged(judge, json.loads(row["files"])))
        write_whole(_place(output, int(row["part"])), to_parquet(rows))
    except UserError as error:
        return {"found": "", "error": str(error)}
    found = [row.verdict for row in rows], [row.score for row in rows]
    return {"found": json.dumps(found), "error": ""}


def _judged(judge: Judge, files: Sequence[str]) -> Iterator[Row]:
    """The rows of ``files``; while a batch is judged the next ones are fetched and decoded."""
    with ThreadPoolExecutor(_READERS) as pool:
        ahead: list[Any] = []
        remaining = iter(files)
        while True:
            fresh = itertools.islice(remaining, 2 * _BATCH - len(ahead))
            ahead += [pool.submit(_look, judge, file) for file in fresh]
            if not ahead:
                return
            batch, ahead = [future.result() for future in ahead[:_BATCH]], ahead[_BATCH:]
            for (file, _), found in zip(batch, judge.inspect_each([looked for _, looked in batch]), strict=True):
                yield judge.row(file, found)


def _look(judge: Judge, file: str) -> tuple[str, Looked | UserError]:
    try:
        return file, judge.look(decode_image(read_bytes(file), file, levels=judge.levels), file)
    except UserError as error:
        return file, error


@lru_cache(maxsize=1)
def _loaded(packed: Packed, device: str) -> Judge:
    allow_tf32(device)
    return load(unpack(packed), device)
