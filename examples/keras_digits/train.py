"""A small network in Keras: which digit did somebody write? 1,797 real images of 8 x 8 pixels; they ship in scikit-learn.

    python -m venv .venv && .venv/bin/pip install -r requirements.txt
    .venv/bin/python train.py

Writes digits.keras: a convolution and a layer that gives one probability a digit.
"""

import os

os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="-1")
import keras
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

keras.utils.set_random_seed(7)
images, digits = load_digits(return_X_y=True)
train, test, train_digits, test_digits = train_test_split(images.reshape(-1, 8, 8, 1), digits, random_state=7)
model = keras.Sequential(
    [
        keras.Input((8, 8, 1), name="image"),
        keras.layers.Rescaling(1 / 16),
        keras.layers.Conv2D(16, 3, activation="relu"),
        keras.layers.Flatten(),
        keras.layers.Dense(10, activation="softmax", name="digit"),
    ]
)
model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
model.fit(train, train_digits, epochs=12, batch_size=32, verbose=0)
model.save("digits.keras")
print(f"digits.keras: {model.evaluate(test, test_digits, verbose=0)[1]:.3f} of {len(test)} unseen images right")
