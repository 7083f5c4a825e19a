"""Stop at the first NaN or infinity, and say where it came from."""
import math
from typing import Any, List, Optional

import torch
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmpretrain.registry import HOOKS
from torch import Tensor, nn


class NonFiniteError(RuntimeError):
    """A loss, a gradient or a weight that is NaN or infinite."""


@HOOKS.register_module()
class NonFiniteHook(Hook):
    """Stop when the loss or a gradient is NaN or infinite.

    The error names the epoch, the iteration, the layer where it appeared
    first, and the last checkpoint, which is never overwritten: weights are
    looked at once more before one is written.

    **Cost.** Before each optimizer step the norm of each gradient is taken:
    one pass over the gradients, nothing is waited for. (It overflows where
    Adam's squares do, from 1.8e19 on in float32; that counts as infinite.) On
    a CPU the result is read there and then, and the step is not done. On a
    GPU reading it would make the host wait, so it is read after the
    iteration, when MMEngine's logging has just waited for the loss: the
    device has nothing left to do then.

    **The layer.** While the weights are as they were before the iteration,
    the same batch is run again and the first layer whose output is not
    finite is named; if all are finite, the gradient that comes first in the
    backward pass. On a GPU the weights have been updated already; then it is
    the first normalisation layer whose running statistics are not finite.

    **Loss scaling.** Infinite gradients are normal while ``AmpOptimWrapper``
    looks for its scale; it skips these steps, and this hook does not see
    them. If it skips ``max_skipped`` in a row, no scale helps, and the
    training stops too.

    Args:
        max_skipped (int): Each skipped step halves the scale, so that the
            default of 40 is far from what a search for it needs.
    """

    def __init__(self, max_skipped: int = 40):
        self.max_skipped = max_skipped
        self.flags: Optional[Tensor] = None  # of the gradients, on the device
        self.names: List[str] = []
        self.skipped = 0

    def before_train(self, runner) -> None:
        self.runner = runner
        self.model = runner.model
        if is_model_wrapper(self.model):
            self.model = self.model.module
        self.on_cpu = next(self.model.parameters()).device.type == 'cpu'
        self.handle = runner.optim_wrapper.optimizer.register_step_pre_hook(
            self._look)

    def after_train(self, runner) -> None:
        self.handle.remove()
        self.runner = self.model = self.batch = None

    def before_train_iter(self, runner, batch_idx, data_batch=None) -> None:
        self.batch_idx, self.batch = batch_idx, data_batch
        self.flags = None

    @torch.no_grad()
    def _look(self, optimizer, *args) -> None:
        """Before a step: which gradients are not finite?"""
        if getattr(optimizer, 'found_inf', None) is not None:
            return  # a fused optimizer, which skips scaled steps itself
        named = [(name, p.grad) for name, p in self.model.named_parameters()
                 if p.grad is not None]
        if not named:
            return
        self.names = [name for name, _ in named]
        norms = torch._foreach_norm([grad for _, grad in named])
        self.flags = ~torch.stack(norms).isfinite()
        if self.on_cpu and self.flags.any():
            self._stop('the loss or a gradient is NaN or infinite')

    def after_train_iter(self,
                         runner,
                         batch_idx,
                         data_batch=None,
                         outputs=None) -> None:
        # MMEngine has made a number of it.
        loss = runner.message_hub.get_scalar('train/loss').current()
        if not math.isfinite(loss):
            self._stop(f'the loss is {loss}')
        if self.flags is not None:
            self.skipped = 0
            if not self.on_cpu and self.flags.any():
                self._stop('a gradient is NaN or infinite')
        elif hasattr(runner.optim_wrapper, 'loss_scaler') and \
                runner.optim_wrapper.should_update():
            self.skipped += 1
            if self.skipped >= self.max_skipped:
                self._stop(f'the last {self.skipped} steps were skipped, as '
                           'gradients were NaN or infinite at any loss scale')

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        """Refuse to save weights that are not finite."""
        for key, value in checkpoint['state_dict'].items():
            if not _is_finite(value):
                raise NonFiniteError(
                    f'{key} is NaN or infinite, so that no checkpoint is '
                    f'written. {last_checkpoint(runner)}')

    def _stop(self, what: str) -> None:
        runner = self.runner
        raise NonFiniteError(
            f'Epoch {runner.epoch + 1}, iteration {self.batch_idx + 1} '
            f'({runner.iter + 1} in all): {what}. {self._where()} '
            f'{last_checkpoint(runner)} A lower learning rate, gradient '
            'clipping or other data may help; what was trained up to there '
            'continues with --resume.')

    def _where(self) -> str:
        """Where it appeared first."""
        if not all(map(_is_finite, self.model.parameters())):
            for name, module in self.model.named_modules():
                statistics = getattr(module, 'running_mean', None)
                if statistics is not None and not _is_finite(statistics):
                    return ('It appeared first before or in the layer '
                            f'{name}: its running mean is not finite.')
        elif not _synchronises(self.model):
            name = first_non_finite(self.model, self.batch,
                                    self.runner.optim_wrapper)
            if name:
                return f'It appeared first in the output of {name}.'
        if self.flags is None or not self.flags.any():
            return 'The outputs of all layers are finite.'
        if self.flags.all():
            return ('All layers\' outputs are finite, and no gradient is: it '
                    'appeared behind the last layer, or in gradient clipping.')
        name = self.names[int(self.flags.nonzero()[-1])]
        return (f'It appeared first in the gradient of {name} (in the '
                'backward pass, that is from the last layer to the first).')


def last_checkpoint(runner) -> str:
    """A sentence on it."""
    if 'last_ckpt' not in runner.message_hub.runtime_info:
        return 'There is no checkpoint yet.'
    path = runner.message_hub.get_info('last_ckpt')
    return f'The last good checkpoint is {path}.'


@torch.no_grad()
def first_non_finite(model: nn.Module, batch, optim_wrapper) -> Optional[str]:
    """The first module whose output is not finite in a forward pass.

    Args:
        model (BaseModel): Not wrapped for distributed training.
        batch: As the data loader gave it.
        optim_wrapper (OptimWrapper): For its mixed precision.

    Returns:
        str, optional: Name and class, None if all outputs are finite.
    """
    found: List[str] = []

    def look(name):

        def hook(module, args, output):
            if not found and not _is_finite(output):
                found.append(f'{name} ({type(module).__name__})')

        return hook

    handles = [
        module.register_forward_hook(look(name))
        for name, module in model.named_modules() if name
    ]
    try:
        with optim_wrapper.optim_context(model):
            data = model.data_preprocessor(batch, True)
            losses = model._run_forward(data, mode='loss')
    finally:
        for handle in handles:
            handle.remove()
    if not found and not _is_finite(losses):
        found.append('the loss function')
    return found[0] if found else None


def _synchronises(model: nn.Module) -> bool:
    """Whether a forward pass waits for other processes, which may not run."""
    return any(isinstance(m, nn.SyncBatchNorm) for m in model.modules())


def _is_finite(value: Any) -> bool:
    """Whether all floating-point tensors in nested values are finite."""
    if isinstance(value, Tensor):
        return not value.is_floating_point() or bool(value.isfinite().all())
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, (list, tuple)):
        return True
    return all(map(_is_finite, value))
