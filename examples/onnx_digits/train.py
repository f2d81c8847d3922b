"""Handwritten digits as an ONNX graph: 1797 real images of 8 x 8 pixels that ship with scikit-learn.

    python -m venv .venv && .venv/bin/pip install -r requirements.txt
    .venv/bin/python train.py

Writes digits.onnx. Whatever trained a model, its graph is served by onnxruntime alone: scikit-learn is not in the image.
"""

from pathlib import Path

from skl2onnx import to_onnx
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

pixels, digits = load_digits(return_X_y=True)
train, test, train_digits, test_digits = train_test_split(pixels.astype("float32"), digits, random_state=7)
model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=1000)).fit(train, train_digits)
graph = to_onnx(model, train[:1])
Path("digits.onnx").write_bytes(graph.SerializeToString())
print(f"digits.onnx: {model.score(test, test_digits):.1%} of {len(test)} unseen digits are right")
