import numpy as np
import torch

from deeplock.pymodel.zoo.augment import augment

IMAGES = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (200, 5, 6, 3), np.uint8))


def test_nothing_asked_changes_nothing():
    assert torch.equal(augment(IMAGES), IMAGES)


def test_every_image_is_one_of_the_shifts_and_mirrors():
    torch.manual_seed(0)
    seen = set()
    for image, found in zip(IMAGES.numpy(), augment(IMAGES, shift=1, mirror=True).numpy(), strict=True):
        padded = np.pad(image, ((1, 1), (1, 1), (0, 0)), mode="edge")
        variants = {
            (y, x, mirrored): part[:, ::-1] if mirrored else part
            for y in range(3)
            for x in range(3)
            for part in [padded[y : y + 5, x : x + 6]]
            for mirrored in (False, True)
        }
        matches = [variant for variant, pixels in variants.items() if np.array_equal(pixels, found)]
        assert len(matches) == 1
        seen.update(matches)
    assert len(seen) == 18


def test_images_stay_channels_last():
    assert augment(IMAGES, shift=2).is_contiguous()
