"""What the models share: features put on [-1, 1], and one charge for each fit."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, ClassVar, Self

from cloister_dp.accounting import PRIVACY_UNIT, check_epsilon
from cloister_dp.datasets import dataset_of
from cloister_dp.errors import DataUnsuitable, PrivacyParameterInvalid, UnsafeMechanism
from cloister_dp.ledger import BrokerLedger, Cost, computation_key
from cloister_dp.models.features import check_features, numbers_of
from cloister_dp.spending import Spending
from cloister_dp.tracking import autologging_disabled

if TYPE_CHECKING:
    import numpy as np

    from cloister_dp.models.features import Bounds

NEIGHBORING_RELATION = "replace-one"


class PrivateModel:
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
        self._columns, middle, half = check_features(data, self.bounds)
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
        cells = [numbers_of(data, name) for name in columns]
        scaled = (np.stack(cells, axis=1) - middle) / half
        inputs: np.ndarray = np.nan_to_num(scaled, nan=0.0).clip(-1.0, 1.0)
        return inputs
