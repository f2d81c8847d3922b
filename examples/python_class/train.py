"""A class of our own as a model: the mean flower of each iris species, 150 real flowers; the data ships in scikit-learn.

    python -m venv .venv && .venv/bin/pip install -r requirements.txt
    .venv/bin/python train.py

Writes centres.json: the model is data, the code is iris/model.py.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from iris.model import NearestCentre
from sklearn.datasets import load_iris

VERSIONS = {1: np.mean, 2: np.median}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--version", type=int, choices=VERSIONS, default=1)
    parser.add_argument("--seed", type=int, default=7, help="which flowers are kept aside")
    arguments = parser.parse_args()

    data = load_iris()
    order = np.random.default_rng(arguments.seed).permutation(len(data.data))
    test, train = order[:40], order[40:]
    centre = VERSIONS[arguments.version]
    centres = {
        str(name): [round(float(value), 4) for value in centre(data.data[train][data.target[train] == number], axis=0)]
        for number, name in enumerate(data.target_names)
    }
    Path("centres.json").write_text(json.dumps(centres, indent=1) + "\n")

    model = NearestCentre()
    model.load("centres.json")
    right = np.mean(np.array(model.predict(data.data[test])["predictions"]) == data.target_names[data.target[test]])
    print(f"version {arguments.version}: {right:.3f} of {len(test)} unseen flowers right -> centres.json")


if __name__ == "__main__":
    main()
