"""What the model inside the package knows, and that its card says it as it is."""

import re
from pathlib import Path

import pytest

import hub
from hub.constants import DEFAULT_MODEL

CARD = Path(hub.__file__).parent / "registry" / "embedded" / DEFAULT_MODEL / "README.md"
# What a reader of Chinese would put there.
SENSIBLE = {
    "北京是中国的[MASK]都": "首",
    "今天[MASK]气很好": "天",
    "我想去医[MASK]看病": "院",
    "这家酒店的价[MASK]是多少": "格钱位",
    "他每天早上去公[MASK]上班": "司",
    "请问附近有什么好吃的餐[MASK]": "馆厅",
    "我要订一张明天的机[MASK]": "票",
    "这本书的内[MASK]很好": "容",
    "手[MASK]没电了": "机",
    "孩子们在学[MASK]里读书": "校",
    "这部电[MASK]很好看": "影",
    "我们一起去吃[MASK]吧": "饭",
    "中[MASK]人民": "国",
    "房[MASK]很干净": "间子",
    "服务态[MASK]很差": "度",
    "他是一名医[MASK]": "生",
    "大家[MASK]上好": "早晚",
    "质量不[MASK]，值得购买": "错",
    "交[MASK]很方便": "通",
    "谢[MASK]你的帮助": "谢",
}


@pytest.fixture(scope="module")
def answers() -> dict[str, list[str]]:
    module = hub.Module(name=DEFAULT_MODEL, task="fill-mask")
    found = module.predict(list(SENSIBLE))
    return {
        text: [each["token_str"] for each in best]
        for text, best in zip(SENSIBLE, found, strict=True)
    }


def test_most_masks_are_filled_with_a_sensible_token(answers: dict[str, list[str]]) -> None:
    right = [text for text, best in answers.items() if best[0] in SENSIBLE[text]]
    assert len(right) == 16


def test_the_card_shows_the_answers_as_they_come_out(answers: dict[str, list[str]]) -> None:
    rows = re.findall(r"^\| (.*\[MASK\].*) \| (.*) \|$", CARD.read_text("utf-8"), re.MULTILINE)
    assert {text: best.split() for text, best in rows} == answers
