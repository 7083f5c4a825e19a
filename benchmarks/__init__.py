"""How fast packed networks are, beside what a user would run instead.

And how fast images are prepared for training. ``python -m benchmarks.run_all``
measures, ``python -m benchmarks.report`` writes tables of the results into
docs/performance.md and docs/training.md. ``tools/deployment/benchmark.py``
times one packed file.
"""
