"""What a line has judged, in one file: results, people's verdicts on them, and pictures, for search and review."""

from realnet.history.feedback import Confirmed, read_confirmed
from realnet.history.originals import Labelled, labelled_images
from realnet.history.retention import Retention, remove_old
from realnet.history.searching import Entry, Query, find, review, search, trend
from realnet.history.store import Store, open_history

__all__ = [
    "Confirmed",
    "Entry",
    "Labelled",
    "Query",
    "Retention",
    "Store",
    "find",
    "labelled_images",
    "open_history",
    "read_confirmed",
    "remove_old",
    "review",
    "search",
    "trend",
]
