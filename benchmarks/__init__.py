"""What Simmer can do, measured on real processes: run as modules, such as `python -m benchmarks.backpressure`."""
