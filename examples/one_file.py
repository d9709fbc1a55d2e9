"""The default recipe in one file of plain torch: python examples/one_file.py [folder of the four IDX files]

A test compares its weights after 60 steps with those of ``fit --config cnn``: they are equal to the bit.
"""

import gzip
import hashlib
import sys
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, cross_entropy, pad

BF16 = any(torch.cpu.get_capabilities().get(name) for name in ("avx512_bf16", "amx_bf16", "bf16"))
SEED = 0


def read(folder: Path, split: str) -> tuple[Tensor, Tensor]:
    """Return the images (N, 1, 28, 28) uint8 and the labels (N,) int64 of ``train`` or ``t10k``."""
    paths = folder / f"{split}-images-idx3-ubyte", folder / f"{split}-labels-idx1-ubyte"
    contents = (p.read_bytes() if p.exists() else gzip.decompress(Path(f"{p}.gz").read_bytes()) for p in paths)
    images, labels = (torch.frombuffer(bytearray(content), dtype=torch.uint8) for content in contents)
    return images[16:].view(-1, 1, 28, 28), labels[8:].long()  # headers come first


def train_and_val(labels: Tensor, val_size: int = 5000) -> tuple[Tensor, Tensor]:
    """Return the indices of training and validation images; both contain the classes in equal shares."""
    draws = torch.Generator().manual_seed(20170825)  # not SEED: all runs validate on the same images
    place = torch.empty(len(labels), dtype=torch.float64)
    for cls in labels.unique():  # shuffle each class, then interleave the classes
        members = (labels == cls).nonzero().flatten()
        place[members] = (torch.randperm(len(members), generator=draws).double() + 0.5) / len(members)
    return place.argsort(stable=True)[val_size:], place.argsort(stable=True)[:val_size]


def generator(*place: int | str) -> torch.Generator:
    """Return a generator seeded by (seed, purpose, epoch, batch) alone: no draw depends on earlier ones."""
    digest = hashlib.blake2b("/".join(map(str, (SEED, *place))).encode(), digest_size=8).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "big") >> 1)


class Network(nn.Sequential):
    """Six convolutions in the shape of airbench (https://arxiv.org/abs/2404.00498), 0.6 million weights."""

    @torch.no_grad()
    def __init__(self) -> None:
        super().__init__()
        for c_in, c_out, size in ((1, 16, 3), (16, 32, 3), (32, 128, 4), (128, 128, 3), (128, 128, 4), (128, 128, 3)):
            layer = nn.Conv2d(c_in, c_out, size, stride=size - 2, padding=int(c_in > 1), bias=False)
            if c_in > 1:  # starts as the identity, or as the mean of 2x2 pixels if its stride is 2
                layer.weight[:c_in] = 0
                layer.weight[range(c_in), range(c_in), 1:-1, 1:-1] = 1 / layer.stride[0] ** 2
            norm = nn.BatchNorm2d(c_out, momentum=0.4)  # its running statistics adapt within a few steps
            norm.weight.requires_grad_(False)
            self.extend([layer, *([nn.MaxPool2d(2)] if c_out == 32 else []), norm, nn.ReLU()])
        self.extend([nn.AvgPool2d(3), nn.Flatten(), head := nn.Linear(128, 10, bias=False)])
        nn.init.normal_(head.weight)
        self.to(memory_format=torch.channels_last)

    def forward(self, images: Tensor) -> Tensor:
        """(B, 1, 28, 28) uint8 → logits (B, 10) float32; normalize by the training images' mean and deviation."""
        x = ((images.float() / 255 - 0.2860) / 0.3530).contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16, enabled=BF16):
            for layer in self:
                if BF16 and self.training and getattr(layer, "stride", None) == (2, 2):
                    x, inputs = conv2d(x, layer.weight.detach().bfloat16(), stride=2, padding=1), x.detach()
                    x.register_hook(partial(weight_gradient, layer, inputs))
                else:
                    x = layer(x)
            return (0.5 * x).float()


def weight_gradient(layer: nn.Conv2d, inputs: Tensor, grad: Tensor) -> None:
    """Compute a strided convolution's weight gradient by one matrix product; torch's own makes bf16 steps slower."""
    patches = pad(inputs.permute(0, 2, 3, 1), (0, 0, 1, 1, 1, 1)).unfold(1, 4, 2).unfold(2, 4, 2)
    rows = patches.permute(0, 1, 2, 4, 5, 3).reshape(-1, 16 * layer.in_channels)
    product = grad.permute(0, 2, 3, 1).reshape(-1, layer.out_channels).T @ rows
    layer.weight.grad = product.view(-1, 4, 4, layer.in_channels).permute(0, 3, 1, 2).float()


@torch.no_grad()
def optimizer_step(momenta: dict[nn.Parameter, Tensor], remaining: float) -> None:
    """Train filters with Muon (https://kellerjordan.github.io/posts/muon/), the rest with SGD and Nesterov momentum."""
    for p, buffer in momenta.items():
        lr, momentum = {4: (0.05, 0.8), 2: (0.2, 0.9), 1: (0.064, 0.9)}[p.ndim]
        buffer.mul_(momentum).add_(p.grad)
        update = p.grad + momentum * buffer
        if p.ndim == 4:  # Newton-Schulz iterations turn the update into nearly the nearest orthogonal matrix
            p.mul_(len(p) ** 0.5 / p.norm())
            x = update.flatten(1).to(torch.bfloat16 if BF16 else torch.float32)
            x = (x.T if (tall := x.size(0) > x.size(1)) else x) / (x.norm() + 1e-7)
            gram, product = (x @ x.T).float(), torch.eye(len(x))
            for _ in range(3):
                polynomial = torch.addmm(gram, gram, gram, beta=-4.7750, alpha=2.0315)
                polynomial.diagonal().add_(3.4445)
                product, gram = polynomial @ product, polynomial @ gram @ polynomial
            x = product.to(x.dtype) @ x
            update = (x.T if tall else x).view(p.shape).float()
        p.add_(update, alpha=-lr * remaining)
        p.grad = None


def augmented(images: Tensor, indices: Tensor, epoch: int, batch: int) -> Tensor:
    """Mirror each image in every other epoch, shift it by up to a pixel and cut out a square of 6x6 pixels."""
    draws, every = generator("augment", epoch, batch), torch.arange(len(images))
    hashed = indices * 0x9E3779B1 + generator("flip").initial_seed() % 2**31  # decides when to mirror an image
    images = torch.where(((hashed >> 20) + epoch)[:, None, None, None] % 2 == 1, images.flip(-1), images)
    down, right = torch.randint(3, (2, len(images)), generator=draws)
    images = pad(images, [1] * 4).unfold(2, 28, 1).unfold(3, 28, 1)[every, :, down, right]
    offset = torch.arange(28) - torch.randint(28, (2, len(images), 1), generator=draws) + 3
    rows, columns = (offset >= 0) & (offset < 6)
    return images.masked_fill((rows[:, :, None] & columns[:, None, :]).unsqueeze(1), 0)


def train(images: Tensor, labels: Tensor, indices: Tensor, batch_size: int = 500, epochs: int = 18) -> Network:
    """Train a network on the images at ``indices``."""
    torch.manual_seed(SEED)
    network = Network()
    momenta = {p: torch.zeros_like(p) for p in network.parameters() if p.requires_grad}
    losses = torch.full((len(indices),), torch.inf)  # of each image, as last shown; inf: not shown yet, hardest
    easiest, shown = int(0.7 * len(indices)), len(indices) - int(0.42 * len(indices))
    for epoch in range(epochs):  # shows 58 % of the images: the hardest 30 %, and some of the others
        draws = generator("order", epoch)
        shuffled = torch.randperm(len(indices), generator=draws)
        easy, hard = shuffled[losses[shuffled].argsort(stable=True)].tensor_split([easiest])
        some = easy[torch.randperm(len(easy), generator=draws)[: shown - len(hard)]]
        batches = torch.cat([hard, some])[torch.randperm(shown, generator=draws)].split(batch_size)
        for batch, places in enumerate(batches):
            at = indices[places]
            logits = network(augmented(images[at], at, epoch, batch))
            cross_entropy(logits, labels[at], label_smoothing=0.1).backward()
            losses[places] = cross_entropy(logits.detach(), labels[at], reduction="none")
            optimizer_step(momenta, remaining=1 - (epoch * len(batches) + batch) / (epochs * len(batches)))
    return network.eval().requires_grad_(False)


if __name__ == "__main__":
    folders = sys.argv[1:] or ["~/.cache/torch/datasets/FashionMNIST/raw", "/usr/share/datasets/fashion-mnist"]
    folder = max((Path(folder).expanduser() for folder in folders), key=lambda place: any(place.glob("train-*")))
    images, labels = read(folder, "train")
    training, validation = train_and_val(labels)
    network = train(images, labels, training)
    for name, shown, truth in (("validation", images[validation], labels[validation]), ("test", *read(folder, "t10k"))):
        logits = torch.zeros(len(shown), 10)
        for down, right in ((1, 1), (0, 1), (2, 1), (1, 0), (1, 2)):  # ten views: shifted by a pixel, and mirrored
            views = pad(shown, [1] * 4)[..., down : down + 28, right : right + 28].split(200)
            logits += torch.cat([network(view) + network(view.flip(-1)) for view in views])
        print(f"{name}: {(logits.argmax(dim=1) == truth).double().mean():.2%}")
