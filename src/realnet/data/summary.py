"""What was made of a folder, in a few lines, said before anything starts."""

from collections import Counter, defaultdict
from collections.abc import Sequence

from realnet.data.finding import LeftOut
from realnet.data.samples import Category, Sample

_MOST = 8
_MOST_CATEGORIES = 12


def summarize(categories: Sequence[Category], evaluating: bool = False) -> list[str]:
    """A line of counts a category, and one of what is not used and why; never more than a screen.

    Args:
        evaluating: whether test images are judged, and nothing is trained.
    """
    lines = [_used(category, evaluating) for category in categories[:_MOST_CATEGORIES]]
    if len(categories) > _MOST_CATEGORIES:
        lines.append(f"And {len(categories) - _MOST_CATEGORIES} more categories.")
    spare = sum(len(category.spare) for category in categories)
    spared = [f"{spare} good images of a validation split (realnet calibrate takes them)"] if spare else []
    return [*lines, *describe_not_used([item for category in categories for item in category.left_out], spared)]


def _describe_left_out(left_out: Sequence[LeftOut]) -> list[str]:
    """A phrase a reason: where, how many, why."""
    reasons: dict[str, list[LeftOut]] = defaultdict(list)
    for item in left_out:
        reasons[item.reason].append(item)
    phrases = []
    for reason, items in reasons.items():
        count = sum(item.count for item in items)
        if not count:
            phrases.append(reason)
            continue
        places = ["the folder itself" if item.place in (".", "") else item.place for item in items]
        named = f"{places[0]} and {len(places) - 1} more places" if len(places) > 2 else " and ".join(places)
        phrases.append(f"{named} ({count}: {reason})")
    return phrases


def describe_not_used(left_out: Sequence[LeftOut], spared: Sequence[str] = ()) -> list[str]:
    """The line that says what is not used, phrases of what was ``spared`` first; none where all is used."""
    phrases = [*spared, *_describe_left_out(left_out)]
    if not phrases:
        return []
    more = f"; and {len(phrases) - _MOST} more reasons" if len(phrases) > _MOST else ""
    return [f"Not used: {'; '.join(phrases[:_MOST])}{more}."]


def _used(category: Category, evaluating: bool) -> str:
    train = f"training on {len(category.train)} images{_in(category.train)}"
    if not category.test:
        return f"{category.name}: {'' if evaluating else f'{train}; '}no test images."
    good = [sample for sample in category.test if not sample.is_anomalous]
    kinds = Counter(sample.defect for sample in category.test if sample.is_anomalous)
    listed = [f"{kind} ({count})" for kind, count in sorted(kinds.items())]
    more = f" and {len(listed) - _MOST} more kinds" if len(listed) > _MOST else ""
    masks = sum(sample.mask is not None for sample in category.test)
    defective = f"{sum(kinds.values())} defective: {', '.join(listed[:_MOST])}{more}" if kinds else "none defective"
    what = "judging" if evaluating else f"{train}; for the test only:"
    return f"{category.name}: {what} {len(good)} good, {defective}; {masks} with masks."


def _in(samples: Sequence[Sample]) -> str:
    """`` in good/``: the folders that hold them, where that is one."""
    folders = {sample.image.parents[sample.name.count("/")].name for sample in samples}
    return f" in {folders.pop()}/" if len(folders) == 1 else ""
