"""The same model as a BentoML service."""

import bentoml
import joblib
import numpy as np

image = bentoml.images.Image(base_image="bench-python-uv:3.11-slim").requirements_file("requirements.txt")


@bentoml.service(image=image)
class Digits:
    def __init__(self) -> None:
        self.model = joblib.load("model.joblib")

    @bentoml.api
    def predict(self, instances: np.ndarray) -> np.ndarray:
        return self.model.predict(instances)
