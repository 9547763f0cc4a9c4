"""Measures of speed, side by side; run from the project's folder: `python -m benchmarks.predict_many`."""
