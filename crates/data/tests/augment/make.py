"""Writes expected.txt: what torchvision 0.29 and Pillow 13 make of small synthetic images.

    python crates/data/tests/augment/make.py > crates/data/tests/augment/expected.txt
"""

import zlib

from PIL import Image
from torchvision.transforms.autoaugment import (
    AutoAugment, AutoAugmentPolicy, RandAugment, TrivialAugmentWide, _apply_op)
from torchvision.transforms.functional import InterpolationMode

BINS = 31

# Name, width, height, the value of channel c at (x, y), and the colour where there was no image.
IMAGES = [
    ("noise", 32, 32, lambda x, y, c: (x * x * 37 + y * 91 + x * y * 13 + c * 77) % 256, None),
    ("odd", 23, 17, lambda x, y, c: (x * 11 + y * (5 + 3 * c)) % 256, [124, 116, 104]),
    ("dull", 40, 30, lambda x, y, c: 60 + 20 * c + (x * y + 7 * x) % (90 - 44 * c), None),
    ("tiny", 2, 3, lambda x, y, c: 50 * x + 70 * y + c, None),
]


def image(width, height, value):
    pixels = bytes(value(x, y, c) for y in range(height) for x in range(width) for c in range(3))
    return Image.frombytes("RGB", (width, height), pixels)


for name, policy in [("imagenet", AutoAugmentPolicy.IMAGENET), ("cifar10", AutoAugmentPolicy.CIFAR10),
                     ("svhn", AutoAugmentPolicy.SVHN)]:
    for pair in AutoAugment(policy).policies:
        print("policy", name, *(word if word is not None else 0 for operation in pair for word in operation))

for width, height in [(32, 32), (331, 224)]:
    for operation, (magnitudes, signed) in AutoAugment()._augmentation_space(10, (height, width)).items():
        magnitudes = [float(m) for m in magnitudes] if magnitudes.ndim else [0.0]
        print("magnitudes plain", operation, 10, width, height, *magnitudes)

for name, width, height, value, fill in IMAGES:
    plain = RandAugment()._augmentation_space(BINS, (height, width))
    plain["Invert"] = AutoAugment()._augmentation_space(10, (height, width))["Invert"]
    for space, operations in [("plain", plain), ("wide", TrivialAugmentWide()._augmentation_space(BINS))]:
        for operation, (magnitudes, signed) in operations.items():
            magnitudes = [float(m) for m in magnitudes] if magnitudes.ndim else [0.0]
            print("magnitudes", space, operation, BINS, width, height, *magnitudes)
            moves = operation[:5] in ["Shear", "Trans", "Rotat"]
            for interpolation in ["nearest", "bilinear", "bicubic"] if moves else ["nearest"]:
                sums = []
                for magnitude in magnitudes + [-m for m in magnitudes if signed]:
                    mode = InterpolationMode(interpolation)
                    made = _apply_op(image(width, height, value), operation, magnitude, mode, fill)
                    sums.append(f"{zlib.crc32(made.tobytes()):08x}")
                print("images", name, space, operation, interpolation, *sums)
