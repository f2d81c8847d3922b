"""A small network in PyTorch: 442 real patients; the data ships in scikit-learn.

    python -m venv .venv && .venv/bin/pip install -r requirements.txt
    .venv/bin/python train.py

Writes diabetes.pt, the weights alone, as torch.save(model.state_dict(), ...) does.
"""

import torch
from net import Diabetes
from sklearn.datasets import load_diabetes
from sklearn.model_selection import train_test_split

torch.manual_seed(7)
measured, progress = load_diabetes(return_X_y=True, scaled=False)
split = train_test_split(measured, progress, random_state=7)
train, test, train_progress, test_progress = (torch.tensor(part, dtype=torch.float32) for part in split)
model = Diabetes()
model.centre.copy_(train.mean(0))
model.spread.copy_(train.std(0))
optimizer = torch.optim.Adam(model.parameters(), lr=0.01, weight_decay=0.01)
for _ in range(300):
    optimizer.zero_grad()
    torch.nn.functional.mse_loss(model(train) / 77, train_progress / 77).backward()
    optimizer.step()
model.eval()
with torch.inference_mode():
    error = (model(test) - test_progress).abs().mean().item()
torch.save(model.state_dict(), "diabetes.pt")
print(f"diabetes.pt: off by {error:.0f} on average, of {test_progress.std().item():.0f} that patients differ")
