"""The parts of :mod:`benchmarks.gpu_acceptance`, each a module with a function ``run(bench)``."""
