"""Private models of rows without labels."""

# ruff: noqa: N803 - X is what scikit-learn's users call it

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Self

from cloister_dp.errors import DataUnsuitable, PrivacyParameterInvalid
from cloister_dp.models.base import PrivateModel
from cloister_dp.models.clusters import published_k_means

if TYPE_CHECKING:
    import numpy as np


class _Unsupervised(PrivateModel):
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

        return published_k_means()(
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


def _unscaled(values: Any, scale: tuple[np.ndarray, np.ndarray] | None) -> np.ndarray:
    import numpy as np

    if scale is None:
        raise DataUnsuitable("The model is not fitted yet.", remedy="Call fit() first.")
    middle, half = scale
    unscaled: np.ndarray = np.asarray(values) * half + middle
    return unscaled
