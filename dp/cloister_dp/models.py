"""Private scikit-learn models: diffprivlib's, with its known traps closed.

What is done around each fit, and why:

- Epsilon is reserved, and its use noted durably, before data is read. A fit is charged once.
- Features are clipped into public bounds and put on [-1, 1], each row by itself; missing values
  become the middle. diffprivlib takes the width of the bounds as sensitivity, which covers what a
  row can do only when zero lies between them.
- Classes are public. diffprivlib reads them from the data without a word, so one made-up row of
  each class is added, and a label that is none of them counts as an average row of the first.
- A ``PrivacyLeakWarning`` is an error, seeds are refused, and attributes that diffprivlib keeps
  without noise are removed.

Privacy:
    Pure epsilon-differential privacy. Neighbouring relation: replace one row, so the number of rows
    is public. GaussianNB and KMeans are fitted with half of epsilon, because a replaced row leaves
    one class or cluster and enters another. Noise is drawn in floating point, whose low bits may
    give a value away to somebody who sees many outputs (diffprivlib issue 94); for statistics use
    ``cloister_dp.count`` and its siblings, which do not have that flaw.
"""

# ruff: noqa: N803 - X is what scikit-learn's users call it

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, Any, ClassVar, Self

from cloister.core.carried import column_notes
from cloister.core.entities import names_people

from cloister_dp.accounting import PRIVACY_UNIT, check_epsilon
from cloister_dp.datasets import dataset_of
from cloister_dp.errors import (
    ColumnRefused,
    DataUnsuitable,
    PrivacyParameterInvalid,
    PublicInputMissing,
    UnsafeMechanism,
)
from cloister_dp.ledger import BrokerLedger, Cost, computation_key
from cloister_dp.spending import Spending
from cloister_dp.tracking import autologging_disabled

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np

    Bounds = Mapping[str, tuple[float, float]] | Sequence[tuple[float, float]]

__all__ = [
    "PCA",
    "GaussianNB",
    "KMeans",
    "LinearRegression",
    "LogisticRegression",
    "StandardScaler",
]

NEIGHBORING_RELATION = "replace-one"

_OURS = ("data_norm", "accountant", "epsilon", "bounds", "classes")


class _PrivateModel:
    """What the models share.

    Args:
        epsilon: Above 0; charged at each fit.
        bounds: Public ``{column: (low, high)}`` for a frame, or one pair for each column of an
            array. Columns of booleans need none.
        options: What the model itself takes.
    """

    _options: ClassVar[tuple[str, ...]] = ()
    _share: ClassVar[float] = 1.0

    def __init__(self, *, epsilon: float, bounds: Bounds | None = None, **options: Any) -> None:
        check_epsilon(epsilon)
        for name in options:
            self._refuse_option(name)
        self.epsilon = epsilon
        self.bounds = bounds
        self.options = options
        self.estimator: Any = None
        self.reservation: str | None = None
        self._columns: tuple[str, ...] | None = None
        self._scale: tuple[np.ndarray, np.ndarray] | None = None

    def __repr__(self) -> str:
        state = "not fitted" if self.estimator is None else "fitted"
        return f"{type(self).__name__}(epsilon={self.epsilon:g}, {state})"

    def _refuse_option(self, name: str) -> None:
        if name == "random_state":
            raise UnsafeMechanism(
                "With a seed the noise can be computed again and subtracted.",
                remedy="Leave random_state out.",
            )
        if name not in self._options:
            raise PrivacyParameterInvalid(
                f"{type(self).__name__} takes no {name!r} here.",
                remedy=f"It takes: {', '.join(('epsilon', 'bounds', *self._options))}.",
            )

    def _make(self, width: int) -> Any:
        raise NotImplementedError

    def _fit(
        self, data: Any, labels: Any, dataset: str | None, idempotency_key: str | None
    ) -> Self:
        self._columns, middle, half = _check_features(data, self.bounds)
        estimator = self._make(len(middle))
        try:
            estimator._validate_params()  # noqa: SLF001 - the only check before fit(), which is charged
        except ValueError:
            raise PrivacyParameterInvalid(
                f"An option of {type(self).__name__} is out of range.",
                remedy="See scikit-learn's documentation of its parameters.",
            ) from None
        cost = Cost(
            dataset_of(data, dataset),
            self.epsilon,
            0.0,
            {
                "mechanism": f"diffprivlib.{type(self).__name__}",
                "neighboring_relation": NEIGHBORING_RELATION,
                "unit": PRIVACY_UNIT,
            },
            computation_key(idempotency_key),
        )
        with autologging_disabled(), Spending(BrokerLedger(), cost) as spending:
            self.reservation = spending.reservation
            spending.begin()
            self._scale = (middle, half)
            self._fit_quietly(estimator, self._inputs(data), labels)
        self.estimator = estimator
        return self

    def _fit_quietly(self, estimator: Any, rows: np.ndarray, labels: Any) -> None:
        from diffprivlib.utils import PrivacyLeakWarning

        try:
            with warnings.catch_warnings():
                # Whether a fit converged, or divided by zero, is a fact of the rows.
                warnings.simplefilter("ignore")
                warnings.simplefilter("error", PrivacyLeakWarning)
                self._fit_estimator(estimator, rows, labels)
        except PrivacyLeakWarning:
            raise UnsafeMechanism(
                "diffprivlib wanted to read a bound from the data.",
                remedy="Give every bound; if this stays, do not use this model.",
            ) from None
        except Exception as error:  # noqa: BLE001 - the text of a numerical error may hold data
            raise DataUnsuitable(
                f"The model could not be fitted ({type(error).__name__}); its epsilon is charged.",
                remedy="Try another epsilon or other options.",
            ) from None

    def _fit_estimator(self, estimator: Any, rows: np.ndarray, labels: Any) -> None:
        del labels
        estimator.fit(rows)

    def _inputs(self, data: Any) -> np.ndarray:
        import numpy as np

        if self._scale is None:
            raise DataUnsuitable("The model is not fitted yet.", remedy="Call fit() first.")
        middle, half = self._scale
        columns = range(len(middle)) if self._columns is None else self._columns
        cells = [_numbers(data, name) for name in columns]
        scaled = (np.stack(cells, axis=1) - middle) / half
        inputs: np.ndarray = np.nan_to_num(scaled, nan=0.0).clip(-1.0, 1.0)
        return inputs


class _Classifier(_PrivateModel):
    """A model that predicts one of public classes; ``classes`` is required."""

    def __init__(
        self,
        *,
        epsilon: float,
        bounds: Bounds | None = None,
        classes: Sequence[Any] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(epsilon=epsilon, bounds=bounds, **options)
        if classes is None:
            raise PublicInputMissing(
                "classes are needed: read off the data they would publish that a rare one exists.",
                remedy="Pass classes=[...] from the codebook, for instance classes=[0, 1].",
            )
        self.classes = tuple(classes)
        if len(self.classes) < 2 or len(set(self.classes)) != len(self.classes):
            raise PrivacyParameterInvalid(
                "classes are two or more different values.", remedy="For instance [0, 1]."
            )

    def fit(
        self, X: Any, y: Any, *, dataset: str | None = None, idempotency_key: str | None = None
    ) -> Self:
        """Fits the model and charges the dataset's budget.

        Args:
            X: A pandas frame of numeric columns, or an array ``[rows, columns]``.
            y: Labels, one for each row.
            dataset: Whose budget; what the guard noted on ``X`` when left out.
            idempotency_key: A name for this one fit, so that it cannot be charged twice.

        Raises:
            BudgetExceeded: The budget does not cover ``epsilon``; nothing was read.
            BrokerUnavailable: This is not a guarded kernel.
            CloisterError: Something else that is refused, with a remedy.
        """
        if not hasattr(y, "__len__") or len(y) != len(X):
            raise DataUnsuitable("There is one label for each row.", remedy="Check y.")
        return self._fit(X, y, dataset, idempotency_key)

    def predict(self, X: Any) -> np.ndarray:
        """Returns a class for each row."""
        import numpy as np

        inputs = self._inputs(X)
        predicted: np.ndarray = np.asarray(self.classes)[self.estimator.predict(inputs).astype(int)]
        return predicted

    def predict_proba(self, X: Any) -> np.ndarray:
        """Returns probabilities, ``[rows, classes]`` in the order of ``classes``."""
        inputs = self._inputs(X)
        probabilities: np.ndarray = self.estimator.predict_proba(inputs)
        return probabilities

    def _fit_estimator(self, estimator: Any, rows: np.ndarray, labels: Any) -> None:
        import numpy as np
        import pandas as pd

        found = pd.Index(list(self.classes)).get_indexer(pd.Index(np.asarray(labels)))
        rows = np.where((found < 0)[:, None], 0.0, rows)
        every = np.arange(len(self.classes))
        rows = np.concatenate([rows, np.zeros((len(every), rows.shape[1]))])
        estimator.fit(rows, np.concatenate([found.clip(min=0), every]))


class LogisticRegression(_Classifier):
    """Logistic regression by objective perturbation (Chaudhuri et al. 2011, JMLR 12).

    Options: ``C``, ``tol``, ``max_iter``, ``fit_intercept``. The proof supposes that the solver
    reaches the minimum. ``coef_`` and ``intercept_`` belong to features on [-1, 1].
    """

    _options = ("C", "tol", "max_iter", "fit_intercept")

    def _make(self, width: int) -> Any:
        from diffprivlib.accountant import BudgetAccountant
        from diffprivlib.models import LogisticRegression as Published

        return Published(
            epsilon=self.epsilon,
            data_norm=math.sqrt(width),  # the longest row of features on [-1, 1]
            accountant=BudgetAccountant(),
            **{"max_iter": 1000, **self.options},
        )

    @property
    def coef_(self) -> np.ndarray:
        """Coefficients for features on [-1, 1]."""
        coefficients: np.ndarray = self.estimator.coef_
        return coefficients

    @property
    def intercept_(self) -> np.ndarray:
        """Intercepts for features on [-1, 1]."""
        intercepts: np.ndarray = self.estimator.intercept_
        return intercepts


class GaussianNB(_Classifier):
    """Naive Bayes with normal features (Vaidya et al. 2013).

    Options: ``priors``, ``var_smoothing``.
    """

    _options = ("priors", "var_smoothing")

    def _make(self, width: int) -> Any:
        from diffprivlib.accountant import BudgetAccountant
        from diffprivlib.models import GaussianNB as Published

        return Published(
            epsilon=self.epsilon / 2,
            bounds=([-1.0] * width, [1.0] * width),
            accountant=BudgetAccountant(),
            **self.options,
        )


class _Unsupervised(_PrivateModel):
    """A model of rows without labels."""

    def fit(
        self,
        X: Any,
        y: None = None,
        *,
        dataset: str | None = None,
        idempotency_key: str | None = None,
    ) -> Self:
        """Fits the model and charges the dataset's budget.

        Args:
            X: A pandas frame of numeric columns, or an array ``[rows, columns]``.
            y: Ignored; scikit-learn passes it.
            dataset: Whose budget; what the guard noted on ``X`` when left out.
            idempotency_key: A name for this one fit, so that it cannot be charged twice.

        Raises:
            BudgetExceeded: The budget does not cover ``epsilon``; nothing was read.
            BrokerUnavailable: This is not a guarded kernel.
            CloisterError: Something else that is refused, with a remedy.
        """
        del y
        return self._fit(X, None, dataset, idempotency_key)


class KMeans(_Unsupervised):
    """K-means by noisy counts and sums (Su et al. 2016). Option: ``n_clusters``."""

    _options = ("n_clusters",)

    def _make(self, width: int) -> Any:
        from diffprivlib.accountant import BudgetAccountant

        return _published_k_means()(
            epsilon=self.epsilon / 2,
            bounds=([-1.0] * width, [1.0] * width),
            accountant=BudgetAccountant(),
            **self.options,
        )

    @property
    def cluster_centers_(self) -> np.ndarray:
        """Centers in the units of the data."""
        return _unscaled(self.estimator.cluster_centers_, self._scale)

    def predict(self, X: Any) -> np.ndarray:
        """Returns the number of the nearest center for each row."""
        import numpy as np

        gaps = self._inputs(X)[:, None, :] - np.asarray(self.estimator.cluster_centers_)[None]
        nearest: np.ndarray = (gaps**2).sum(axis=2).argmin(axis=1)
        return nearest

    def _fit_estimator(self, estimator: Any, rows: np.ndarray, labels: Any) -> None:
        super()._fit_estimator(estimator, rows, labels)
        # Of single rows, and without noise.
        estimator.labels_ = estimator.inertia_ = None


class PCA(_Unsupervised):
    """Principal components (Amin et al. 2019). Option: ``n_components``, a whole number.

    Components and means belong to features on [-1, 1].
    """

    _options = ("n_components",)

    def _make(self, width: int) -> Any:
        from diffprivlib.accountant import BudgetAccountant
        from diffprivlib.models import PCA as Published  # noqa: N811 - its name there

        components = self.options.get("n_components", width)
        if isinstance(components, bool) or not isinstance(components, int):
            raise PrivacyParameterInvalid(
                "n_components is a whole number.", remedy="For instance n_components=2."
            )
        if not 1 <= components <= width:
            raise PrivacyParameterInvalid(
                "n_components is at least 1 and at most the number of columns.",
                remedy=f"There are {width} columns.",
            )
        return Published(
            n_components=components,
            epsilon=self.epsilon,
            data_norm=math.sqrt(width),
            bounds=([-1.0] * width, [1.0] * width),
            accountant=BudgetAccountant(),
        )

    @property
    def components_(self) -> np.ndarray:
        """Principal axes of features on [-1, 1], ``[components, columns]``."""
        components: np.ndarray = self.estimator.components_
        return components

    def transform(self, X: Any) -> np.ndarray:
        """Returns the components of each row. They are facts of the rows, without noise."""
        inputs = self._inputs(X)
        transformed: np.ndarray = self.estimator.transform(inputs)
        return transformed


class StandardScaler(_Unsupervised):
    """Means and standard deviations. Options: ``with_mean``, ``with_std``."""

    _options = ("with_mean", "with_std")

    def _make(self, width: int) -> Any:
        from diffprivlib.accountant import BudgetAccountant
        from diffprivlib.models import StandardScaler as Published

        return Published(
            epsilon=self.epsilon,
            bounds=([-1.0] * width, [1.0] * width),
            accountant=BudgetAccountant(),
            **self.options,
        )

    @property
    def mean_(self) -> np.ndarray:
        """Means in the units of the data."""
        return _unscaled(self.estimator.mean_, self._scale)

    def transform(self, X: Any) -> np.ndarray:
        """Returns the rows, clipped and standardised. They are facts of the rows."""
        inputs = self._inputs(X)
        transformed: np.ndarray = self.estimator.transform(inputs)
        return transformed


class LinearRegression:
    """Refused: diffprivlib 0.6.6 releases some of its sums without noise.

    Raises:
        UnsafeMechanism: Always.
    """

    def __init__(self, **_: Any) -> None:
        raise UnsafeMechanism(
            "LinearRegression of diffprivlib 0.6.6 takes the lower bound twice for the sensitivity"
            " of its squares, so with bounds that begin at 0 it publishes them without noise"
            " (diffprivlib issues 104 and 105).",
            remedy="Use cloister_dp.train(torch.nn.Linear(...), ...) instead.",
        )


def _published_k_means() -> Any:
    from diffprivlib.models import KMeans as Published

    class EveryCluster(Published):  # type: ignore[misc]  # diffprivlib publishes no types
        """Adds noise to empty clusters too, and splits epsilon so that it adds up.

        As published, the center of an empty cluster stays exactly where it was, which tells whether
        anybody is in it.
        """

        def _update_centers(self, X: Any, centers: Any, labels: Any, dims: int, **rest: Any) -> Any:
            import numpy as np
            from diffprivlib.mechanisms import GeometricFolded, LaplaceBoundedDomain

            # The published code swaps the two, and so spends more than epsilon from 5 columns on.
            for_sum, for_count = self._split_epsilon(dims, rest["total_iters"])
            source = rest["random_state"]
            counts = GeometricFolded(
                epsilon=for_count, sensitivity=1, lower=0.5, upper=math.inf, random_state=source
            )
            for cluster in range(self.n_clusters):
                members = labels == cluster
                rows = counts.randomise(int(members.sum()))
                total = X[members].sum(axis=0)
                noisy = np.zeros(dims)
                for i in range(dims):
                    noisy[i] = LaplaceBoundedDomain(
                        epsilon=for_sum,
                        sensitivity=self.bounds[1][i] - self.bounds[0][i],
                        lower=rows * self.bounds[0][i],
                        upper=rows * self.bounds[1][i],
                        random_state=source,
                    ).randomise(float(total[i]))
                centers[cluster, :] = noisy / rows
            return centers

    return EveryCluster


def _unscaled(values: Any, scale: tuple[np.ndarray, np.ndarray] | None) -> np.ndarray:
    import numpy as np

    if scale is None:
        raise DataUnsuitable("The model is not fitted yet.", remedy="Call fit() first.")
    middle, half = scale
    unscaled: np.ndarray = np.asarray(values) * half + middle
    return unscaled


def _check_features(
    data: Any, bounds: Bounds | None
) -> tuple[tuple[str, ...] | None, np.ndarray, np.ndarray]:
    """Returns the columns, the middles and the half widths of their bounds; reads no value."""
    import numpy as np

    given: Any = {} if bounds is None else bounds
    columns: tuple[str, ...] | None = None
    if hasattr(data, "columns"):
        columns = tuple(str(c) for c in data.columns)
        _refuse_columns(data, columns)
        if not hasattr(given, "get"):
            raise PublicInputMissing(
                "The bounds of a frame are named by column.",
                remedy="Pass bounds={column: (low, high)}.",
            )
        pairs = [(c, given.get(c, (0, 1) if data[c].dtype.kind == "b" else None)) for c in columns]
    else:
        shape: tuple[int, ...] = getattr(data, "shape", ())
        if len(shape) != 2 or getattr(getattr(data, "dtype", None), "kind", "") not in "iufb":
            raise DataUnsuitable(
                "Features are a pandas frame or a numeric array of two dimensions.",
                remedy="Pass df[[...]] or a numpy array.",
            )
        listed = [] if hasattr(given, "get") else list(given)
        padded = [*listed, *[None] * shape[1]]
        pairs = [(str(i), padded[i]) for i in range(shape[1])]
    if not pairs:
        raise DataUnsuitable("There are no columns.", remedy="Select some: df[[...]].")
    checked = [_check_pair(name, pair) for name, pair in pairs]
    low, high = np.array(checked, dtype="float64").T
    return columns, (low + high) / 2, (high - low) / 2


def _refuse_columns(data: Any, columns: tuple[str, ...]) -> None:
    if len(set(columns)) != len(columns):
        raise ColumnRefused("A column name appears twice.", remedy="Rename one.")
    notes = column_notes(data)
    for name in columns:
        note = notes.get(name)
        if note is not None and names_people(note.entity_type):
            raise ColumnRefused(
                f"Column {name!r} is labelled {note.entity_type}: it identifies people.",
                remedy="Leave it out: df[[...]].",
            )
        if data[name].dtype.kind not in "iufb":
            raise ColumnRefused(
                f"Column {name!r} holds no numbers.",
                remedy="Encode it, or leave it out: df[[...]].",
            )


def _check_pair(name: str, pair: Any) -> tuple[float, float]:
    if pair is None:
        raise PublicInputMissing(
            f"Column {name!r} has no bounds, and bounds read off the data would publish its"
            " extreme values.",
            remedy=f"Pass bounds={{{name!r}: (low, high)}}, named without looking at the data.",
        )
    low, high = float(pair[0]), float(pair[1])
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise PrivacyParameterInvalid(
            f"The bounds of {name!r} are not two finite numbers, the lower one first.",
            remedy=f"For instance bounds={{{name!r}: (0, 120)}}.",
        )
    return low, high


def _numbers(data: Any, name: Any) -> np.ndarray:
    import numpy as np

    if hasattr(data, "columns"):
        numbers: np.ndarray = data[name].to_numpy(dtype="float64", na_value=math.nan)
        return numbers
    return np.asarray(data[:, name], dtype="float64")
