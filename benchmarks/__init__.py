"""Benchmarks: run by hand (``python -m benchmarks``), reported in ``docs/benchmarks.md``, never timed inside a test."""
