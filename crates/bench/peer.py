"""The other side of the comparison: PyTorch and ONNX Runtime.

Started as `python -c THIS THREADS`. A line of JSON on standard input is a request, a line of JSON on standard output its
answer; `{"error": text}` is one too. The first line that is written says which versions are here.

  {"do": "network", "model": M, "classes": C, "batch": B, "side": S, "mode": "train" | "eval" | "onnxruntime", "layout": L}
      -> {"parameters": learnable parameters}
  {"do": "layer", "kind": "forward" | "input gradient" | "weight gradient", "x": [4 sides], "weight": [4 sides],
   "stride": [2], "padding": [2], "dilation": [2], "groups": G, "layout": L}  -> {}
  {"do": "step", "times": N}  -> {"ms": milliseconds of one step, the mean of N}
  {"do": "finite"}  -> {"finite": whether what the last step gave is}
  {"do": "baseline"}  -> {}: from here on the memory's peak counts
  {"do": "memory"}  -> {"baseline": bytes before the first step, "peak": the most since}

L is "default" or "channels-last".
"""

import importlib.util
import io
import json
import os
import sys
import time

# What libraries print must not mix with the answers.
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)


def answer(value):
    answers.write(json.dumps(value) + "\n")
    answers.flush()


try:
    import torch
    import torchvision
    from torch import nn
    from torch.nn import functional as F
except Exception as why:
    answer({"error": str(why).split("\n")[0]})
    sys.exit()

THREADS = int(sys.argv[1])
torch.set_num_threads(THREADS)
torch.manual_seed(0)


class Block(nn.Module):
    """Two 3x3 convolutions; a shortcut that takes every second pixel and new channels of zeros: option A."""

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.stride, self.new = stride, outputs - inputs

    def forward(self, x):
        shortcut = x
        if self.new:
            half = self.new // 2
            shortcut = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, half, self.new - half))
        y = F.relu(self.bn1(self.conv1(x)), inplace=True)
        y = self.bn2(self.conv2(y))
        y += shortcut
        return F.relu(y, inplace=True)


def cifar_resnet20():
    layers = [nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU(inplace=True)]
    for inputs, outputs in [(16, 16), (16, 32), (32, 64)]:
        layers.append(Block(inputs, outputs, 1 if inputs == outputs else 2))
        layers += [Block(outputs, outputs, 1) for _ in range(2)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


def cifar_resnet18():
    model = torchvision.models.resnet18(num_classes=10)
    model.conv1 = nn.Conv2d(3, 64, 3, 1, 1, bias=False)
    model.maxpool = nn.Identity()
    return model


def stack():
    layers, inputs = [], 3
    for outputs in [64, 128, 256]:
        if inputs > 3:
            layers.append(nn.MaxPool2d(2))
        for _ in range(2):
            layers.append(nn.Conv2d(inputs, outputs, 3, 1, 1, bias=False))
            layers += [nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]
            inputs = outputs
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(256, 10))


MODELS = {
    "cifar10-resnet18": cifar_resnet18,
    "cifar10-resnet20": cifar_resnet20,
    "resnet18": torchvision.models.resnet18,
    "resnet50": torchvision.models.resnet50,
    # Drawing 130 million normal weights takes seconds.
    "vgg11": lambda: torchvision.models.vgg11(init_weights=False),
    "shufflenet_v2_x1_0": torchvision.models.shufflenet_v2_x1_0,
    "densenet121": torchvision.models.densenet121,
    "googlenet": lambda: torchvision.models.googlenet(init_weights=False),
    "unet-stack": stack,
}
LAYOUTS = {"default": torch.contiguous_format, "channels-last": torch.channels_last}


def training(model, images, classes):
    model.train()
    targets = torch.arange(len(images)) % classes
    optimizer = torch.optim.SGD(model.parameters(), lr=0.001, momentum=0.9, weight_decay=1e-4)

    def step():
        loss = F.cross_entropy(model(images), targets)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return torch.tensor(loss.item())

    return step


def evaluation(model, images, _):
    model.eval()

    def step():
        with torch.inference_mode():
            return model(images)

    return step


def in_onnxruntime(model, images, _):
    import onnxruntime

    file = io.BytesIO()
    torch.onnx.export(model.eval(), (images,), file, input_names=["images"], dynamo=False)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    session = onnxruntime.InferenceSession(file.getvalue(), options, providers=["CPUExecutionProvider"])
    inputs = {"images": images.numpy()}
    return lambda: torch.from_numpy(session.run(None, inputs)[0])


MODES = {"train": training, "eval": evaluation, "onnxruntime": in_onnxruntime}


def network(model, classes, batch, side, mode, layout):
    model = MODELS[model]().to(memory_format=LAYOUTS[layout])
    images = torch.randn(batch, 3, side, side).contiguous(memory_format=LAYOUTS[layout])
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return MODES[mode](model, images, classes), {"parameters": parameters}


def layer(kind, x, weight, stride, padding, dilation, groups, layout):
    def random(sides):
        return torch.randn(sides).contiguous(memory_format=LAYOUTS[layout])

    x, weight = random(x), random(weight)
    settings = (stride, padding, dilation)
    with torch.inference_mode():
        grad = random(F.conv2d(x, weight, None, *settings, groups).shape)

    def forward():
        with torch.inference_mode():
            return F.conv2d(x, weight, None, *settings, groups)

    mask = [kind == "input gradient", kind == "weight gradient", False]

    def backward():
        gradients = torch.ops.aten.convolution_backward(
            grad, x, weight, None, *settings, False, [0, 0], groups, mask
        )
        return gradients[mask.index(True)]

    return forward if kind == "forward" else backward, {}


def memory(key):
    with open("/proc/self/status") as status:
        for line in status:
            if line.startswith(key + ":"):
                return int(line.split()[1]) * 1024
    raise RuntimeError(f"/proc/self/status has no {key}")


def serve():
    step = last = baseline = None
    for line in sys.stdin:
        request = json.loads(line)
        do = request.pop("do")
        try:
            if do in ("network", "layer"):
                step = last = None
                step, said = (network if do == "network" else layer)(**request)
                answer(said)
            elif do == "step":
                start = time.perf_counter()
                for _ in range(request["times"]):
                    last = step()
                answer({"ms": (time.perf_counter() - start) * 1e3 / request["times"]})
            elif do == "finite":
                answer({"finite": bool(torch.isfinite(last).all())})
            elif do == "baseline":
                # Code is read from the file when it first runs; that is no memory of a step.
                training(cifar_resnet20(), torch.randn(2, 3, 8, 8), 10)()
                with open("/proc/self/clear_refs", "w") as file:
                    file.write("5")
                baseline = memory("VmRSS")
                answer({})
            elif do == "memory":
                answer({"baseline": baseline, "peak": memory("VmHWM")})
            else:
                answer({"error": f"nobody here knows how to `{do}`"})
        except Exception as why:
            answer({"error": f"{type(why).__name__}: {why}".split("\n")[0]})


modules = ["onnx", "onnxruntime"]
answer({"torch": torch.__version__, "onnxruntime": all(importlib.util.find_spec(name) for name in modules)})
serve()
