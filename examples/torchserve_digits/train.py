"""An archive of TorchServe: which digit did somebody write? 1,797 real images of 8 x 8 pixels; they ship in scikit-learn.

    python -m venv .venv && .venv/bin/pip install -r requirements.txt
    .venv/bin/python train.py

Writes digits.mar: weights and digits_net.py, packed by torch-model-archiver. mlship unpacks it; TorchServe is not needed.
"""

import subprocess
import sys
from pathlib import Path

import torch
from digits_net import Digits
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

torch.manual_seed(7)
pixels, digits = load_digits(return_X_y=True)
train, test, train_digits, test_digits = (torch.tensor(part) for part in train_test_split(pixels, digits, random_state=7))
model = Digits()
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
for _ in range(120):
    optimizer.zero_grad()
    torch.nn.functional.cross_entropy(model(train.float()), train_digits).backward()
    optimizer.step()
model.eval()
with torch.inference_mode():
    right = (model(test.float()).argmax(1) == test_digits).float().mean().item()
torch.save(model.state_dict(), "weights.pt")
archiver = Path(sys.executable).with_name("torch-model-archiver")
parts = ["--model-file", "digits_net.py", "--serialized-file", "weights.pt", "--handler", "base_handler"]
subprocess.run([archiver, "--model-name", "digits", "--version", "1.0", *parts, "--force"], check=True)
print(f"digits.mar: {right:.3f} of {len(test)} unseen images right")
