"""A SavedModel of TensorFlow: which of three cultivars is a wine of? 178 real wines; the data ships in scikit-learn.

    python -m venv .venv && .venv/bin/pip install -r requirements.txt
    .venv/bin/python train.py

Writes the folder wine: a program that is asked by its signature. It takes two inputs by name, what grew and what was measured after.
"""

import os

os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="-1")
import keras
from sklearn.datasets import load_wine
from sklearn.model_selection import train_test_split

CHEMISTRY = 9  # alcohol to proanthocyanins; the others are colour, hue, dilution and proline

keras.utils.set_random_seed(7)
measured, cultivar = load_wine(return_X_y=True)
train, test, train_cultivar, test_cultivar = train_test_split(measured, cultivar, stratify=cultivar, random_state=7)
chemistry, appearance = keras.Input((CHEMISTRY,), name="chemistry"), keras.Input((4,), name="appearance")
scaled = keras.layers.Normalization()
scaled.adapt(train)
joined = scaled(keras.layers.Concatenate()([chemistry, appearance]))
model = keras.Model([chemistry, appearance], keras.layers.Dense(3, activation="softmax", name="cultivar")(joined))
model.compile(keras.optimizers.Adam(0.05), "sparse_categorical_crossentropy", metrics=["accuracy"])
model.fit([train[:, :CHEMISTRY], train[:, CHEMISTRY:]], train_cultivar, epochs=30, verbose=0)

model.export("wine", verbose=False)
right = model.evaluate([test[:, :CHEMISTRY], test[:, CHEMISTRY:]], test_cultivar, verbose=0)[1]
print(f"wine/: {right:.3f} of {len(test)} unseen wines right")
