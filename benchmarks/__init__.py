"""How fast packed networks are, beside what a user would run instead.

``python -m benchmarks.run_all`` measures, ``python -m benchmarks.report``
writes docs/performance.md of the results. ``tools/deployment/benchmark.py``
times one packed file.
"""
