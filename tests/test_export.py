"""``export``: a checkpoint as one file that gives the same answers elsewhere."""

import base64
import hashlib
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
import yaml
from PIL import Image
from torch import Tensor, nn

from fashion_lightning import CLASS_NAMES, FashionMNISTClassifier, load
from fashion_lightning.cli.recipes import RECIPES, find_config
from fashion_lightning.errors import UserError
from fashion_lightning.export import formats
from fashion_lightning.export.formats import load_page, write_page
from fashion_lightning.export.graph import exporting, largest_difference, metadata, trace
from fashion_lightning.inference import TrainedClassifier, build_network
from tests.conftest import Run
from tests.networks import BranchesByValue, NotInONNX

WITHOUT_TORCH = re.findall(
    r"```python\n(.*?)```", (Path(__file__).parents[1] / "docs/export.md").read_text(encoding="utf-8"), re.DOTALL
)[0]


@pytest.fixture
def exported(cli: Run, trained: Path, generated: tuple[Path, dict[str, str]]) -> Path:
    """``model.onnx`` of the tiny recipe, with test-time augmentation; exported once."""
    kept, path = generated[0].with_name("model.onnx"), Path("model.onnx")
    if not kept.exists():
        cli("export", "--ckpt_path", trained, "--output", kept, "--tta", "flip_shift")
    path.write_bytes(kept.read_bytes())
    return path


def answers(file: Path, images: Tensor) -> "np.ndarray[tuple[int, ...], np.dtype[np.float32]]":
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    probabilities: np.ndarray[tuple[int, ...], np.dtype[np.float32]] = session.run(None, {"images": images.numpy()})[0]
    return probabilities


@pytest.mark.slow
def test_the_lines_of_the_documents_use_an_onnx_file_without_torch(exported: Path, images: Tensor) -> None:
    assert not re.search(rb"[\w/.-]+\.py\b", exported.read_bytes())  # a folder of this machine
    Image.fromarray(images[7, 0].numpy()).save("picture.png")
    no_torch = "import sys; sys.modules['torch'] = None\n"
    command = [sys.executable, "-c", no_torch + WITHOUT_TORCH]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert printed.startswith(CLASS_NAMES[answers(exported, images[7:8]).argmax()])


@pytest.mark.slow
def test_the_command_writes_a_file_of_torch_export_and_says_how_it_was_checked(
    cli: Run, trained: Path, images: Tensor
) -> None:
    said = cli("export", "--ckpt_path", trained / "checkpoints/last.ckpt", "--output", "new/model.pt2")
    assert "Checked on 600 training images: the classes are those of" in said
    assert "Written to new/model.pt2" in said
    described = dict.fromkeys(("class_names", "recipe", "tta", "fashion_lightning_version", "description"), "")
    run = torch.export.load("new/model.pt2", extra_files=described).module()
    expected = load(trained / "checkpoints/last.ckpt")
    assert described == metadata(expected, "tiny")
    for size in (1, 5):
        torch.testing.assert_close(run(images[:size]), expected.classify(images[:size])[1])
    assert [path.name for path in Path("new").iterdir()] == ["model.pt2"]
    assert not re.search(rb"[\w/.-]+\.py\b", Path("new/model.pt2").read_bytes())  # a folder of this machine


@pytest.mark.parametrize(
    ("exported", "said"),
    [
        (lambda batch: torch.full((len(batch), 10), torch.nan), "differ by up to nan"),
        (lambda batch: torch.rand(len(batch), 10), "images get another class"),
    ],
)
def test_a_file_that_says_nothing_or_never_the_same_is_refused(
    images: Tensor, exported: Callable[[Tensor], Tensor], said: str
) -> None:
    classifier = FashionMNISTClassifier(nn.Sequential(nn.Flatten(), nn.Linear(784, 10))).eval()
    with pytest.raises(UserError, match=said):
        largest_difference(classifier, exported, images)


@pytest.mark.slow
def test_an_onnx_file_says_what_the_checkpoint_says_and_describes_itself(
    exported: Path, trained: Path, images: Tensor
) -> None:
    classifier = load(trained)
    classifier.tta = "flip_shift"  # the file averages over views by itself
    for size in (1, 2, 3, 300):
        expected = classifier.classify(images[:size]).probabilities
        np.testing.assert_allclose(answers(exported, images[:size]), expected.numpy(), atol=1e-5)
    model = onnx.load(exported, load_external_data=False)
    onnx.checker.check_model(model, full_check=True)
    assert {entry.key: entry.value for entry in model.metadata_props} == metadata(classifier, "tiny")
    for value, shape in ((model.graph.input[0], ["batch", 1, 28, 28]), (model.graph.output[0], ["batch", 10])):
        assert [size.dim_param or size.dim_value for size in value.type.tensor_type.shape.dim] == shape


@pytest.mark.slow
def test_a_file_that_says_something_else_is_not_kept(cli: Run, trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def off_by_a_little(content: bytes) -> Callable[[Tensor], Tensor]:
        run = formats.load_pt2(content)
        return lambda images: run(images) + 2e-4 * (len(images) == 7)

    monkeypatch.setitem(formats.FORMATS, ".pt2", (formats.write_pt2, off_by_a_little))
    Path("model.pt2").write_text("an earlier one")
    said = cli("export", "--ckpt_path", trained, "--output", "model.pt2", exits=2)
    assert "does not give the checkpoint's answers: 0 of 600 images get another class" in said
    assert Path("model.pt2").read_text() == "an earlier one"


@pytest.mark.parametrize(
    ("network", "reason"),
    [
        (BranchesByValue, r"data-dependent.* \(.*networks\.py, line \d+\)"),
        pytest.param(NotInONNX, "bessel_j0", marks=pytest.mark.slow),
    ],
)
def test_a_network_that_has_no_such_graph_is_named_in_one_line(
    network: type[nn.Module], reason: str, capfd: pytest.CaptureFixture[str]
) -> None:
    classifier = FashionMNISTClassifier(network()).eval()
    said = f"Network {network.__name__} cannot be exported: .*{reason}"
    with pytest.raises(UserError, match=said), exporting(classifier):
        formats.write_onnx(trace(classifier), {})
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["cnn", *(f"seeds/{path.stem}" for path in RECIPES.glob("seeds/*.yaml"))])
def test_what_each_recipe_trains_can_be_exported(name: str, images: Tensor) -> None:
    model = yaml.safe_load(find_config(name).read_text(encoding="utf-8"))["model"]
    classifier = FashionMNISTClassifier(build_network(model["network"]), tta=model.get("tta", "none")).eval()
    for write, read in formats.FORMATS.values():
        with exporting(classifier):
            exported = read(write(trace(classifier), metadata(classifier, "untrained")))
        assert largest_difference(classifier, exported, images[:50]) < 1e-5


@pytest.mark.slow
def test_the_page_holds_the_network_of_the_checkpoint_and_needs_nothing_else(
    cli: Run, trained: Path, images: Tensor
) -> None:
    said = cli("export", "--ckpt_path", trained, "--output", "model.html", "--tta", "flip_shift")
    assert "Checked on 600 training images: the classes are those of" in said
    content = Path("model.html").read_bytes()
    classifier = load(trained)
    classifier.tta = "flip_shift"
    torch.testing.assert_close(load_page(content)(images[:20]), classifier.classify(images[:20]).probabilities)
    page = content.decode()
    (script,) = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    allowed = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"default-src 'none'; script-src 'sha256-{allowed}'" in page.replace("&#39;", "'")
    assert "Recipe tiny, averaged over views (flip_shift)" in page
    assert re.findall(r"""(?:src|href)=["'](?!data:,|#)[^"']+|https?://|@import|url\(""", page) == []
    assert not re.search(r"[\w/.-]+\.py\b", page.partition('id="steps"')[2].partition("</script>")[0])


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
def test_a_layer_that_a_page_does_not_support_is_named(layer: nn.Module, operation: str) -> None:
    network = nn.Sequential(nn.Conv2d(1, 4, 3), layer, nn.Flatten(), nn.LazyLinear(10))
    classifier = TrainedClassifier(network).eval()
    said = rf"A page does not support aten\.{operation}\.\w+ in layer network\.1 \({type(layer).__name__}\)\."
    with pytest.raises(UserError, match=said), exporting(classifier):
        write_page(trace(classifier), metadata(classifier, "some_recipe"))
