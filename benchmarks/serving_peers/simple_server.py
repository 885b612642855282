"""PaddleNLP's SimpleServer over a static graph: `paddlenlp server simple_server:app --port PORT`.

The environment says what it serves: BENCHMARK_RUN is the fine-tuned folder, BENCHMARK_PEERS the
folder of `peers.py`, BENCHMARK_SCRATCH where the graph is written.
"""

import os
import sys
from pathlib import Path

import paddle

sys.path.insert(0, os.environ["BENCHMARK_PEERS"])
from paddlenlp import SimpleServer
from paddlenlp.server import CustomModelHandler, MultiClassificationPostHandler
from peers import paddlenlp_classifier

graph = Path(os.environ["BENCHMARK_SCRATCH"]) / "graph"
model, tokenizer = paddlenlp_classifier(Path(os.environ["BENCHMARK_RUN"]))
model.eval()
spec = [paddle.static.InputSpec([None, None], "int64") for _ in range(2)]
static = paddle.jit.to_static(model, input_spec=spec, full_graph=True)
paddle.jit.save(static, str(graph / "model"))
tokenizer.save_pretrained(str(graph))
app = SimpleServer()
app.register(
    "models/travel",
    model_path=str(graph),
    tokenizer_name=str(graph),
    model_handler=CustomModelHandler,
    post_handler=MultiClassificationPostHandler,
    precision="fp32",
    device_id=-1,
)
