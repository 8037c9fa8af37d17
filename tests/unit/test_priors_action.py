"""Action recognition: the network in space and time, the frames it looks at, bad folders."""

import json

import pytest
import torch

from animate124.errors import UserError
from animate124.priors.action import ActionRecognition
from animate124.priors.action_network import ActionNetwork, Block

LABELS = ["bowing", "dancing", "waving"]


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    network = ActionNetwork(LABELS, 4, 16, (4, 6))
    with torch.no_grad():  # larger differences between clips than a fresh network has
        network.head.weight *= 20
    return network.eval()


def clips(count, frames, size=16, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(count, frames, 3, size, size, generator=generator)


def test_a_block_sees_one_frame_to_each_side_twice():
    """Of five frames the middle one reaches all, the first not the last; space shrinks."""
    torch.manual_seed(0)
    block = Block(2, 3, 2).eval()
    x = torch.rand(1, 2, 7, 8, 8, requires_grad=True)
    y = block(x)
    assert y.shape == (1, 3, 7, 4, 4) and y.min() >= 0
    y[:, :, 3].sum().backward()
    reached = x.grad.abs().sum((0, 1, 3, 4)) > 0
    assert reached.tolist() == [False, True, True, True, True, True, False]


def test_order_counts(network):
    """What a mean over frames cannot tell: the same frames the other way round."""
    shown = clips(1, 4)
    with torch.no_grad():
        there, back, again = (network(x) for x in (shown, shown[:, [0, 2, 1, 3]], shown.clone()))
    assert torch.equal(there, again) and (there - back).abs().max() > 1e-3


def test_probabilities_by_hand(network):
    actions = ActionRecognition(network, "tiny")
    shown = clips(2, 4)
    with torch.no_grad():
        logits = network(shown * 2 - 1)
    assert torch.allclose(actions.probabilities(shown), logits.softmax(-1), atol=1e-6)
    found = actions.probabilities(shown, ("waving", "bowing"))
    expected = logits[:, [2, 0]].exp() / logits[:, [2, 0]].exp().sum(1, keepdim=True)
    assert torch.allclose(found, expected, atol=1e-5)
    with pytest.raises(ValueError, match="tiny does not know flying, swimming"):
        actions.probabilities(shown, ("flying", "waving", "swimming"))


def test_longer_and_larger_clips(network):
    """Frames evenly spread, from the first one on; pictures resized to what it knows."""
    actions = ActionRecognition(network, "tiny")
    shown = clips(1, 10)
    found = actions.probabilities(shown)
    assert torch.equal(found, actions.probabilities(shown[:, [0, 2, 5, 7]]))
    assert torch.equal(
        actions.probabilities(shown[:, :2]), actions.probabilities(shown[:, [0, 0, 1, 1]])
    )
    large = shown.repeat_interleave(2, 3).repeat_interleave(2, 4)
    # Averaged over the triangle of two pixels' width: near, not equal.
    assert (actions.probabilities(large) - found).abs().max() < 0.2


def test_saved_and_loaded(network, tmp_path):
    network.save_pretrained(tmp_path / "net")
    loaded = ActionRecognition.load(tmp_path / "net")
    assert loaded.labels == LABELS and loaded.name == "net"
    shown = clips(2, 4)
    expected = ActionRecognition(network, "").probabilities(shown)
    assert torch.allclose(loaded.probabilities(shown), expected, atol=1e-6)
    assert not any(p.requires_grad for p in loaded.network.parameters())


def test_a_folder_without_a_model(network, tmp_path):
    with pytest.raises(UserError, match="no model folder"):
        ActionRecognition.load(tmp_path / "none")
    network.save_pretrained(tmp_path / "net")
    config = json.loads((tmp_path / "net" / "config.json").read_text())
    (tmp_path / "net" / "config.json").write_text(json.dumps(config | {"labels": ["a"]}))
    with pytest.raises(UserError, match=r"do not fit its config|are damaged"):
        ActionRecognition.load(tmp_path / "net")
