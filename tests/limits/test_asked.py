"""What a person asks to be found, and what is tried for it."""

import pytest

from realnet.errors import UserError
from realnet.limits.asked import named, read_asked
from realnet.limits.choosing import choices_for
from realnet.limits.drawn import Wanted


def test_kinds_sizes_and_depths_are_read() -> None:
    assert read_asked(["scratch:2px", "hole:3.5px@20, missing:40px"]) == [
        Wanted("scratch", 2, 64), Wanted("hole", 3.5, 20), Wanted("missing", 40, None),
    ]  # fmt: skip
    assert read_asked([]) == []
    assert (
        named(read_asked(["scratch:2px@32,missing:40px"]))
        == "scratch of 2 px and 32 grey levels, missing part of 40 px"
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("scratch", "write scratch:2px"),
        ("scratch:2", "write scratch:2px"),
        ("sia:4px", "kinds are scratch"),
        ("scratch:0.5px", "1 to 4096"),
        ("scratch:2px@300", "1 to 255"),
        ("missing:9px@3", "no depth"),
    ],
)
def test_what_is_not_understood_is_said(text: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        read_asked([text])


def test_the_cheapest_is_tried_first_and_nothing_that_averages_a_defect_away() -> None:
    found = choices_for(512, 512, 2)
    assert [one.cost for one in found] == sorted(one.cost for one in found)
    assert (found[0].image_size, found[0].tile, found[0].width) == (256, None, 1)
    assert any(one.tile == 256 and one.width == 2 for one in found)
    large = choices_for(4000, 4000, 1)
    assert len(large) == 1 and large[0].image_size == 512, "nothing shows it: the largest is left"
    assert all(one.cost <= 16 for one in choices_for(2000, 3000, 8))
    assert all(one.tile is None for one in choices_for(200, 300, 8)), "small images have no tiles"
