"""Training images moved and mirrored at random, so that a network sees each one differently in every epoch."""

import torch

__all__ = ["augment"]


def augment(images: torch.Tensor, shift: int = 0, mirror: bool = False) -> torch.Tensor:
    """Images [n, height, width, channels], each moved by up to `shift` pixels in both directions; the edge is repeated.

    If `mirror`, half of them are mirrored left to right. Draws from PyTorch's global generator.
    """
    n, height, width, _ = images.shape
    if shift:
        down, right = torch.randint(-shift, shift + 1, (2, n, 1))
    else:
        down = right = torch.zeros(n, 1, dtype=torch.int64)
    y = (torch.arange(height) - down).clamp(0, height - 1)
    x = (torch.arange(width) - right).clamp(0, width - 1)
    if mirror:
        x = torch.where(torch.rand(n, 1) < 0.5, x.flip(1), x)
    return images[torch.arange(n)[:, None, None], y[:, :, None], x[:, None, :]]
