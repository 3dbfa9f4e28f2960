"""What is noise: intervals of means over images, and paired tests between two methods.

Images are taken as independent draws. Frames of one video are not: give a set one frame a scene.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

Floats = NDArray[np.float64]

CONFIDENCE = 0.95
RESAMPLES = 10_000
EXACT_UP_TO = 16
"""Pairs up to which all 2^n sign flips are tried."""

_DRAWS = 2**EXACT_UP_TO
_BLOCK = 4096


def bootstrap_interval(
    values: ArrayLike, *, confidence: float = CONFIDENCE, seed: int = 0
) -> tuple[Floats, Floats]:
    """Bootstrap confidence interval of the mean over images, for each column.

    The percentile interval, with its level expanded for few images: the plain one is too narrow
    by sqrt((n - 1) / n) and takes a normal quantile where Student's belongs (Hesterberg, "What
    Teachers Should Know About the Bootstrap", The American Statistician 69(4), 2015).

    Args:
        values: n images by K columns, finite.
        confidence: Level, between 0 and 1.
        seed: Of the resampling; the same values and seed give the same interval.

    Returns:
        Lower and upper ends, K each; NaN for fewer than two images.
    """
    table = np.asarray(values, np.float64)
    n, columns = table.shape
    if n < 2:
        return np.full(columns, np.nan), np.full(columns, np.nan)
    rng = np.random.default_rng(seed)
    means = np.empty((RESAMPLES, columns))
    for start in range(0, RESAMPLES, _BLOCK):
        stop = min(start + _BLOCK, RESAMPLES)
        # How often each image is drawn; a product of counts costs less than gathering rows.
        counts = rng.multinomial(n, np.full(n, 1 / n), size=stop - start)
        means[start:stop] = counts @ table / n
    quantile = special.stdtrit(n - 1, (1 - confidence) / 2) * np.sqrt(n / (n - 1))
    tail = float(special.ndtr(quantile))
    low, high = np.quantile(means, [tail, 1 - tail], axis=0)
    return low, high


def paired_p_values(differences: ArrayLike, *, seed: int = 0) -> Floats:
    """Two-sided sign-flip test of mean difference zero, for each column.

    Under the null hypothesis a method is as likely to be ahead on an image as behind by the same
    amount, so every pattern of signs is equally likely (Fisher's randomisation test). Up to
    `EXACT_UP_TO` images all patterns are counted, beyond it 65 536 random ones besides the
    observed one, which keeps the test valid (Phipson and Smyth, 2010).

    Args:
        differences: n images by K columns: one method's scores minus the other's.
        seed: Of the random patterns.

    Returns:
        p-values in (0, 1], K. With n images none is below 2^(1 - n).
    """
    table = np.asarray(differences, np.float64)
    n, columns = table.shape
    if n == 0:
        return np.ones(columns)
    observed = np.abs(table.sum(axis=0))
    # Sums in another order differ in the last bits; a tie must count as one.
    threshold = observed - 1e-9 * np.abs(table).sum(axis=0)
    exact = n <= EXACT_UP_TO
    draws = 2**n if exact else _DRAWS
    rng = np.random.default_rng(seed)
    reached = np.zeros(columns)
    for start in range(0, draws, _BLOCK):
        stop = min(start + _BLOCK, draws)
        if exact:
            flips = np.arange(start, stop)[:, None] >> np.arange(n) & 1
        else:
            flips = rng.integers(0, 2, (stop - start, n))
        reached += (np.abs((1.0 - 2.0 * flips) @ table) >= threshold).sum(axis=0)
    return reached / draws if exact else (reached + 1) / (draws + 1)


def holm(p_values: ArrayLike) -> Floats:
    """Adjust the p-values of one family of tests so that one false alarm in it stays unlikely.

    Holm, "A Simple Sequentially Rejective Multiple Test Procedure", Scandinavian J. Statistics 6,
    1979: the smallest is multiplied by the number of tests, the next by one less, and so on.

    Args:
        p_values: Any shape; all of them are one family.

    Returns:
        Adjusted p-values of the same shape, at most 1.
    """
    p = np.asarray(p_values, np.float64)
    flat = p.ravel()
    order = np.argsort(flat, kind="stable")
    steps = flat[order] * np.arange(flat.size, 0, -1)
    adjusted = np.empty_like(flat)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return adjusted.reshape(p.shape)


def smallest_p(images: int) -> float:
    """The smallest p-value that so many images can give."""
    return 2.0 ** (1 - images) if images <= EXACT_UP_TO else 1 / (_DRAWS + 1)
