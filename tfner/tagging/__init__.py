"""Tags texts with a model, whether it is in memory, in a folder or behind a server.

Takes texts or sentences of words, and returns entities, or tags with probabilities.
Imports `modeling`, `data` and the ground; `training`, `exports` and the verbs import it.
"""
