"""Training: the checks before it, devices, schedule, step, optimizer, checkpoints, the run, and its state on disk.

Takes a `Config` and a `Corpus` and returns a `TrainedModel`, whose state is kept in `NAME/training/N`.
It may import everything up to `tagging`; `exports` and the verbs import it.
"""
