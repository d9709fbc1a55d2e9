"""``export --output model.html``: what is in the file says what the checkpoint says."""

import base64
import hashlib
import re
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from fashion_lightning import load
from fashion_lightning.data import source
from fashion_lightning.errors import UserError
from fashion_lightning.export.formats import load_page, write_page
from fashion_lightning.export.graph import exporting, metadata, trace
from fashion_lightning.inference import TrainedClassifier
from fashion_lightning.networks import WideResNet
from tests.conftest import Run
from tests.networks import EveryOperation


@pytest.fixture
def images(data: Path) -> Tensor:
    return source.load("train", data)[0][:20]


def page_of(classifier: TrainedClassifier) -> bytes:
    return write_page(trace(classifier), metadata(classifier, "some_recipe"))


def test_the_page_holds_the_network_of_the_checkpoint_and_needs_nothing_else(
    cli: Run, trained: Path, images: Tensor
) -> None:
    said = cli("export", "--ckpt_path", trained, "--output", "model.html", "--tta", "flip_shift")
    assert "Checked on 600 training images: the classes are those of" in said
    content = Path("model.html").read_bytes()
    classifier = load(trained)
    classifier.tta = "flip_shift"
    torch.testing.assert_close(load_page(content)(images), classifier.classify(images).probabilities)
    page = content.decode()
    (script,) = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    allowed = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"default-src 'none'; script-src 'sha256-{allowed}'" in page.replace("&#39;", "'")
    assert "Recipe tiny, averaged over views (flip_shift)" in page
    assert re.findall(r"""(?:src|href)=["'](?!data:,|#)[^"']+|https?://|@import|url\(""", page) == []
    assert not re.search(r"[\w/.-]+\.py\b", page.partition('id="steps"')[2].partition("</script>")[0])


@pytest.mark.parametrize(
    "network",
    [EveryOperation(), pytest.param(WideResNet(10, 1), marks=pytest.mark.slow)],
    ids=lambda network: type(network).__name__,
)
def test_every_operation_that_is_written_down_is_computed_as_torch_does(network: nn.Module, images: Tensor) -> None:
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d | nn.BatchNorm1d):
            nn.init.uniform_(module.running_mean)  # type: ignore[arg-type]
            nn.init.uniform_(module.running_var, 0.5, 2)  # type: ignore[arg-type]
            nn.init.uniform_(module.weight)
    classifier = TrainedClassifier(network, tta="flip").eval()
    exported = load_page(page_of(classifier))
    torch.testing.assert_close(exported(images), classifier.classify(images).probabilities, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize(
    ("layer", "operation"),
    [
        (nn.Softplus(), "exp"),  # what torch makes of it first
        (nn.GELU("tanh"), "gelu"),
        (nn.Conv2d(4, 4, 3, groups=4), "convolution"),
        (nn.Conv2d(4, 4, 3, dilation=2), "convolution"),
        (nn.MaxPool2d(3, ceil_mode=True), "max_pool2d_with_indices"),
        (nn.AvgPool2d(3, padding=1), "avg_pool2d"),
        (nn.ReflectionPad2d(1), "index"),
    ],
)
@pytest.mark.slow
def test_a_layer_that_a_page_does_not_know_is_named(layer: nn.Module, operation: str) -> None:
    network = nn.Sequential(nn.Conv2d(1, 4, 3), layer, nn.Flatten(), nn.LazyLinear(10))
    classifier = TrainedClassifier(network).eval()
    said = rf"A page does not know aten\.{operation}\.\w+ in layer network\.1 \({type(layer).__name__}\)\."
    with pytest.raises(UserError, match=said), exporting(classifier):
        page_of(classifier)
