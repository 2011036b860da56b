"""Writes golden files beside itself: what PyTorch says with the networks below, which have our names of weights.

    python crates/zoo/tests/segmenters/make.py

Needs torch and torchvision. The format is that of `crates/zoo/src/golden`; torchvision's own segmenters have theirs elsewhere.
"""

import json
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torchvision.models import resnet
from torchvision.models.segmentation.deeplabv3 import ASPP

MASK = (1 << 64) - 1


def uniform(key, n):
    """n numbers in [0, 1): splitmix64 of the key's FNV-1a hash plus the index, its upper 24 bits."""
    h = 0xCBF29CE484222325
    for byte in key.encode():
        h = ((h ^ byte) * 0x100000001B3) & MASK
    with np.errstate(over="ignore"):
        z = np.uint64(h) + np.arange(n, dtype=np.uint64) + np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return (z >> np.uint64(40)).astype(np.float32) * np.float32(2.0**-24)


def values(key, shape, scale=1.0):
    u, scale = uniform(key, int(np.prod(shape))), np.float32(scale)
    if key.endswith("running_var"):
        v = (np.float32(0.5) + u) * scale
    elif key.endswith("running_mean"):
        v = (u - np.float32(0.5)) * np.float32(0.2) * np.sqrt(scale)
    elif len(shape) >= 2:
        v = (u * np.float32(2) - np.float32(1)) * np.float32(np.sqrt(6.0 / np.prod(shape[1:])))
    elif key.endswith("weight"):
        v = np.float32(0.5) + u
    else:
        v = (u - np.float32(0.5)) * np.float32(0.2)
    return torch.from_numpy(v.reshape(shape).copy())


def resized(x, size, align_corners):
    return F.interpolate(x, size, mode="bilinear", align_corners=align_corners)


def cut(x, offset, size):
    return x[:, :, offset:offset + size[0], offset:offset + size[1]]


def norm_relu(i, o, kernel, padding=0, bias=False):
    return nn.Conv2d(i, o, kernel, padding=padding, bias=bias), nn.BatchNorm2d(o), nn.ReLU()


def dilate(conv, stride, dilation):
    conv.stride, conv.dilation = (stride, stride), (dilation, dilation)
    conv.padding = (dilation * (conv.kernel_size[0] // 2),) * 2


class Backbone(nn.Module):
    """A ResNet's four stages; `first` is whether the stride is on a bottleneck's first convolution."""

    def __init__(self, depth, dilated, first=False):
        super().__init__()
        net = getattr(resnet, f"resnet{depth}")()
        for name in ["conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4"]:
            setattr(self, name, getattr(net, name))
        dilation = 1
        for stage, keeps in zip([self.layer2, self.layer3, self.layer4], dilated):
            before, stride = dilation, 1 if keeps else 2
            dilation *= 2 if keeps else 1
            for index, block in enumerate(stage):
                now, here = (stride, before) if index == 0 else (1, dilation)
                if depth < 50:
                    dilate(block.conv1, now, here)
                    dilate(block.conv2, 1, dilation)
                else:
                    dilate(block.conv1, now if first else 1, 1)
                    dilate(block.conv2, 1 if first else now, dilation if first else here)
                if block.downsample is not None:
                    dilate(block.downsample[0], now, 1)

    def forward(self, x):
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        stages = []
        for stage in [self.layer1, self.layer2, self.layer3, self.layer4]:
            x = stage(x)
            stages.append(x)
        return stages


class DeepLabV3Plus(nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone = Backbone(18, [False, True, True])
        head = self.classifier = nn.Module()
        head.aspp = ASPP(512, [12, 24, 36], 256)
        head.project = nn.Sequential(*norm_relu(64, 48, 1))
        head.classifier = nn.Sequential(*norm_relu(304, 256, 3, 1), *norm_relu(256, 256, 3, 1), nn.Conv2d(256, 21, 1))

    def forward(self, x):
        c2, _, _, c5 = self.backbone(x)
        head = self.classifier
        y = torch.cat([head.project(c2), resized(head.aspp(c5), c2.shape[2:], False)], 1)
        return {"out": resized(head.classifier(y), x.shape[2:], False)}


class Pyramid(nn.Module):
    def __init__(self):
        super().__init__()
        level = lambda bins: nn.Sequential(nn.AdaptiveAvgPool2d(bins), *norm_relu(2048, 512, 1))
        self.features = nn.ModuleList([level(bins) for bins in (1, 2, 3, 6)])

    def forward(self, x):
        return torch.cat([x] + [resized(level(x), x.shape[2:], True) for level in self.features], 1)


class PspNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone = Backbone(50, [False, True, True])
        self.ppm = Pyramid()
        self.cls = nn.Sequential(*norm_relu(4096, 512, 3, 1), nn.Dropout(0.1), nn.Conv2d(512, 21, 1))
        self.aux = nn.Sequential(*norm_relu(1024, 256, 3, 1), nn.Dropout(0.1), nn.Conv2d(256, 21, 1))

    def forward(self, x):
        _, _, c4, c5 = self.backbone(x)
        size = x.shape[2:]
        return {"out": resized(self.cls(self.ppm(c5)), size, True), "aux": resized(self.aux(c4), size, True)}


class DoubleConv(nn.Module):
    def __init__(self, i, o, padded):
        super().__init__()
        one = lambda i: norm_relu(i, o, 3, 1) if padded else (nn.Conv2d(i, o, 3), nn.ReLU())
        self.double_conv = nn.Sequential(*one(i), *one(o))

    def forward(self, x):
        return self.double_conv(x)


class Down(nn.Module):
    def __init__(self, i, o, padded):
        super().__init__()
        self.maxpool_conv = nn.Sequential(nn.MaxPool2d(2), DoubleConv(i, o, padded))

    def forward(self, x):
        return self.maxpool_conv(x)


class Up(nn.Module):
    def __init__(self, i, o, padded):
        super().__init__()
        self.up, self.conv = nn.ConvTranspose2d(i, o, 2, 2), DoubleConv(i, o, padded)

    def forward(self, x, skip):
        x = self.up(x)
        rows, columns = skip.size(2) - x.size(2), skip.size(3) - x.size(3)
        # Of no padding there is more of the skip, cut on both sides; of odd sides one more, padded at the end.
        if self.conv.double_conv[0].padding == (1, 1):
            x = F.pad(x, [0, columns, 0, rows])
        else:
            skip = skip[:, :, rows // 2:rows // 2 + x.size(2), columns // 2:columns // 2 + x.size(3)]
        return self.conv(torch.cat([skip, x], 1))


class UNet(nn.Module):
    def __init__(self, padded):
        super().__init__()
        self.padded, self.inc = padded, DoubleConv(3, 64, padded)
        for index in range(4):
            setattr(self, f"down{index + 1}", Down(64 << index, 128 << index, padded))
            setattr(self, f"up{index + 1}", Up(1024 >> index, 512 >> index, padded))
        self.outc = nn.Module()
        self.outc.conv = nn.Conv2d(64, 2, 1)

    def forward(self, x):
        size = x.shape[2:]
        if not self.padded:
            beyond = [(92, 16 * -(-(side + 60) // 16) + 124 - side - 92) for side in size]
            x = torch.from_numpy(np.pad(x.numpy(), [(0, 0), (0, 0)] + beyond, mode="reflect"))
        skips = [self.inc(x)]
        for down in [self.down1, self.down2, self.down3, self.down4]:
            skips.append(down(skips[-1]))
        x = skips.pop()
        for up in [self.up1, self.up2, self.up3, self.up4]:
            x = up(x, skips.pop())
        return {"out": cut(self.outc.conv(x), 0, size)}


def vgg16(norm=False, ceil=False):
    layers, i = [], 3
    for o in [64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512, 0]:
        if o == 0:
            layers.append(nn.MaxPool2d(2, 2, ceil_mode=ceil))
            continue
        layers += norm_relu(i, o, 3, 1, True) if norm else (nn.Conv2d(i, o, 3, padding=1), nn.ReLU())
        i = o
    return nn.Sequential(*layers)


class SegNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.features, self.decoder, i = vgg16(True, True), nn.ModuleList(), 512
        for stage in [[512, 512, 512], [512, 512, 256], [256, 256, 128], [128, 64], [64]]:
            layers = []
            for o in stage:
                layers += norm_relu(i, o, 3, 1, True)
                i = o
            self.decoder.append(nn.Sequential(*layers))
        self.decoder[4].append(nn.Conv2d(64, 11, 3, padding=1))

    def forward(self, x):
        pools = []
        for layer in self.features:
            if isinstance(layer, nn.MaxPool2d):
                size = x.shape[2:]
                x, places = F.max_pool2d(x, 2, 2, ceil_mode=True, return_indices=True)
                pools.append((places, size))
            else:
                x = layer(x)
        for stage in self.decoder:
            places, size = pools.pop()
            x = stage(F.max_unpool2d(x, places, 2, 2, output_size=size))
        return {"out": x}


class Fcn8s(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = vgg16(ceil=True)
        self.features[0].padding = (100, 100)
        self.fc6, self.fc7, self.score_fr = nn.Conv2d(512, 4096, 7), nn.Conv2d(4096, 4096, 1), nn.Conv2d(4096, 21, 1)
        self.skips = nn.ModuleList()
        for channels in [512, 256]:
            skip = nn.Module()
            skip.upscore, skip.score = nn.ConvTranspose2d(21, 21, 4, 2, bias=False), nn.Conv2d(channels, 21, 1)
            self.skips.append(skip)
        self.upscore = nn.ConvTranspose2d(21, 21, 16, 8, bias=False)

    def forward(self, x):
        size, pools = x.shape[2:], []
        for layer in self.features:
            x = layer(x)
            if isinstance(layer, nn.MaxPool2d):
                pools.append(x)
        x = self.score_fr(F.relu(self.fc7(F.relu(self.fc6(x)))))
        for skip, pool, offset in zip(self.skips, [pools[3], pools[2]], [5, 9]):
            x = skip.upscore(x)
            x = x + cut(skip.score(pool), offset, x.shape[2:])
        return {"out": cut(self.upscore(x), 31, size)}


class FcnAlexNet(nn.Module):
    def __init__(self):
        super().__init__()
        conv = lambda i, o, k, **rest: [nn.Conv2d(i, o, k, **rest), nn.ReLU()]
        pool = lambda: nn.MaxPool2d(3, 2, ceil_mode=True)
        norm = lambda: nn.LocalResponseNorm(5, 1e-4, 0.75, 1.0)
        self.features = nn.Sequential(
            *conv(3, 96, 11, stride=4, padding=100), pool(), norm(),
            *conv(96, 256, 5, padding=2, groups=2), pool(), norm(),
            *conv(256, 384, 3, padding=1), *conv(384, 384, 3, padding=1, groups=2),
            *conv(384, 256, 3, padding=1, groups=2), pool())
        self.fc6, self.fc7, self.score_fr = nn.Conv2d(256, 4096, 6), nn.Conv2d(4096, 4096, 1), nn.Conv2d(4096, 21, 1)
        self.upscore = nn.ConvTranspose2d(21, 21, 63, 32, bias=False)

    def forward(self, x):
        y = self.score_fr(F.relu(self.fc7(F.relu(self.fc6(self.features(x))))))
        return {"out": cut(self.upscore(y), 18, x.shape[2:])}


class DeepLabVgg(nn.Module):
    def __init__(self, rates):
        super().__init__()
        self.features, pools = vgg16(), 0
        for layer in self.features:
            if isinstance(layer, nn.MaxPool2d):
                pools += 1
                layer.kernel_size, layer.padding, layer.stride = 3, 1, 2 if pools < 4 else 1
            elif isinstance(layer, nn.Conv2d) and pools == 4:
                dilate(layer, 1, 2)
        self.branches = nn.ModuleList()
        for rate in rates:
            branch = nn.Module()
            branch.fc6 = nn.Conv2d(512, 1024, 3, padding=rate, dilation=rate)
            branch.fc7, branch.fc8 = nn.Conv2d(1024, 1024, 1), nn.Conv2d(1024, 21, 1)
            self.branches.append(branch)

    def forward(self, x):
        y = self.features(x)
        y = sum(branch.fc8(F.relu(branch.fc7(F.relu(branch.fc6(y))))) for branch in self.branches)
        return {"out": resized(y, x.shape[2:], True)}


class DeepLabV2(nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone = Backbone(101, [False, True, True], first=True)
        score = lambda rate: nn.Conv2d(2048, 21, 3, padding=rate, dilation=rate)
        self.classifier = nn.ModuleList([score(rate) for rate in (6, 12, 18, 24)])

    def forward(self, x):
        c5 = self.backbone(x)[-1]
        return {"out": resized(sum(score(c5) for score in self.classifier), x.shape[2:], True)}


def golden(name, model, side):
    model = model.float().eval()
    state = {key: value for key, value in model.state_dict().items() if value.is_floating_point()}
    model.load_state_dict({key: values(key, list(value.shape)) for key, value in state.items()}, strict=False)
    scales = {}

    def calibrate(name):
        # Keeps the signal of the order of one through every layer: else an error early in the network would not be seen.
        def hook(module, inputs):
            scales[name] = float(f"{inputs[0].double().var(dim=(0, 2, 3), unbiased=False).mean():.4g}") or 1.0
            for key in ("running_mean", "running_var"):
                array = getattr(module, key)
                array.copy_(values(f"{name}.{key}", list(array.shape), scales[name]))
        return hook

    norms = [(name, module) for name, module in model.named_modules() if isinstance(module, nn.BatchNorm2d)]
    hooks = [module.register_forward_pre_hook(calibrate(name)) for name, module in norms]
    images = torch.from_numpy((uniform("images", 3 * side * side) * 2 - 1).reshape(1, 3, side, side))
    with torch.no_grad():
        model(images)
        for hook in hooks:
            hook.remove()
        said = model.double()(images.double())
    rows = []
    for key, out in said.items():
        key, flat = f"out.{key}", out.reshape(-1)
        picks = np.unique((uniform("picks/" + key, 64).astype(np.float64) * flat.numel()).astype(np.int64))
        rows.append({
            "name": key, "shape": list(out.shape), "mean": float(flat.mean()), "std": float(flat.std(unbiased=False)),
            "absmax": float(flat.abs().max()), "samples": [[int(i), float(f"{flat[i]:.8g}")] for i in picks],
        })
    return {
        "model": "pytorch/" + name, "seed": 0, "input": [1, 3, side, side],
        "params": sum(parameter.numel() for parameter in model.parameters()),
        "state_dict": [[key, list(value.shape)] for key, value in state.items()], "scales": scales, "outputs": rows,
    }


# Odd sides, so that no rounding of a size is without effect.
for name, build, side in [
    ("unet", lambda: UNet(False), 51),
    ("unet_bn", lambda: UNet(True), 75),
    ("segnet", SegNet, 77),
    ("fcn8s_vgg16", Fcn8s, 61),
    ("fcn_alexnet", FcnAlexNet, 79),
    ("deeplabv1_vgg16", lambda: DeepLabVgg([12]), 97),
    ("deeplabv2_vgg16", lambda: DeepLabVgg([6, 12, 18, 24]), 97),
    ("deeplabv2_resnet101", DeepLabV2, 97),
    ("deeplabv3plus_resnet18-os8", DeepLabV3Plus, 97),
    ("pspnet_resnet50", PspNet, 97),
]:
    file = golden(name, build(), side)
    Path(__file__).with_name(f"{name}.json").write_text(json.dumps(file, separators=(",", ":")) + "\n")
    print(name, file["params"], [(row["name"], round(row["absmax"], 3)) for row in file["outputs"]], flush=True)
