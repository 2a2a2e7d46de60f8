"""A results store as an inspection's recorder."""

import logging
from collections.abc import Iterable

import numpy as np

from realnet.history.pictures import Picture, make_picture
from realnet.history.retention import Retention, remove_old
from realnet.history.store import Store
from realnet.inspection.rows import Row

# How many rows between two looks at what is to be removed.
RETENTION_EVERY = 500
_log = logging.getLogger("realnet.history")


class Recording:
    """Puts the rows of one inspector, with images of ``source``, into a store, and lets go of old ones."""

    def __init__(self, store: Store, model: str, source: str, retention: Retention) -> None:
        self.store, self._model, self._source, self._retention = store, model, source, retention
        self._rows = 0

    def add(self, row: Row, pixels: np.ndarray | None) -> None:
        """Add a row, and a picture of the image ``pixels``, uint8 ``[h, w, 3]``; UserError if it cannot be written."""
        self.put(row, None if pixels is None else make_picture(pixels, self.store.keep))

    def put(self, row: Row, picture: Picture | None) -> None:
        """Add a row with the picture that was made of its image; UserError where it cannot be written."""
        self.store.add(row, self._model, self._source, picture)
        if self._rows % RETENTION_EVERY == 0 and (removed := remove_old(self.store, self._retention)):
            _log.info("removal", extra={"facts": {"results": removed, "store": str(self.store.path)}})
        self._rows += 1

    def catch_up(self, rows: Iterable[Row]) -> None:
        """Add what only an inspection's journal has."""
        self.store.catch_up(rows, self._model, self._source)
