"""Plain ``nn.Module`` networks: normalized images ``(B, 1, 28, 28)`` float → logits ``(B, 10)``."""

from fashion_lightning.networks.cnn import CNN

__all__ = ["CNN"]
