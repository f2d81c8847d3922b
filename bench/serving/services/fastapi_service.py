"""What a first tutorial with FastAPI comes to. BENCH_MODEL: folder of the model; BENCH_ASYNC: handlers run in the loop."""

import os
from pathlib import Path

import joblib
from fastapi import FastAPI
from pydantic import BaseModel

FOLDER = Path(os.environ["BENCH_MODEL"])
model = joblib.load(FOLDER / "model.joblib")
app = FastAPI()


class Customer(BaseModel):
    age: float
    months: float
    fee: float
    calls: float
    usage: float
    discount: float
    city: str
    plan: str
    device: str
    payment: str


class Rows(BaseModel):
    instances: list[list[float]]


class Customers(BaseModel):
    instances: list[Customer]


class Answer(BaseModel):
    predictions: list[list[float]]


def of_rows(body: Rows) -> Answer:
    return Answer(predictions=model.predict_proba(body.instances).tolist())


def of_customers(body: Customers) -> Answer:
    import pandas as pd

    frame = pd.DataFrame([customer.model_dump() for customer in body.instances])
    return Answer(predictions=model.predict_proba(frame).tolist())


async def of_rows_in_the_loop(body: Rows) -> Answer:
    return of_rows(body)


async def of_customers_in_the_loop(body: Customers) -> Answer:
    return of_customers(body)


if os.environ.get("BENCH_ASYNC"):
    app.post("/predict")(of_customers_in_the_loop if FOLDER.name == "pipeline" else of_rows_in_the_loop)
else:
    app.post("/predict")(of_customers if FOLDER.name == "pipeline" else of_rows)
