"""FastAPI with a transformers pipeline: `python fastapi_pipeline.py RUN PORT`."""

import sys

import fastapi
import pydantic
import uvicorn
from transformers import pipeline

classify = pipeline("text-classification", model=sys.argv[1])
app = fastapi.FastAPI()


class Body(pydantic.BaseModel):
    """A request."""

    text: str


@app.post("/predict")
def predict(body: Body) -> dict[str, object]:
    """Answer one text."""
    return classify(body.text, truncation=True)[0]


uvicorn.run(app, port=int(sys.argv[2]), log_level="error")
