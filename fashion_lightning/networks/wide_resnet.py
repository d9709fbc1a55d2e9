"""Wide residual networks: many parameters, for long training on a GPU."""

from torch import Tensor, nn


class WideResNet(nn.Module):
    """A pre-activation residual network, ``WRN-depth-width`` of https://arxiv.org/abs/1605.07146.

    A convolution of 16 channels; three groups of ``(depth - 4) / 6`` blocks with ``16 * width``, ``32 * width`` and
    ``64 * width`` channels, at 28, 14 and 7 pixels for images of 28; global average pooling; one dense layer.

    Args:
        depth: 6n + 4: 10, 16, 22, 28, …
        width: factor of the channels 16, 32 and 64.
        num_classes: number of logits.
        channels: 1 for grey images, 3 for colour.
    """

    def __init__(self, depth: int = 16, width: int = 4, num_classes: int = 10, channels: int = 1) -> None:
        super().__init__()
        blocks, rest = divmod(depth - 4, 6)
        if rest or blocks < 1 or width < 1:
            raise ValueError(f"depth must be 6n + 4 (10, 16, 22, 28, …) and width at least 1, not {depth} and {width}")
        layers: list[nn.Module] = [nn.Conv2d(channels, 16, 3, padding=1, bias=False)]
        channels = 16
        for group in range(3):
            for block in range(blocks):
                stride = 2 if group and not block else 1
                layers.append(Block(channels, channels := 16 * width * 2**group, stride))
        self.features = nn.Sequential(*layers, nn.BatchNorm2d(channels), nn.ReLU())
        self.head = nn.Linear(channels, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        nn.init.zeros_(self.head.bias)

    def forward(self, images: Tensor) -> Tensor:
        """``(B, channels, H, W)`` → logits ``(B, num_classes)``."""
        logits: Tensor = self.head(self.features(images).mean(dim=(2, 3)))
        return logits


class Block(nn.Module):
    """``(B, c_in, H, W)`` → ``(B, c_out, H / stride, W / stride)``: the input plus two convolutions of it."""

    def __init__(self, c_in: int, c_out: int, stride: int) -> None:
        super().__init__()
        self.before = nn.Sequential(nn.BatchNorm2d(c_in), nn.ReLU())
        self.residual = nn.Sequential(
            nn.Conv2d(c_in, c_out, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(c_out),
            nn.ReLU(),
            nn.Conv2d(c_out, c_out, 3, padding=1, bias=False),
        )
        same = c_in == c_out and stride == 1
        self.shortcut = None if same else nn.Conv2d(c_in, c_out, 1, stride, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        activated = self.before(features)
        kept = features if self.shortcut is None else self.shortcut(activated)
        out: Tensor = kept + self.residual(activated)
        return out
