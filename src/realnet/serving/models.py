"""The inspectors of a server, by name."""

import logging
import re
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from realnet.calibration import CALIBRATION_FILE, Drift, drift, read_calibration
from realnet.errors import UserError
from realnet.files import name_pattern, plain_name
from realnet.inspection.items import version_of
from realnet.inspection.judging import Judge
from realnet.inspection.line import LONGEST_NAME
from realnet.limits import Limits, read_limits

NAME = re.compile(name_pattern(LONGEST_NAME))
NAME_RULE = (
    "{name} is no name for an inspector: take letters, digits, '-', '_' and '.', "
    f"{LONGEST_NAME} at most, and begin with a letter or digit."
)
RECENT = 200
_log = logging.getLogger("realnet.serving")


@dataclass
class ServedModel:
    """An inspector, where it came from, and its latest scores, which drift is seen by.

    Attributes:
        name: what requests call it.
        folder: the run or export.
        judge: the inspector.
        recent: scores of the latest images.
        device: where the inspector is; one that was taught is loaded there, too.
    """

    name: str
    folder: Path
    judge: Judge
    recent: deque[float] = field(default_factory=lambda: deque(maxlen=RECENT))
    device: str = "cpu"
    _seen: tuple[int, int] | None = None
    _loading: threading.Thread | None = None

    def __post_init__(self) -> None:
        self._seen = version_of(self.folder / CALIBRATION_FILE)

    def refresh(self) -> None:
        """Take up the calibration in the folder, where it is another than the one in force.

        Where the run was taught, the inspector is loaded anew, which takes seconds: images are judged by the one before
        until the other is there. What is damaged or missing is left alone, and the log says so once.
        """
        seen = version_of(self.folder / CALIBRATION_FILE)
        if seen == self._seen or (self._loading is not None and self._loading.is_alive()):
            return
        self._seen = seen
        try:
            found = read_calibration(self.folder)
        except UserError as error:
            _log.warning("calibration not taken up: %s", error, extra={"facts": {"model": self.name}})
            return
        now = self.judge.calibration
        if found is None or found == now:
            return
        if found.taught != (now.taught if now else None):
            self._loading = threading.Thread(target=self._load_again, name="taught", daemon=True)
            self._loading.start()
            return
        before = self.judge.threshold
        self.judge.follow(found)
        self._taken_up(before)

    def settle(self) -> None:
        """Take up what changed in the folder, and wait until it judges."""
        self.refresh()
        if self._loading is not None:
            self._loading.join()

    def _load_again(self) -> None:
        from realnet.inspection.loading import load

        try:
            judge = load(self.folder, self.device).judge_by(None, self.judge.minimum_area)
        except UserError as error:
            _log.warning("what was taught not taken up: %s", error, extra={"facts": {"model": self.name}})
            return
        before, self.judge = self.judge.threshold, judge
        self._taken_up(before)

    def _taken_up(self, before: float) -> None:
        self.recent.clear()
        now = {"calibration": self.judge.origin.calibration, "threshold": self.judge.threshold}
        facts = {"model": self.name, **now, "before": before}
        _log.warning("calibration taken up", extra={"facts": facts})

    def limits(self) -> Limits | None:
        """What was measured of how small and how faint a defect it finds, at the threshold in force."""
        try:
            return read_limits(self.folder, self.judge.origin.model_digest, self.judge.threshold)
        except UserError as error:
            _log.warning("limits not shown: %s", error, extra={"facts": {"model": self.name}})
            return None

    def drift(self) -> Drift | None:
        """How far the latest scores are from the calibrated ones; None without a calibration or scores."""
        scores = list(self.recent)
        if self.judge.calibration is None or not scores:
            return None
        return drift(self.judge.calibration.good_scores, scores)


def open_models(places: Sequence[str], device: str = "cpu", minimum_area: int = 0) -> dict[str, ServedModel]:
    """Load runs and exports: folders, or ``NAME=FOLDER``; a folder alone is called by its own name.

    ``device`` is as for :func:`realnet.load`, ``minimum_area`` in pixels, unless a request says otherwise. UserError
    for a folder that is no inspector, a name that is not plain, and two of one name.
    """
    from realnet.inspection.loading import Sharing, load

    sharing = Sharing()
    models: dict[str, ServedModel] = {}
    for place in places:
        name, folder = _named(place)
        if name in models:
            raise UserError(
                f"Two inspectors are called {name!r} ({models[name].folder} and {folder}): "
                f"name one of them, as in other={folder}."
            )
        judge = load(folder, device, sharing).judge_by(None, minimum_area)
        models[name] = ServedModel(name, folder, judge, device=device)
    return models


def _named(place: str) -> tuple[str, Path]:
    if Path(place).is_dir() or "=" not in place:
        folder = Path(place)
        return plain_name(folder.resolve().name, "inspector", LONGEST_NAME), folder
    name, _, folder_name = place.partition("=")
    if not NAME.fullmatch(name):
        raise UserError(NAME_RULE.format(name=repr(name)))
    return name, Path(folder_name)
