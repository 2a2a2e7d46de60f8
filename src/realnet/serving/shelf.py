"""Many inspectors behind one server: each is loaded when it is asked for, and those that nobody asked for make room."""

import threading
from collections import OrderedDict, deque
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from realnet.errors import UserError, listed
from realnet.inspection.loading import Sharing, load
from realnet.run_folder import Run
from realnet.serving.models import NAME, RECENT, ServedModel


class Shelf(Mapping[str, ServedModel]):
    """Inspectors by name, of which as many are in memory as there is room for.

    What they have in common, the backbone, is there once. Of one that made way only the latest scores are kept, for
    drift. Any thread may ask; an inspector that is asked for while another is loaded waits for it.

    Args:
        folders: of runs and exports, by name.
        room: bytes that the inspectors may take; the one that was asked for last stays, whatever it takes.
        device: as for :func:`realnet.load`.
        minimum_area: of a defect, in pixels of the image, unless a request says otherwise.
    """

    def __init__(self, folders: Mapping[str, Path], room: int, device: str = "cpu", minimum_area: int = 0) -> None:
        self._folders, self._room, self._device, self._minimum_area = dict(folders), room, device, minimum_area
        self._there: OrderedDict[str, ServedModel] = OrderedDict()
        self._recent: dict[str, deque[float]] = {}
        self._sharing = Sharing()
        self._lock = threading.Lock()

    def __iter__(self) -> Iterator[str]:
        return iter(self._folders)

    def __len__(self) -> int:
        return len(self._folders)

    def __contains__(self, name: object) -> bool:
        return name in self._folders

    def __getitem__(self, name: str) -> ServedModel:
        """The inspector, loaded where memory lacks it; KeyError for no such name, UserError for a folder gone bad."""
        folder = self._folders[name]
        with self._lock:
            if name not in self._there:
                self._there[name] = self._load(name, folder)
                held = sum(model.judge.bytes_held for model in self._there.values())
                while len(self._there) > 1 and held > self._room:
                    held -= self._there.popitem(last=False)[1].judge.bytes_held
            self._there.move_to_end(name)
            return self._there[name]

    def is_loaded(self, name: str) -> bool:
        """Whether an inspector is in memory."""
        return name in self._there

    def loaded(self) -> dict[str, ServedModel]:
        """Those that are in memory, by name; the one that was asked for last comes last."""
        with self._lock:
            return dict(self._there)

    def _load(self, name: str, folder: Path) -> ServedModel:
        judge = load(folder, self._device, self._sharing).judge_by(None, self._minimum_area)
        recent = self._recent.setdefault(name, deque(maxlen=RECENT))
        return ServedModel(name, folder, judge, recent, self._device)


def loaded_of(models: Mapping[str, ServedModel]) -> Mapping[str, ServedModel]:
    """Those of ``models`` that are in memory: all, unless they are on a shelf."""
    return models.loaded() if isinstance(models, Shelf) else models


def open_shelf(place: Path, room: int, device: str = "cpu", minimum_area: int = 0) -> tuple[Shelf, list[str]]:
    """The runs and exports in the folder ``place``, called by their folders' names, and what of it is none, in words.

    One is loaded, so that a server that cannot load any says so, by a UserError, at once.
    """
    folders, left_out = {}, []
    for folder in sorted(path for path in place.iterdir() if path.is_dir()) if place.is_dir() else []:
        run, usable = Run(folder), False
        with suppress(UserError):
            usable = run.is_export or run.is_finished
        if usable and NAME.fullmatch(folder.name):
            folders[folder.name] = folder
        else:
            left_out.append(folder.name)
    if not folders:
        raise UserError(f"{place} holds no finished run and no export: give the folder that the runs are in.")
    shelf = Shelf(folders, room, device, minimum_area)
    shelf[next(iter(folders))]
    return shelf, [f"Not served, as they are no finished runs: {listed(left_out, 3)}."] if left_out else []
