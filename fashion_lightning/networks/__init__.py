"""Plain ``nn.Module`` networks: normalized images ``(B, channels, size, size)`` float → logits ``(B, num_classes)``."""

from fashion_lightning.networks.classic import MLP, ConvNet
from fashion_lightning.networks.cnn import CNN
from fashion_lightning.networks.wide_resnet import WideResNet

__all__ = ["CNN", "MLP", "ConvNet", "WideResNet"]
