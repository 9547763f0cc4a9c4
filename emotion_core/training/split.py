"""Which rows are trained on and which are kept for testing: the notebook's split."""

from __future__ import annotations

import numpy as np

from ..messages import EmotionError
from .config import TrainingConfig


def split(rows: int, config: TrainingConfig) -> tuple[np.ndarray, np.ndarray]:
    """Row numbers to train on and to test on, int64, in the order scikit-learn gives them.

    The same rows as `train_test_split(table, test_size=…, random_state=seed)`, which the notebook
    called: a random split, not stratified. Raises EmotionError for too few rows.
    """
    from sklearn.model_selection import train_test_split

    if rows < 2:
        raise EmotionError("error.split.rows", rows=rows)
    seed = config.seed if config.split_seed is None else config.split_seed
    train, test = train_test_split(np.arange(rows), test_size=config.test_size, random_state=seed)
    return train, test
