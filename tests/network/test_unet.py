"""The U-Net: sizes, levels, heads, and folding of batch normalisation."""

from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from napari_cellseg.imaging.errors import ModelError
from napari_cellseg.network.config import UNetConfig
from napari_cellseg.network.unet import UNet, fuse_batch_norm, n_parameters


@pytest.mark.parametrize(("levels", "fold"), [(1, 1), (3, 1), (5, 1), (1, 2), (2, 4)])
@pytest.mark.parametrize("size", [(1, 1), (37, 50), (64, 64)])
def test_any_levels_and_any_image_size(levels: int, fold: int, size: tuple[int, int]) -> None:
    heads = (("foreground", 1), ("offset", 2))
    config = UNetConfig(in_channels=2, base_channels=2, levels=levels, fold=fold, heads=heads)
    network = UNet(config).eval()
    with torch.no_grad():
        maps = network(torch.rand(2, 2, *size))
    assert {name: tuple(m.shape) for name, m in maps.items()} == {
        "foreground": (2, 1, *size),
        "offset": (2, 2, *size),
    }


def test_size_of_the_published_network() -> None:
    """Ronneberger et al. 2015, section 2, have 31 M parameters with 64 channels and 4 poolings."""
    network = UNet(UNetConfig(in_channels=1, base_channels=64, levels=4, heads=(("foreground", 2),)))
    assert n_parameters(network) == pytest.approx(31.0e6, rel=0.01)


def test_padding_does_not_reach_into_the_image() -> None:
    """An image padded by hand by repeating its edge gives the same maps as one padded inside."""
    torch.manual_seed(0)
    network = UNet(UNetConfig(in_channels=1, base_channels=2, levels=3)).eval()
    image = torch.rand(1, 1, 37, 50)
    padded = torch.nn.functional.pad(image, (0, 6, 0, 3), mode="replicate")
    with torch.no_grad():
        torch.testing.assert_close(network(image)["foreground"], network(padded)["foreground"][..., :37, :50])


def test_folded_batch_norm_gives_the_same_maps() -> None:
    torch.manual_seed(0)
    network = UNet(UNetConfig(base_channels=4, levels=2, dropout=0.2))
    network.train()
    for _ in range(3):
        network(torch.rand(4, 3, 32, 32) * 5)
    network.eval()
    image = torch.rand(1, 3, 40, 40)
    with torch.no_grad():
        expected, folded = network(image), fuse_batch_norm(network)(image)
    for name in expected:
        torch.testing.assert_close(folded[name], expected[name], rtol=1e-4, atol=1e-5)


def test_folded_pixels_are_as_exact_as_others() -> None:
    """Each pixel of a block is read and drawn in its place: a network that hands its input on draws the input."""
    network = UNet(UNetConfig(in_channels=1, base_channels=4, levels=1, fold=2, heads=(("foreground", 1),))).eval()
    image = torch.rand(1, 1, 12, 14)
    handed_on = torch.nn.functional.pixel_unshuffle(image, 2)
    network.decoded = lambda x: [handed_on]  # type: ignore[method-assign]
    with torch.no_grad():
        network.heads["foreground"].weight.copy_(torch.eye(4)[:, :, None, None])
        network.heads["foreground"].bias.zero_()
        torch.testing.assert_close(network(image)["foreground"], image)


def test_folding_takes_a_quarter_of_the_work() -> None:
    counts = []
    for fold in (1, 2):
        network = UNet(UNetConfig(in_channels=1, base_channels=16, levels=2, fold=fold))
        with FlopCounterMode(display=False) as counter:
            network(torch.rand(1, 1, 64, 64))
        counts.append(counter.get_total_flops())
    assert 0.24 < counts[1] / counts[0] < 0.28


@pytest.mark.parametrize(("fold", "architecture"), [(1, "unet"), (2, "unet"), (1, "unet-bilinear")])
def test_context_is_as_far_as_the_network_sees(fold: int, architecture: str) -> None:
    """Wherever a changed pixel lies, it changes outputs up to `context` away, and some at least half as far."""
    config = UNetConfig(
        in_channels=1, base_channels=2, levels=2 if fold == 1 else 1, fold=fold, architecture=architecture
    )
    torch.manual_seed(1)
    network = UNet(config).eval().double()
    image = torch.rand(1, 1, 129, 129, dtype=torch.float64)
    for position in range(62, 66):
        changed = image.clone()
        changed[0, 0, position, position] += 100
        with torch.no_grad():
            differs = (network(image)["foreground"] - network(changed)["foreground"])[0, 0].abs() > 0
        reach = (differs.nonzero() - position).abs().max().item()
        assert config.context / 2 <= reach <= config.context


def test_dropout_acts_only_while_training() -> None:
    network = UNet(UNetConfig(base_channels=4, levels=2, dropout=0.5))
    image = torch.rand(2, 3, 16, 16)
    network.train()
    assert not torch.equal(network(image)["foreground"], network(image)["foreground"])
    network.eval()
    assert torch.equal(network(image)["foreground"], network(image)["foreground"])


@pytest.mark.parametrize(
    ("setting", "named"),
    [
        ({"levels": 0}, "levels"),
        ({"base_channels": 0}, "base_channels"),
        ({"dropout": 1.0}, "dropout"),
        ({"fold": 0}, "fold"),
        ({"fold": 3}, "fold is 3"),
        ({"fold": 2, "architecture": "resnet18", "levels": 3}, "fold is 2.*resnet18"),
        ({"heads": (("distance", 1),)}, "foreground"),
        ({"heads": (("foreground", 1), ("foreground", 2))}, "heads"),
    ],
)
def test_impossible_settings_are_named(setting: dict, named: str) -> None:
    with pytest.raises(ModelError, match=named):
        UNetConfig(**setting)


def test_config_survives_json() -> None:
    config = UNetConfig(base_channels=7, levels=5, fold=2, dropout=0.1, heads=(("foreground", 1),))
    assert UNetConfig.from_dict(config.to_dict()) == config
    with pytest.raises(ModelError, match="attention"):
        UNetConfig.from_dict({**config.to_dict(), "attention": True})
