"""Scores of predicted tags, the worst mistakes, and plots.

Takes gold and predicted tags with the model's probabilities and returns scores, mistakes, text and figures.
It may import the ground modules only; training, exports and the verbs import it.
"""
