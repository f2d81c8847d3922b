"""Exact names of the scikit-learn wrappers of XGBoost, LightGBM and CatBoost, and of the boosters in them.

Read in xgboost 3.2, lightgbm 4.7 and catboost 1.2.10; the modules are the same since xgboost 1.0, lightgbm 3.0, catboost 1.0. A
booster comes as its library's own bytes or text, which the library parses when it is given them: as harmless as the same model in
a file of its own. `pickle_objects.check_native` sees to it that nothing else is handed over, because an address would be taken
for one.
"""

NAMES = {
    "xgboost.core": "Booster",
    "xgboost.sklearn": "XGBClassifier XGBRegressor XGBRanker XGBRFClassifier XGBRFRegressor XGBModel",
    "lightgbm.basic": "Booster",
    "lightgbm.sklearn": "LGBMClassifier LGBMRegressor LGBMRanker LGBMModel",
    "catboost.core": "CatBoost CatBoostClassifier CatBoostRegressor CatBoostRanker",
}
