"""Two and four processes train like one, over gloo on the CPU.

The judge is one process that gives each rank's images to its own copy of the
model, averages the gradients and does Adam's arithmetic itself.
"""
import copy
import os
import socket
import time

import pytest
import torch
import torch.multiprocessing as mp
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODEL_WRAPPERS, init_default_scope
from mmpretrain.models import ClsDataPreprocessor
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample
from torch import distributed as dist

from mmreact import compat
from mmreact.engine.stages import Run, train_plan
from mmreact.models import DistilledImageClassifier  # noqa: F401, registers

CHUNK, STEPS = 4, 2
LR, DECAY = 1e-2, 0.1
CASES = {
    'scaled sign':
    dict(weight_binarizer='scaled_sign'),
    'scaled sign, norms in eval':
    dict(weight_binarizer='scaled_sign', norm_eval=True),
    'real':
    dict(weight_binarizer='real'),
    'real, norms in eval':
    dict(weight_binarizer='real', norm_eval=True),
}
EVAL = [name for name in CASES if 'eval' in name]
TEACHER = dict(
    type='ImageClassifier',
    backbone=dict(
        type='ResNet',
        depth=18,
        in_channels=1,
        stem_channels=4,
        base_channels=4),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(type='LinearClsHead', num_classes=10, in_channels=32))


class DoublePreprocessor(ClsDataPreprocessor):
    """MMPretrain's preprocessor makes float32."""

    def forward(self, data, training=False):
        data = super().forward(data, training)
        return dict(data, inputs=data['inputs'].double())


def build(case, checkpoint, seed):
    """A student in float64 with the statistics of some training."""
    torch.manual_seed(seed)
    model = MODELS.build(
        dict(
            type='DistilledImageClassifier',
            backbone=dict(
                type='ReActNet',
                arch=[(32, 2), (64, 2), (64, 1)],
                in_channels=1,
                stem_channels=16,
                **CASES[case]),
            neck=dict(type='GlobalAveragePooling'),
            head=dict(
                type='DistributionalLossHead', num_classes=10, in_channels=64),
            teacher=dict(model=copy.deepcopy(TEACHER), checkpoint=checkpoint)))
    model.data_preprocessor = DoublePreprocessor(mean=[72.94], std=[90.02])
    torch.manual_seed(7)  # DDP hands out parameters, but not these
    for name, value in model.state_dict().items():
        if 'running' in name:
            value.uniform_(0.5, 2)
    return model.double().train()


def batch(step, ranks, rank=None):
    """The images of a step, of one rank or all."""
    torch.manual_seed(100 + step)
    size = ranks * CHUNK
    images = torch.randint(0, 256, (size, 1, 32, 32), dtype=torch.uint8)
    mine = range(size) if rank is None else range(rank * CHUNK,
                                                  (rank + 1) * CHUNK)
    return dict(
        inputs=images[list(mine)],
        data_samples=[DataSample().set_gt_label(i % 10) for i in mine])


def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


def train_case(case, checkpoint, rank):
    """Train on this rank's images; return what can be compared."""
    # Another start on each rank: DDP hands out rank 0's.
    model = build(case, checkpoint, seed=rank)
    ddp = MODEL_WRAPPERS.build(
        compat.cpu_model_wrapper(), default_args=dict(module=model))
    wrapper = build_optim_wrapper(
        ddp,
        dict(
            optimizer=dict(type='Adam', lr=LR, weight_decay=DECAY),
            constructor='BinaryOptimWrapperConstructor'))
    gradients = []
    wrapper.optimizer.register_step_pre_hook(
        lambda *_: gradients.append({
            name: p.grad.clone()
            for name, p in model.named_parameters()
        }))
    losses = [
        ddp.train_step(batch(step, dist.get_world_size(), rank),
                       wrapper)['loss'].item() for step in range(STEPS)
    ]
    teacher = model.teacher._module
    theirs = {id(t) for t in (*teacher.parameters(), *teacher.buffers())}
    learning = [
        name for name, p in teacher.named_parameters()
        if p.requires_grad or p.grad is not None
    ]
    logging = ddp._get_ddp_logging_data()
    return dict(
        wrapper=type(ddp).__name__,
        losses=losses,
        gradients=gradients,
        state=model.state_dict(),
        teacher_size=len(theirs),
        teacher_learns=learning,
        shared=len(theirs
                   & {id(t)
                      for t in (*ddp.parameters(), *ddp.buffers())}),
        reduced=(logging['num_parameter_tensors'],
                 logging['total_parameter_size_bytes']),
        teacher_state=teacher.state_dict())


def failing_plan(folder):
    """The error of a training whose data are missing."""
    cfg = Config(
        dict(
            model=TEACHER,
            optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
            train_cfg=dict(by_epoch=True, max_epochs=1),
            train_dataloader=dict(
                dataset=dict(type='FashionMNIST', data_root='no/such/root'))))
    try:
        train_plan([Run('a', cfg, folder)])
    except FileNotFoundError as error:
        return str(error)


def work(rank, ranks, folder, port):
    """One of the processes."""
    torch.set_num_threads(1)
    os.environ.update(
        RANK=str(rank),
        LOCAL_RANK=str(rank),
        WORLD_SIZE=str(ranks),
        MASTER_ADDR='127.0.0.1',
        MASTER_PORT=str(port))
    compat.init_cpu_distributed('pytorch')
    init_default_scope('mmpretrain')
    results = {
        case: train_case(case, str(folder / 'teacher.pth'), rank)
        for case in CASES
    }
    results['backend'] = dist.get_backend()
    results['failing plan'] = failing_plan(folder / 'work')
    torch.save(results, folder / f'{rank}.pth')
    dist.barrier()
    dist.destroy_process_group()


@pytest.fixture(
    scope='module',
    params=[2, pytest.param(4, marks=pytest.mark.slow)],
    ids='{} ranks'.format)
def folder(request, tmp_path_factory):
    """What all processes have written: a file each."""
    init_default_scope('mmpretrain')
    folder = tmp_path_factory.mktemp('distributed')
    torch.manual_seed(9)
    torch.save(MODELS.build(TEACHER).state_dict(), folder / 'teacher.pth')
    ranks = request.param
    context = mp.spawn(work, (ranks, folder, free_port()), ranks, join=False)
    deadline = time.monotonic() + 600
    while not context.join(timeout=1):
        if time.monotonic() > deadline:
            for process in context.processes:
                process.kill()
            raise AssertionError('The processes wait for each other.')
    return folder


@pytest.fixture(scope='module')
def ranks(folder):
    files = folder.glob('[0-9].pth')
    return [torch.load(path) for path in sorted(files)]


class Adam:
    """Adam with weight decay on convolutions, as in the paper."""

    def __init__(self):
        self.m, self.v, self.t = {}, {}, 0

    def step(self, model, gradients):
        self.t += 1
        for name, p in model.named_parameters():
            g = gradients[name]
            if p.dim() == 4 and name.endswith('weight'):
                g = g + DECAY * p.detach()
            self.m[name] = 0.9 * self.m.get(name, 0) + 0.1 * g
            self.v[name] = 0.999 * self.v.get(name, 0) + 0.001 * g**2
            m = self.m[name] / (1 - 0.9**self.t)
            v = self.v[name] / (1 - 0.999**self.t)
            p.data -= LR * m / (v.sqrt() + 1e-8)


def gradients_of(model, data):
    model.zero_grad()
    loss = model(**model.data_preprocessor(data, True), mode='loss')['loss']
    loss.backward()
    return loss.item(), {n: p.grad for n, p in model.named_parameters()}


def judge(case, checkpoint, ranks, undivided):
    """``(losses, gradients)`` of each step and the models of the ranks."""
    init_default_scope('mmpretrain')
    first = build(case, checkpoint, seed=0)
    copies = 0 if undivided else ranks - 1
    models = [first, *(copy.deepcopy(first) for _ in range(copies))]
    adams = [Adam() for _ in models]
    steps = []
    for step in range(STEPS):
        parts = [
            gradients_of(model, batch(step, ranks,
                                      None if undivided else rank))
            for rank, model in enumerate(models)
        ]
        mean = {
            name: sum(part[1][name] for part in parts) / len(parts)
            for name in parts[0][1]
        }
        for model, adam in zip(models, adams):
            adam.step(model, mean)
        steps.append(([part[0] for part in parts], mean))
    return steps, models


def assert_close(given, expected, what):
    """Relative to the largest element, 1e-10."""
    assert given.dtype == expected.dtype and given.shape == expected.shape
    difference = (given - expected).abs().max()
    assert difference <= 1e-10 * expected.abs().max(), (what, difference)


@pytest.mark.parametrize('case', CASES)
def test_ranks_agree(ranks, case):
    a, *others = (result[case] for result in ranks)
    assert a['wrapper'] == 'MMDistributedDataParallel'
    assert ranks[0]['backend'] == 'gloo' and len(ranks) in (2, 4)
    for b in others:
        assert a['losses'] != b['losses']  # they saw other images
        for name, value in a['state'].items():
            statistic = 'running' in name and 'eval' not in case
            assert torch.equal(value, b['state'][name]) != statistic, name
        for one, other in zip(a['gradients'], b['gradients']):
            for name in one:
                assert torch.equal(one[name], other[name]), name


@pytest.mark.parametrize('case,undivided',
                         [(case, False)
                          for case in CASES] + [(case, True) for case in EVAL])
def test_like_one_process(folder, ranks, case, undivided):
    """The average over ranks; with norms in eval, the undivided batch."""
    steps, models = judge(case, str(folder / 'teacher.pth'), len(ranks),
                          undivided)
    results = [result[case] for result in ranks]
    for i, (losses, gradients) in enumerate(steps):
        given = [result['losses'][i] for result in results]
        if undivided:
            given = [sum(given) / len(given)]
        assert given == pytest.approx(losses, rel=1e-6)  # logged in float32
        for name, gradient in gradients.items():
            assert gradient.abs().max() > 0, name
            assert_close(results[0]['gradients'][i][name], gradient, name)
    for result, model in zip(results, models):
        for name, value in model.state_dict().items():
            if value.is_floating_point():
                assert_close(result['state'][name], value, name)


@pytest.mark.parametrize('case', CASES)
def test_updates_are_no_formality(folder, ranks, case):
    """All parameters have moved, most by about the learning rate."""
    init_default_scope('mmpretrain')
    start = build(case, str(folder / 'teacher.pth'), seed=0)
    state = ranks[0][case]['state']
    for name, p in start.named_parameters():
        assert (state[name] - p).abs().max() > 0.5 * LR, name


@pytest.mark.parametrize('case', CASES)
def test_the_teacher_is_not_reduced(folder, ranks, case):
    student = list(build(case, '', seed=0).parameters())
    saved = torch.load(folder / 'teacher.pth')
    for result in (r[case] for r in ranks):
        assert result['teacher_size'] == len(saved) and not result['shared']
        assert result['teacher_learns'] == []
        assert result['reduced'] == (len(student),
                                     sum(8 * p.numel() for p in student))
        for name, value in saved.items():
            assert torch.equal(result['teacher_state'][name].to(value),
                               value), name


def test_an_error_of_rank_0_stops_all(ranks):
    for result in ranks:
        assert 'no/such/root' in result['failing plan']
        assert '--data-root' in result['failing plan']
