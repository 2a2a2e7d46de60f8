"""EfficientNet-Lite0 is timm's, bit for bit."""

import copy
from typing import Any

import pytest
import timm
import torch

from realnet.model.folding import fold_batch_norms
from realnet.model.lite0 import NAME, Lite0
from tests.model.test_folding import stirred


@pytest.mark.parametrize("taps", [(2, 3, 4), (0, 1, 4)])
def test_it_is_timms_network_to_the_bit(taps: tuple[int, ...]) -> None:
    theirs = stirred(timm.create_model(NAME, pretrained=False, features_only=True, out_indices=taps))
    own = Lite0(taps).eval()
    assert list(own.state_dict()) == list(theirs.state_dict())
    own.load_state_dict(theirs.state_dict())
    info: Any = theirs.feature_info
    assert list(own.channels) == info.channels() and list(own.strides) == info.reduction()
    image = torch.rand(2, 3, 96, 64)
    with torch.no_grad():
        assert all(torch.equal(a, b) for a, b in zip(own(image), theirs(image), strict=True))


def test_padding_taken_into_the_kernels_changes_nothing() -> None:
    network = stirred(Lite0((1, 2, 4)))
    folded = copy.deepcopy(network)
    fold_batch_norms(folded, torch.rand(1, 3, 32, 32))
    assert {module.kernel_size for module in folded.modules() if hasattr(module, "take_padding_in")} == {(4, 4), (6, 6)}
    image = torch.rand(2, 3, 64, 96)
    with torch.no_grad():
        for old, new in zip(network(image), folded(image), strict=True):
            assert old.shape == new.shape
            torch.testing.assert_close(new, old, rtol=1e-4, atol=1e-4 * float(old.abs().max()))
