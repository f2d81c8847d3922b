"""What a hand-written image serves with."""

import joblib
from fastapi import FastAPI

app = FastAPI()
model = joblib.load("model.joblib")


@app.post("/predict")
def predict(body: dict) -> dict:
    return {"predictions": model.predict(body["instances"]).tolist()}
