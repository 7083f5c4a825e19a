"""One training step as a user of a GPU makes it: student, teacher, Adam.

As a program it measures one case in a process of its own and prints JSON:
``python -m benchmarks.gpu_step reactnet-a --stage 2 --batch 256 --mode bf16``.
Without a GPU it runs on the CPU, and what only a GPU has is None.
"""
import json
import sys
import time
import warnings
from contextlib import nullcontext
from statistics import median
from typing import Callable, List

import torch
import torchvision
from torch import nn

from mmreact.functional import distributional_loss
from mmreact.models import ReActNet, ReActResNet

from .harness import parser, positive, rounded
from .naive_training import naive_twin
from .training_step import saved_bytes

#: Name -> backbone and its output channels.
NETWORKS = {
    'reactnet-a': (lambda **options: ReActNet('a', **options), 1024),
    'react-resnet18': (lambda **options: ReActResNet(18, **options), 512),
}
#: Stage -> weight binarizer.
STAGES = {1: 'real', 2: 'scaled_sign'}
#: What a mode turns on; several are joined by '+'.
MODES = ('fp32', 'naive', 'bf16', 'channels_last', 'compiled', 'with_cp')
#: Operators whose own device time is convolution.
CONVOLUTIONS = ('aten::cudnn_convolution', 'aten::convolution_backward',
                'aten::mkldnn_convolution', 'aten::_convolution')


class Network(nn.Module):
    """A backbone of :data:`NETWORKS` with its classifier."""

    def __init__(self, name: str, **options):
        super().__init__()
        make, channels = NETWORKS[name]
        self.backbone = make(**options)
        self.fc = nn.Linear(channels, 1000)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.fc(self.backbone(images)[0].mean((2, 3)))


class Step:
    """Forwards of teacher (ResNet-34) and student, backward, Adam.

    Args:
        network (str): A key of :data:`NETWORKS`.
        stage (int): 1 or 2.
        batch, size (int): Number of images, their height and width.
        mode (str): Of :data:`MODES`, joined by '+'.
        device (str): 'cuda' or 'cpu'.
    """

    def __init__(self, network: str, stage: int, batch: int, size: int,
                 mode: str, device: str):
        modes = check_mode(mode)
        torch.manual_seed(0)
        student = Network(
            network,
            weight_binarizer=STAGES[stage],
            **(dict(with_cp=True) if 'with_cp' in modes else {}))
        if 'naive' in modes:
            student = naive_twin(student)
        teacher = torchvision.models.resnet34().eval().requires_grad_(False)
        layout = torch.channels_last if 'channels_last' in modes else (
            torch.contiguous_format)
        self.images = torch.randn(
            batch, 3, size, size, device=device).to(memory_format=layout)
        self.student, self.teacher = (
            m.to(device, memory_format=layout) for m in (student, teacher))
        self.optimizer = torch.optim.Adam(self.student.parameters(), lr=1e-4)
        self.compiled = 'compiled' in modes
        if self.compiled:
            self.student = torch.compile(self.student)
            self.teacher = torch.compile(self.teacher)
        self.cast = torch.autocast(
            device, torch.bfloat16) if 'bf16' in modes else nullcontext()

    def loss(self) -> torch.Tensor:
        with self.cast:
            with torch.no_grad():
                target = self.teacher(self.images)
            return distributional_loss(self.student(self.images), target)

    def __call__(self) -> None:
        self.optimizer.zero_grad()
        self.loss().backward()
        self.optimizer.step()


def check_mode(mode: str) -> List[str]:
    """The parts of a mode.

    Raises:
        ValueError: If one is not known.
    """
    parts = mode.split('+')
    unknown = [part for part in parts if part not in MODES]
    if unknown:
        raise ValueError(f'The mode {", ".join(unknown)} is not one of '
                         f'{", ".join(MODES)}.')
    return parts


def measure(step: Step, rounds: int) -> dict:
    """Images per second, memory, share of convolutions, synchronisations."""
    batch, on_gpu = len(step.images), step.images.is_cuda
    wait = torch.cuda.synchronize if on_gpu else (lambda: None)
    for _ in range(3):  # choosing kernels, compiling, Adam's moments
        step()
    wait()
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
    seconds = [clock(step, wait) for _ in range(rounds)]
    found = dict(
        images_per_second=batch / median(seconds),
        step_ms=dict(min=1000 * min(seconds), median=1000 * median(seconds)),
        peak_bytes=None,
        peak_bytes_per_image=None,
        saved_bytes_per_image=None
        if step.compiled else saved_bytes(step.student, step.loss) / batch,
        convolution_share=convolution_share(step),
        host_synchronizations=None)
    if on_gpu:
        peak = torch.cuda.max_memory_allocated()
        found.update(
            peak_bytes=peak,
            peak_bytes_per_image=peak / batch,
            host_synchronizations=synchronizations(step))
    return found


def clock(step: Callable, wait: Callable) -> float:
    start = time.perf_counter()
    step()
    wait()
    return time.perf_counter() - start


def convolution_share(step: Callable) -> float:
    """What convolutions take of the time that operators take themselves."""
    with torch.profiler.profile() as profile:
        step()
    events = profile.key_averages()
    key = 'self_device_time_total' if torch.cuda.is_available() else (
        'self_cpu_time_total')
    total = sum(getattr(event, key) for event in events)
    convolutions = sum(
        getattr(event, key) for event in events if event.key in CONVOLUTIONS)
    return convolutions / total


def synchronizations(step: Callable) -> List[str]:
    """Where a step makes the host wait for the GPU: file and line."""
    before = torch.cuda.get_sync_debug_mode()
    torch.cuda.set_sync_debug_mode('warn')
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter('always')
            step()
    finally:
        torch.cuda.set_sync_debug_mode(before)
    return sorted(f'{w.filename}:{w.lineno}' for w in caught
                  if 'synchroniz' in str(w.message))


def main():
    args = parser(__doc__.splitlines()[0], rounds=10)
    args.add_argument('network', choices=NETWORKS)
    args.add_argument('--stage', type=int, choices=STAGES, default=2)
    args.add_argument('--batch', type=positive, default=256)
    args.add_argument('--mode', default='fp32')
    args = args.parse_args()
    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    step = Step(args.network, args.stage, args.batch, args.size, args.mode,
                device)
    print(json.dumps(rounded(measure(step, args.rounds))))


if __name__ == '__main__':
    sys.exit(main())
