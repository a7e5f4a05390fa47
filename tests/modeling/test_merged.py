"""A merged label has the sum of the probabilities of its source labels."""

import numpy as np

from tfner.modeling.merged import Merged


def test_probabilities_add_up_and_a_label_without_sources_has_none():
    logits = np.random.default_rng(0).normal(size=(2, 3, 4)).astype(np.float32)
    merged = Merged([[2], [0, 3], [], [1]])(logits).numpy()
    raw = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    found = np.exp(merged) / np.exp(merged).sum(-1, keepdims=True)
    expected = np.stack([raw[..., 2], raw[..., 0] + raw[..., 3], np.zeros((2, 3)), raw[..., 1]], -1)
    np.testing.assert_allclose(found, expected, atol=1e-6)
