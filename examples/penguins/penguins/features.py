"""Features that scikit-learn does not have."""

from __future__ import annotations

import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin


class BillShape(TransformerMixin, BaseEstimator):
    """Adds `bill_ratio`, length by depth: gentoos have long flat bills, adelies short deep ones.

    Takes a DataFrame with `bill_length_mm` and `bill_depth_mm`; gives the same frame with one column more.
    """

    def fit(self, frame: pd.DataFrame, target: object = None) -> BillShape:
        self.feature_names_in_ = frame.columns.to_numpy(dtype=object)
        self.n_features_in_ = len(frame.columns)
        return self

    def transform(self, frame: pd.DataFrame) -> pd.DataFrame:
        return frame.assign(bill_ratio=frame["bill_length_mm"] / frame["bill_depth_mm"])

    def get_feature_names_out(self, names: object = None) -> list[str]:
        return [*self.feature_names_in_, "bill_ratio"]
