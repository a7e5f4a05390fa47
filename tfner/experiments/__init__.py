"""Many trainings, compared: a plan of runs, their scores, what can be claimed about them, a report.

Takes variants, seeds and settings to vary. Each run is a training of its own, made by `python -m tfner.train`.
"""
