"""Log what 1-bit layers do while they train."""
import os.path as osp
from typing import Dict, Mapping, Optional

import numpy as np
import torch
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.visualization import LocalVisBackend
from mmpretrain.registry import HOOKS
from torch import Tensor, nn

from ...analysis.binary_stats import (FILE, SignCounter, binary_layers,
                                      layer_statistics, to_numbers,
                                      weight_signs)
from ...layers import RSign


@HOOKS.register_module()
class BinaryStatsHook(Hook):
    """Log statistics of the 1-bit layers every so many iterations.

    For each layer, as far as it makes sense for it: the share of weight signs
    that flipped since the last log, the shares of weights and of activations
    that get no gradient, mean |W|, thresholds and shifts, the share of +1 by
    channel and the number of dead channels. docs/watching_training.md says
    what they mean. Activations are those of the main process's batch, weights
    those after the step. Training is not changed: no random numbers are
    drawn, and no process waits for another.

    Nothing is computed in the other iterations. Between logs there is a byte
    for each 1-bit weight, on the device; checkpoints hold a bit, so that a
    resumed run logs what an undisturbed one does.

    The numbers go to ``vis_data/binary_stats.json`` beside MMEngine's
    scalars.json, a line a log, and to the visualizer's other backends such as
    TensorBoard. Not to scalars.json: analyze_logs of MMPretrain takes each
    line without a learning rate for a validation.

    Args:
        interval (int): Log at every so many iterations; 0 never. Defaults to
            100.
    """

    # After WeightClipHook changed the weights, before they are saved.
    priority = 'LOW'

    def __init__(self, interval: int = 100):
        self.interval = interval
        self.layers: Dict[str, nn.Module] = {}
        self.saved: Optional[Mapping] = None
        self.handles: list = []

    def before_train(self, runner) -> None:
        """Find the layers, and remember the signs of their weights."""
        if self.interval < 1 or not is_main_process():
            return
        model = runner.model
        if is_model_wrapper(model):
            model = model.module
        self.layers = binary_layers(model)
        if not self.layers:
            runner.logger.warning(f'{type(self).__name__}: the model has no '
                                  '1-bit layers, so there is nothing to log.')
            return
        self.signs = weight_signs(self.layers)
        self.since = runner.iter
        if self.saved is not None:
            self._restore(self.saved)
            self.saved = None
        self.file = LocalVisBackend(
            osp.join(runner.log_dir, 'vis_data'), scalar_save_file=FILE)
        # Hooks are not run by what was compiled without them; compiled with
        # them, they could change what is computed.
        self.compiled = runner.cfg.get('compile') not in (None, False)
        if self.compiled:
            runner.logger.warning(
                f'{type(self).__name__}: the model is compiled, so that its '
                'activations cannot be seen; their statistics are left out.')

    def before_train_iter(self, runner, batch_idx, data_batch=None) -> None:
        if self._is_due(runner) and not self.compiled:
            self.counter = SignCounter()
            self.handles = [
                layer.register_forward_pre_hook(self.counter)
                for layer in self.layers.values()
                if isinstance(layer, RSign) and layer.binarizer == 'sign'
            ]

    def after_train_iter(self,
                         runner,
                         batch_idx,
                         data_batch=None,
                         outputs=None) -> None:
        if not self._is_due(runner):
            return
        for handle in self.handles:
            handle.remove()
        counts = self.counter.counts if self.handles else {}
        self.handles, self.counter = [], None
        step = runner.iter + 1
        # Of a resumed run the first interval can be another one.
        signs = self.signs if step - self.since == self.interval else {}
        statistics = {
            f'{statistic}/{name}': value
            for name, layer in self.layers.items()
            for statistic, value in layer_statistics(layer, counts.get(layer),
                                                     signs.get(name)).items()
        }
        self.signs, self.since = weight_signs(self.layers), step
        self._write(runner, to_numbers(statistics), step)

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        if self.layers:
            signs = {name: _pack(sign) for name, sign in self.signs.items()}
            checkpoint['binary_stats'] = dict(since=self.since, signs=signs)

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        if runner._resume:
            self.saved = checkpoint.get('binary_stats')

    def _is_due(self, runner) -> bool:
        return bool(self.layers) and self.every_n_train_iters(
            runner, self.interval)

    def _restore(self, saved: Mapping) -> None:
        """Take signs from a checkpoint, if they are those of these layers."""
        signs = saved['signs']
        if signs.keys() == self.signs.keys() and all(
                signs[name].shape == _packed_shape(sign)
                for name, sign in self.signs.items()):
            self.since = saved['since']
            self.signs = {
                name: _unpack(signs[name], sign)
                for name, sign in self.signs.items()
            }

    def _write(self, runner, numbers: Dict[str, float], step: int) -> None:
        """Six digits of each number are kept."""
        numbers = {key: float(f'{v:.6g}') for key, v in numbers.items()}
        self.file.add_scalars(numbers, step)
        for backend in runner.visualizer._vis_backends.values():
            if not isinstance(backend, LocalVisBackend):
                backend.add_scalars(numbers, step)


def _packed_shape(sign: Tensor) -> tuple:
    return (-(-sign.numel() // 8), )


def _pack(sign: Tensor) -> Tensor:
    """A bool tensor as uint8, eight values in a byte."""
    return torch.from_numpy(np.packbits(sign.cpu().numpy()))


def _unpack(bits: Tensor, like: Tensor) -> Tensor:
    """Undo :func:`_pack`, given a tensor of the same shape and device."""
    sign = np.unpackbits(bits.cpu().numpy(), count=like.numel())
    return torch.from_numpy(sign.astype(bool)).view(like.shape).to(like.device)
