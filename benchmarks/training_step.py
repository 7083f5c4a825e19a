"""One training step of ReActNet-A, ours and the naive twin's.

As a program it runs some steps in a process of its own and prints how much
memory that takes: ``python -m benchmarks.training_step ours --batch 8``.
"""
import json
import sys
from typing import Callable, Optional

import torch
from torch import nn

from mmreact.functional import distributional_loss
from mmreact.models import ReActNet

from .fresh_process import memory
from .harness import parser, positive
from .naive_training import naive_twin

#: Name -> options of the backbone: the twin, our layers as they are, and with
#: activation checkpoints, which ``torch.compile`` does not heed.
CONTENDERS = dict(naive={}, ours={}, with_cp=dict(with_cp=True))
#: What the profiler calls them on a CPU.
CONVOLUTIONS = ('aten::mkldnn_convolution', 'aten::convolution_backward')


class Network(nn.Module):
    """ReActNet-A with its classifier."""

    def __init__(self, **options):
        super().__init__()
        self.backbone = ReActNet('a', **options)
        self.fc = nn.Linear(1024, 1000)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.fc(self.backbone(images)[0].mean((2, 3)))


class Step:
    """Forward, distributional loss, backward and Adam, on random images.

    Args:
        contender (str): A key of :data:`CONTENDERS`.
        batch, size (int): Number of images, their height and width.
        compiled (bool): Under ``torch.compile(fullgraph=True)``.
    """

    def __init__(self, contender: str, batch: int, size: int, compiled: bool):
        torch.manual_seed(0)
        network = Network(**CONTENDERS[contender])
        if contender == 'naive':
            network = naive_twin(network)
        self.images = torch.randn(batch, 3, size, size)
        self.teacher = torch.randn(batch, 1000)
        self.optimizer = torch.optim.Adam(network.parameters(), lr=1e-4)
        self.network = network
        if compiled:
            self.network = torch.compile(network, fullgraph=True)

    def loss(self) -> torch.Tensor:
        return distributional_loss(self.network(self.images), self.teacher)

    def train(self) -> None:
        self.network.train()
        self.optimizer.zero_grad()
        self.loss().backward()
        self.optimizer.step()

    def evaluate(self, number: Optional[int] = None) -> torch.Tensor:
        """Logits of all images, or of the first ones."""
        if self.network.training:  # each change binarizes the weights anew
            self.network.eval()
        with torch.no_grad():
            return self.network(self.images[:number])

    def evaluate_one(self) -> torch.Tensor:
        return self.evaluate(1)

    def saved_bytes(self) -> int:
        self.network.train()
        return saved_bytes(self.network, self.loss)


def saved_bytes(network: nn.Module, forward: Callable) -> int:
    """What a forward keeps for backward; storages count once, and those of
    the network's parameters not at all.
    """
    own = {p.untyped_storage().data_ptr() for p in network.parameters()}
    kept = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage  # so that none is reused
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
        forward()
    return sum(storage.nbytes() for storage in kept.values())


def convolution_ms(run: Callable) -> float:
    """What convolutions alone take of a run in eager mode."""
    with torch.profiler.profile() as profile:
        run()
    return sum(event.self_cpu_time_total for event in profile.key_averages()
               if event.key in CONVOLUTIONS) / 1000


def peak_bytes() -> int:
    """Resident memory of this process at its highest."""
    return round(memory('VmHWM') * 1e6)


def main():
    args = parser(__doc__.splitlines()[0], rounds=3)
    args.add_argument('contender', choices=CONTENDERS)
    args.add_argument('--batch', type=positive, default=8)
    args.add_argument('--threads', type=positive, default=2)
    args.add_argument('--compiled', action='store_true')
    args = args.parse_args()
    torch.set_num_threads(args.threads)
    imports = peak_bytes()
    step = Step(args.contender, args.batch, args.size, args.compiled)
    for _ in range(args.rounds):
        step.train()
    print(json.dumps(dict(import_bytes=imports, peak_bytes=peak_bytes())))


if __name__ == '__main__':
    sys.exit(main())
