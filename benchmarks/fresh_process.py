"""What a fresh process measures about itself: see processes.py.

Nothing is imported here that a user's program would not import.
"""
import json
import sys
import time
from pathlib import Path

#: Calls after the first one.
CALLS = 50


def memory(key: str) -> float:
    """Of this process, in 1e6 bytes: VmRSS (resident) or VmHWM (its peak)."""
    for line in Path('/proc/self/status').read_text().splitlines():
        if line.startswith(f'{key}:'):
            return int(line.split()[1]) * 1024 / 1e6
    raise RuntimeError(f'/proc/self/status has no {key}.')


def load_nothing(path):
    return None


def load_native(path):
    from mmreact.packed import PackedModel
    return PackedModel(path, 'native', 1)


def load_onnxruntime(path):
    import onnxruntime
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options,
                                           ['CPUExecutionProvider'])
    name = session.get_inputs()[0].name
    return lambda x: session.run(None, {name: x})[0]


def load_openvino(path):
    import openvino
    config = dict(PERFORMANCE_HINT='LATENCY', INFERENCE_NUM_THREADS=1)
    compiled = openvino.Core().compile_model(path, 'CPU', config)
    request = compiled.create_infer_request()
    return lambda x: request.infer({0: x}, share_inputs=True)[0]


#: What a process runs -> (module that it imports first, function of a file).
LOADERS = dict(
    nothing=('numpy', load_nothing),
    native=('mmreact.packed', load_native),
    onnxruntime=('onnxruntime', load_onnxruntime),
    openvino=('openvino', load_openvino))


def measure(loader: str, path: str, size: int) -> dict:
    """Load a file and run it. Milliseconds and 1e6 bytes."""

    def clock(function, *args):
        start = time.perf_counter()
        result = function(*args)
        return 1000 * (time.perf_counter() - start), result

    module, load = LOADERS[loader]
    found = {}
    found['import_ms'], _ = clock(__import__, module)
    import numpy as np
    found['load_ms'], run = clock(load, path)
    if run is not None:
        x = np.sin(np.arange(3 * size * size, dtype=np.float32))
        x = x.reshape(1, 3, size, size)
        found['first_call_ms'], _ = clock(run, x)
        found['later_call_ms'] = min(clock(run, x)[0] for _ in range(CALLS))
    found['resident_mb'] = memory('VmRSS')
    found['peak_mb'] = memory('VmHWM')
    found['torch'] = 'torch' in sys.modules
    return found


if __name__ == '__main__':
    print(json.dumps(measure(sys.argv[1], sys.argv[2], int(sys.argv[3]))))
