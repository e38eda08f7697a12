"""Counts, sums, means, quantiles and histograms with calibrated noise, by OpenDP.

Privacy:
    Pure epsilon-differential privacy. Neighbouring relation: add or remove one row. Unit: one row.
    Noise is OpenDP's discrete Laplace over whole numbers (and its noisy maximum for quantiles), so
    no floating-point pattern of the noise gives a value away. Bounds, categories, bins and
    candidates must be public knowledge; they are never read from the data.

Each function reserves its epsilon, notes durably that it is about to release, releases, and
commits. What is done to the rows before the noise is done to each row by itself: missing values are
left out, the others are clipped into the bounds and put on a grid of 2**20 steps.
"""

from __future__ import annotations

import itertools
import math
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar

from cloister_dp.accounting import NEIGHBORING_RELATION, PRIVACY_UNIT, check_epsilon
from cloister_dp.datasets import dataset_of
from cloister_dp.errors import DataUnsuitable, PrivacyParameterInvalid, PublicInputMissing
from cloister_dp.ledger import BrokerLedger, Cost, computation_key
from cloister_dp.spending import Spending

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt
    import pandas as pd

_T = TypeVar("_T")

_GRID = 2**20


def count(
    values: Any, *, epsilon: float, dataset: str | None = None, idempotency_key: str | None = None
) -> int:
    """Returns the noisy number of rows; missing values are counted.

    Args:
        values: A pandas or polars Series or DataFrame, an array or a list.
        epsilon: Above 0. The noise has standard deviation of about ``1.4 / epsilon``.
        dataset: Whose budget; what the guard noted on the values when left out.
        idempotency_key: A name for this one computation, so that it cannot be charged twice.

    Returns:
        The count; never below 0.

    Raises:
        BudgetExceeded: The budget does not cover ``epsilon``; nothing was computed.
        BrokerUnavailable: This is not a guarded kernel.
    """

    def release() -> int:
        return max(0, _laplace(len(values), sensitivity=1, epsilon=epsilon))

    return _charged("count", values, epsilon, dataset, idempotency_key, release)


def sum(  # noqa: A001 - the field's word; used as dp.sum
    values: Any,
    *,
    epsilon: float,
    bounds: tuple[float, float] | None = None,
    dataset: str | None = None,
    idempotency_key: str | None = None,
) -> float:
    """Returns the noisy sum of the values, each clipped into ``bounds``; missing ones add nothing.

    Args:
        values: Numbers: a pandas or polars Series, an array or a list.
        epsilon: Above 0. The noise has standard deviation of about
            ``1.4 * max(|low|, |high|) / epsilon``.
        bounds: Public ``(low, high)``; required.
        dataset: Whose budget; what the guard noted on the values when left out.
        idempotency_key: A name for this one computation, so that it cannot be charged twice.

    Raises:
        PublicInputMissing: ``bounds`` was left out.
        BudgetExceeded: The budget does not cover ``epsilon``; nothing was computed.
        BrokerUnavailable: This is not a guarded kernel.
    """
    low, high = _check_bounds(bounds)
    largest = max(abs(low), abs(high))
    step = largest / _GRID

    def release() -> float:
        clipped = _numbers(values).clip(low, high)
        whole = int(_whole(clipped / step).sum())
        return step * _laplace(whole, sensitivity=_GRID, epsilon=epsilon)

    return _charged("sum", values, epsilon, dataset, idempotency_key, release)


def mean(
    values: Any,
    *,
    epsilon: float,
    bounds: tuple[float, float] | None = None,
    dataset: str | None = None,
    idempotency_key: str | None = None,
) -> float:
    """Returns the noisy mean of the values that are not missing, each clipped into ``bounds``.

    Half of epsilon goes to the sum of distances from the middle of the bounds, half to the count,
    so the number of rows need not be public.

    Args:
        values: Numbers: a pandas or polars Series, an array or a list.
        epsilon: Above 0.
        bounds: Public ``(low, high)``; required. Tight bounds make a better mean.
        dataset: Whose budget; what the guard noted on the values when left out.
        idempotency_key: A name for this one computation, so that it cannot be charged twice.

    Returns:
        The mean; always within the bounds.

    Raises:
        PublicInputMissing: ``bounds`` was left out.
        BudgetExceeded: The budget does not cover ``epsilon``; nothing was computed.
        BrokerUnavailable: This is not a guarded kernel.
    """
    low, high = _check_bounds(bounds)
    middle, step = (low + high) / 2, (high - low) / 2 / _GRID

    def release() -> float:
        clipped = _numbers(values).clip(low, high)
        whole = int(_whole((clipped - middle) / step).sum())
        total = _laplace(whole, sensitivity=_GRID, epsilon=epsilon / 2)
        rows = max(1, _laplace(len(clipped), sensitivity=1, epsilon=epsilon / 2))
        return min(max(middle + step * total / rows, low), high)

    return _charged("mean", values, epsilon, dataset, idempotency_key, release)


def quantile(
    values: Any,
    q: float,
    *,
    epsilon: float,
    bounds: tuple[float, float] | None = None,
    candidates: Sequence[float] | None = None,
    dataset: str | None = None,
    idempotency_key: str | None = None,
) -> float:
    """Returns one of public candidates that is probably near the quantile.

    Args:
        values: Numbers: a pandas or polars Series, an array or a list.
        q: Which quantile, in [0, 1]; 0.5 is the median.
        epsilon: Above 0.
        bounds: Public ``(low, high)``; 513 candidates are spread evenly over it.
        candidates: Public candidates in place of ``bounds``.
        dataset: Whose budget; what the guard noted on the values when left out.
        idempotency_key: A name for this one computation, so that it cannot be charged twice.

    Raises:
        PublicInputMissing: Neither ``bounds`` nor ``candidates`` was given.
        BudgetExceeded: The budget does not cover ``epsilon``; nothing was computed.
        BrokerUnavailable: This is not a guarded kernel.
    """
    if not 0 <= q <= 1:
        raise PrivacyParameterInvalid("q is between 0 and 1.", remedy="The median is q=0.5.")
    if candidates is None:
        low, high = _check_bounds(bounds, or_else=" or candidates")
        points = [low + (high - low) * i / 512 for i in range(513)]
    else:
        points = sorted({float(c) for c in candidates})
        if not points or not all(math.isfinite(c) for c in points):
            raise PrivacyParameterInvalid(
                "candidates are one or more finite numbers.", remedy="Spread them over the range."
            )

    def release() -> float:
        rows = _numbers(values).clip(points[0], points[-1]).tolist()
        chosen: int = _noisy_quantile(tuple(points), q, epsilon)(rows)
        return points[chosen]

    return _charged("quantile", values, epsilon, dataset, idempotency_key, release)


def histogram(
    values: Any,
    *,
    epsilon: float,
    categories: Sequence[Any] | None = None,
    edges: Sequence[float] | None = None,
    dataset: str | None = None,
    idempotency_key: str | None = None,
) -> pd.Series:
    """Returns noisy counts of public categories or bins; a row is in at most one of them.

    Args:
        values: A pandas or polars Series, an array or a list.
        epsilon: Above 0, for the whole histogram.
        categories: Public categories; rows with another value are left out.
        edges: Public ascending edges of numeric bins ``[a, b)``, the last one ``[a, b]``, in place
            of ``categories``; values outside are left out.
        dataset: Whose budget; what the guard noted on the values when left out.
        idempotency_key: A name for this one computation, so that it cannot be charged twice.

    Returns:
        A pandas Series of whole numbers, never below 0, by category or ``(a, b)``.

    Raises:
        PublicInputMissing: Neither ``categories`` nor ``edges`` was given.
        BudgetExceeded: The budget does not cover ``epsilon``; nothing was computed.
        BrokerUnavailable: This is not a guarded kernel.
    """
    labels, tally = _bins(categories, edges)

    def release() -> pd.Series:
        import pandas as pd

        counts = tally(values)
        noisy = _laplace_vector(counts, epsilon)
        return pd.Series([max(0, n) for n in noisy], index=labels, name="count")

    return _charged("histogram", values, epsilon, dataset, idempotency_key, release)


def _charged(  # noqa: PLR0917 - private, and the callers read as one line
    name: str,
    values: Any,
    epsilon: float,
    dataset: str | None,
    idempotency_key: str | None,
    release: Callable[[], _T],
) -> _T:
    """Runs a release between reservation and commit; what is public was checked before."""
    check_epsilon(epsilon)
    if name != "count" and not hasattr(values, "__len__"):
        raise DataUnsuitable(
            f"{type(values).__name__} is no column of values.",
            remedy="Pass a Series, array or list.",
        )
    _noise(1, 1, epsilon)  # OpenDP says now, not after the data is touched, if it has no such noise
    cost = Cost(
        dataset_of(values, dataset),
        epsilon,
        0.0,
        {
            "mechanism": f"opendp.{name}",
            "neighboring_relation": NEIGHBORING_RELATION,
            "unit": PRIVACY_UNIT,
        },
        computation_key(idempotency_key),
    )
    with Spending(BrokerLedger(), cost) as spending:
        spending.begin()
        return release()


def _check_bounds(bounds: tuple[float, float] | None, *, or_else: str = "") -> tuple[float, float]:
    if bounds is None:
        raise PublicInputMissing(
            "bounds are needed: how far one row can move the answer decides how much noise hides"
            " it, and bounds read off the data would publish its extreme values.",
            remedy=f"Pass bounds=(low, high){or_else} that anybody could name without the data.",
        )
    low, high = float(bounds[0]), float(bounds[1])
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise PrivacyParameterInvalid(
            "bounds are two finite numbers, the lower one first.", remedy="For instance (0, 120)."
        )
    return low, high


def _bins(
    categories: Sequence[Any] | None, edges: Sequence[float] | None
) -> tuple[pd.Index, Callable[[Any], list[int]]]:
    """Returns the public labels of a histogram and what counts rows by them."""
    import numpy as np
    import pandas as pd

    if (categories is None) == (edges is None):
        raise PublicInputMissing(
            "A histogram takes categories or edges, one of them; labels read off the data would"
            " publish that a rare one exists.",
            remedy="Pass categories=[...] from the codebook, or edges=[...] for numbers.",
        )
    if categories is not None:
        labels = pd.Index(list(categories))
        if not len(labels) or labels.has_duplicates or labels.hasnans:
            raise PrivacyParameterInvalid(
                "categories are one or more different values.",
                remedy="Remove repeated and null ones.",
            )

        def tally_categories(values: Any) -> list[int]:
            found = labels.get_indexer(pd.Index(_array(values)))
            return [int(n) for n in np.bincount(found[found >= 0], minlength=len(labels))]

        return labels, tally_categories
    breaks = [float(x) for x in edges or ()]
    ascends = all(a < b for a, b in itertools.pairwise(breaks))
    if len(breaks) < 2 or not ascends or not all(math.isfinite(x) for x in breaks):
        raise PrivacyParameterInvalid(
            "edges are two or more finite numbers in ascending order.",
            remedy="For instance edges=[0, 18, 40, 65, 120].",
        )

    def tally_edges(values: Any) -> list[int]:
        return [int(n) for n in np.histogram(_numbers(values), bins=breaks)[0]]

    return pd.IntervalIndex.from_breaks(breaks, closed="left"), tally_edges


def _array(values: Any) -> npt.NDArray[Any]:
    import numpy as np

    if hasattr(values, "to_numpy"):
        return np.asarray(values.to_numpy())
    return np.asarray(values)


def _numbers(values: Any) -> npt.NDArray[Any]:
    """Returns the values that are not missing, as 64-bit floats."""
    import numpy as np

    try:
        if hasattr(values, "isna"):  # pandas, whose nullable types know no plain conversion
            numbers = values.to_numpy(dtype="float64", na_value=math.nan)
        elif hasattr(values, "to_numpy"):
            numbers = values.to_numpy().astype("float64")
        else:
            numbers = np.asarray(values, dtype="float64")
    except (TypeError, ValueError):
        raise DataUnsuitable(
            "These values are not numbers.", remedy="Convert the column first: pd.to_numeric(...)."
        ) from None
    if numbers.ndim != 1:
        raise DataUnsuitable(
            f"One column is needed; these values have {numbers.ndim} dimensions.",
            remedy='Select one: df["age"].',
        )
    present: npt.NDArray[Any] = numbers[~np.isnan(numbers)]
    return present


def _whole(numbers: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Rounds to whole grid steps; at most 2**20 each, so sums of 2**42 rows stay exact."""
    import numpy as np

    whole: npt.NDArray[Any] = np.rint(numbers).clip(-_GRID, _GRID).astype("int64")
    return whole


def _laplace(exact: int, *, sensitivity: int, epsilon: float) -> int:
    return int(_noise(1, sensitivity, epsilon)(exact))


def _laplace_vector(exact: Sequence[int], epsilon: float) -> list[int]:
    return [int(n) for n in _noise(2, 1, epsilon)(list(exact))]


@lru_cache(maxsize=64)
def _noise(dimensions: int, sensitivity: int, epsilon: float) -> Any:
    """Returns OpenDP's discrete Laplace mechanism for a number (1) or a list of counts (2).

    OpenDP finds the scale itself and proves that it costs at most ``epsilon``. It is 64 bits wide:
    OpenDP's default integer has 32, and a sum of more saturates without a word.
    """
    import opendp.prelude as dp

    dp.enable_features("contrib")
    if dimensions == 1:
        space = dp.atom_domain(T="i64"), dp.absolute_distance(T="i64")
    else:
        space = dp.vector_domain(dp.atom_domain(T="i64")), dp.l1_distance(T="i64")
    try:
        return dp.binary_search_chain(
            lambda scale: space >> dp.m.then_laplace(scale), d_in=sensitivity, d_out=float(epsilon)
        )
    except dp.OpenDPException:
        raise PrivacyParameterInvalid(
            "There is no noise for this epsilon: it is too small or too large.",
            remedy="Choose an epsilon between 0.001 and 10.",
        ) from None


@lru_cache(maxsize=16)
def _noisy_quantile(points: tuple[float, ...], q: float, epsilon: float) -> Any:
    import opendp.prelude as dp

    dp.enable_features("contrib")
    rows = dp.vector_domain(dp.atom_domain(T=float, nan=False)), dp.symmetric_distance()
    scores = rows >> dp.t.then_quantile_score_candidates(list(points), alpha=q)
    return dp.binary_search_chain(
        lambda scale: scores >> dp.m.then_noisy_max(dp.max_divergence(), scale, negate=True),
        d_in=1,
        d_out=float(epsilon),
    )
