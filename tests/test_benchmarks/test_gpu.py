"""benchmarks/gpu.sh on a CPU, with tiny sizes; no GPU is asked for."""
import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import gpu, gpu_step

ROOT = Path(__file__).resolve().parents[2]
A, R18 = 'reactnet-a', 'react-resnet18'


def test_modes():
    assert gpu_step.check_mode('compiled+bf16') == ['compiled', 'bf16']
    with pytest.raises(ValueError, match='fp8 is not one of fp32'):
        gpu_step.check_mode('fp8+bf16')
    for network, stage, _, mode in gpu.CASES:
        assert network in gpu_step.NETWORKS and stage in gpu_step.STAGES
        gpu_step.check_mode(mode)


def test_ours_keeps_less_than_the_naive_twin():
    kept = {}
    for mode in ('fp32', 'naive'):
        step = gpu_step.Step(R18, 2, 2, 32, mode, 'cpu')
        found = gpu_step.measure(step, rounds=1)
        kept[mode] = found['saved_bytes_per_image']
        assert found['images_per_second'] > 0
        assert 0 < found['convolution_share'] < 1
        assert found['peak_bytes'] is found['host_synchronizations'] is None
    assert kept['fp32'] < 0.5 * kept['naive']


def test_a_teacher_is_not_trained():
    step = gpu_step.Step(R18, 1, 2, 32, 'bf16+channels_last', 'cpu')
    before = [p.clone() for p in step.teacher.parameters()]
    first = step.student.fc.weight.clone()
    step()
    assert all(
        map(lambda a, b: (a == b).all(), before, step.teacher.parameters()))
    assert (first != step.student.fc.weight).any()


def test_script(tmp_path):
    """Without time every case is named, and the file is written."""
    results = tmp_path / 'results.json'
    script = ROOT / 'benchmarks' / 'gpu.sh'
    subprocess.run([script, results, '--minutes', '0'],
                   env=dict(
                       PATH='/usr/bin:/bin',
                       PYTHON=sys.executable,
                       WHEELS=str(tmp_path)),
                   check=True,
                   capture_output=True,
                   timeout=300)
    found = json.loads(results.read_text())
    cases = [row for row in found['results'] if 'network' in row]
    assert len(cases) == len(gpu.CASES)
    assert {row['error'] for row in cases} == {'no time left'}
    assert subprocess.run([script], capture_output=True).returncode == 2


@pytest.mark.slow
def test_measured(tiny_data, tmp_path):
    results = tmp_path / 'results.json'
    gpu.main([
        '--json',
        str(results), '--size', '32', '--batch', '2', '--rounds', '1',
        '--minutes', '30', '--data',
        str(tiny_data), '--train-options', 'train_dataloader.batch_size=128'
    ], [(R18, 2, 256, 'fp32'), (R18, 2, 256, 'fp8')])
    resumed, trained, good, bad = json.loads(results.read_text())['results']
    assert resumed['training'] == gpu.RESUME
    assert resumed['tensors'] > 50 and resumed['different'] == []
    stages = {k: v for k, v in trained.items() if k != 'training'}
    assert len(stages) == 3
    assert all(0 <= stage['top1'] <= 100 for stage in stages.values())
    assert good['batch'] == 2 and good['images_per_second'] > 0
    assert 'fp8' in bad['error']
