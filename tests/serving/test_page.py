"""The page at `/` in a real Chromium: a prediction is clicked through, by mouse and by keyboard."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select, WebDriverWait

from tests.golden import layouts
from tests.serving.conftest import ROOT, Program, Start

pytestmark = pytest.mark.slow
IMAGE = ROOT / "docs" / "images" / "page.png"


@pytest.fixture(scope="module")
def pages(exported: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """A service of a classifier and of a model for entities."""
    folder = tmp_path_factory.mktemp("page")
    layouts.write_folder(
        folder / "tagger", layouts.layouts()["bert-base-chinese"], "ForTokenClassification"
    )
    arguments = [f"travel@3={exported}", f"tagger={folder / 'tagger'}"]
    program = Program(arguments, folder / "log.txt").wait_until_ready()
    yield program
    program.stop()


def open_browser(tmp_path: Path, *arguments: str) -> webdriver.Chrome:
    """Chromium without a window."""
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    assert chromium and driver, "apt-get install chromium chromium-driver"
    options = Options()
    options.binary_location = chromium
    for argument in (
        "--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu",
        "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
        f"--user-data-dir={tmp_path / 'profile'}", *arguments,
    ):  # fmt: skip
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    return webdriver.Chrome(options, Service(driver, env={**os.environ, "HOME": str(tmp_path)}))


@pytest.fixture
def browser(tmp_path: Path, pages: Program) -> Iterator[webdriver.Chrome]:
    """A browser at the page, in Chinese."""
    driver = open_browser(tmp_path, "--window-size=1000,900", "--lang=zh-CN")
    driver.get(pages.address + "/")
    driver.execute_script("localStorage.clear(); localStorage['hub-language'] = '\"zh\"'")
    driver.refresh()
    until(driver, lambda: Select(by(driver, "model")).options)
    Select(by(driver, "model")).select_by_value("travel")
    yield driver
    driver.quit()


def by(driver: webdriver.Chrome, name: str):  # type: ignore[no-untyped-def]
    """The element of this id."""
    return driver.find_element(By.ID, name)


def until(driver: webdriver.Chrome, done):  # type: ignore[no-untyped-def]
    """Wait until something is so; the page may replace what is being looked at meanwhile."""
    wait = WebDriverWait(driver, 15, ignored_exceptions=[StaleElementReferenceException])
    return wait.until(lambda _: done())


def cards(driver: webdriver.Chrome):  # type: ignore[no-untyped-def]
    """The answers."""
    return driver.find_elements(By.CSS_SELECTOR, "#answers article")


def test_a_prediction_is_clicked_through(browser: webdriver.Chrome, pages: Program) -> None:
    by(browser, "texts").send_keys("今天下雨吗\n听一首歌\n买车票")
    by(browser, "send").click()
    until(browser, lambda: len(cards(browser)) == 3)
    body = pages.post(
        "/v1/models/travel:predict",
        {"texts": ["今天下雨吗", "听一首歌", "买车票"], "probabilities": True},
    ).json()
    for card, answer in zip(cards(browser), body["predictions"], strict=True):
        assert card.find_element(By.CLASS_NAME, "answer").text == answer["label"]
        shares = [share.text for share in card.find_elements(By.CLASS_NAME, "share")]
        wanted = sorted(answer["probabilities"].values(), reverse=True)
        assert shares == [f"{100 * value:.1f} %" for value in wanted]
        width = card.find_element(By.CLASS_NAME, "fill").get_attribute("style")
        assert float(re.findall(r"[\d.]+", width)[0]) == pytest.approx(100 * wanted[0], abs=0.01)
    assert re.fullmatch(r"版本 3 用 \d+ 毫秒回答了 3 句", by(browser, "summary").text)
    assert "版本 3 100 %" in by(browser, "facts").text
    # Nothing was wanted from anywhere else, and the page's policy refused nothing.
    loaded = browser.execute_script(
        "return performance.getEntriesByType('resource').map(e => e.name)"
    )
    assert all(name.startswith(pages.address) for name in loaded)
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []


def test_the_quickstarts_model_is_clicked_through(tmp_path: Path) -> None:
    """The model of `make quickstart`, or one that had a few steps of it."""
    folder = ROOT / "runs" / "quickstart-onnx"
    if not folder.exists():
        from hub.inference.export import export
        from hub.module import Module
        from hub.training.finetune import finetune

        table = tmp_path / "train.tsv"
        rows = (ROOT / "examples" / "crosswoz_intent" / "train.tsv").read_text("utf-8").splitlines()
        table.write_text("\n".join(rows[:200]) + "\n", encoding="utf-8")
        changes = {"max_steps": 2, "batch_size": 16}
        finetune(table, tmp_path / "run", changes=changes, progress=False, say=lambda line: None)
        folder = tmp_path / "quickstart-onnx"
        export(Module(directory=tmp_path / "run"), folder, "onnx")
    program = Program([folder], tmp_path / "log.txt").wait_until_ready()
    driver = open_browser(tmp_path, "--lang=zh-CN", "--window-size=1000,900")
    try:
        driver.get(program.address + "/")
        until(driver, lambda: Select(by(driver, "model")).options)
        by(driver, "texts").send_keys("这家酒店的电话是多少\n附近有什么好吃的")
        by(driver, "send").click()
        until(driver, lambda: len(cards(driver)) == 2)
        body = program.post(
            "/v1/models/quickstart-onnx:predict", {"text": "这家酒店的电话是多少"}
        ).json()
        label = cards(driver)[0].find_element(By.CLASS_NAME, "answer").text
        assert label == body["predictions"][0]["label"]
    finally:
        driver.quit()
        program.stop()


def test_entities_are_marked_in_the_text(browser: webdriver.Chrome, pages: Program) -> None:
    text = "😀今天气好吗 iPhone"
    Select(by(browser, "model")).select_by_value("tagger")
    browser.execute_script("document.getElementById('texts').value = arguments[0]", text)
    by(browser, "send").click()
    until(browser, lambda: cards(browser))
    body = pages.post("/v1/models/tagger:predict", {"text": text}).json()
    entities = body["predictions"][0]["entities"]
    assert entities
    marks = cards(browser)[0].find_elements(By.TAG_NAME, "mark")
    assert [mark.text.removesuffix(entity["type"]).strip() for mark, entity in
            zip(marks, entities, strict=True)] == [e["text"].strip() for e in entities]  # fmt: skip
    whole = browser.execute_script(
        "const c = document.querySelector('#answers .text').cloneNode(true);"
        "c.querySelectorAll('small').forEach(n => n.remove()); return c.textContent"
    )
    assert whole == text


def test_every_mask_has_its_own_bars(start: Start, tmp_path: Path) -> None:
    layouts.write_folder(tmp_path / "masked", layouts.layouts()["ernie-tiny"], "ForMaskedLM")
    service = start(tmp_path / "masked", "--task", "fill-mask")
    driver = open_browser(tmp_path, "--lang=en")
    try:
        driver.get(service.address + "/")
        until(driver, lambda: Select(by(driver, "model")).options)
        by(driver, "texts").send_keys("今[MASK]天[MASK]气\n今[MASK]气")
        by(driver, "send").click()
        until(driver, lambda: len(cards(driver)) == 2)
        body = {"texts": ["今[MASK]天[MASK]气", "今[MASK]气"]}
        two, one = service.post("/v1/models/masked:predict", body).json()["predictions"]
        wanted = (two["predictions"], [one["predictions"]])
        for card, masks in zip(cards(driver), wanted, strict=True):
            lists = card.find_elements(By.CLASS_NAME, "bars")
            assert len(lists) == len(masks)
            for bars, tokens in zip(lists, masks, strict=True):
                shares = [share.text for share in bars.find_elements(By.CLASS_NAME, "share")]
                assert shares == [f"{100 * token['score']:.1f} %" for token in tokens]
    finally:
        driver.quit()


def test_it_works_with_a_keyboard_alone(browser: webdriver.Chrome) -> None:
    """Tab reaches every control in order, Ctrl+Enter sends, and the focus is seen."""
    order = []
    for _ in range(8):
        browser.switch_to.active_element.send_keys(Keys.TAB)
        active = browser.switch_to.active_element
        order.append(active.get_attribute("id") or active.text)
    wanted = ["language", "model", "texts", "send", "curl"]
    assert [name for name in order if name in wanted] == wanted
    by(browser, "texts").send_keys("今天下雨", Keys.CONTROL, Keys.ENTER)
    until(browser, lambda: len(cards(browser)) == 1)


def test_it_speaks_to_a_screen_reader_in_two_languages(browser: webdriver.Chrome) -> None:
    def state() -> tuple[str, str]:
        lang = browser.find_element(By.TAG_NAME, "html").get_attribute("lang")
        return lang, by(browser, "send").text

    assert state() == ("zh", "预测")
    by(browser, "language").click()
    assert state() == ("en", "Predict")
    browser.refresh()
    until(browser, lambda: state() == ("en", "Predict"))  # it remembers
    for control in browser.find_elements(By.CSS_SELECTOR, "select,textarea,input"):
        name = control.get_attribute("id")
        label = browser.find_element(By.CSS_SELECTOR, f"label[for={name}]")
        assert label.get_attribute("textContent")
    for button in browser.find_elements(By.TAG_NAME, "button"):
        assert button.get_attribute("textContent").strip()
    assert by(browser, "summary").get_attribute("role") == "status"
    assert by(browser, "error").get_attribute("role") == "alert"
    by(browser, "texts").clear()
    by(browser, "send").click()
    until(browser, lambda: by(browser, "error").text == "Type a sentence first.")
    browser.execute_script("document.getElementById('texts').value = arguments[0]", "长" * 10_001)
    by(browser, "send").click()
    until(browser, lambda: "at most 10,000" in by(browser, "error").text)


def test_history_and_curl(browser: webdriver.Chrome, pages: Program, tmp_path: Path) -> None:
    for text in ("今天下雨", "听'歌'", "买票"):
        by(browser, "texts").clear()
        by(browser, "texts").send_keys(text)
        by(browser, "send").click()
        until(browser, lambda text=text: cards(browser) and cards(browser)[0].find_element(
            By.CLASS_NAME, "text").text == text)  # fmt: skip
    entries = by(browser, "history").find_elements(By.TAG_NAME, "button")
    assert [entry.text for entry in entries] == [
        "travel: 买票",
        "travel: 听'歌'",
        "travel: 今天下雨",
    ]
    entries[1].click()
    until(browser, lambda: cards(browser)[0].find_element(By.CLASS_NAME, "text").text == "听'歌'")
    by(browser, "curl").click()
    until(browser, lambda: by(browser, "copied").text == "已复制")
    command = by(browser, "curl").get_attribute("data-text")
    script = tmp_path / "typed.sh"
    script.write_text(command + "\n", encoding="utf-8")
    done = subprocess.run(["bash", str(script)], capture_output=True, text=True, check=True)
    shown = cards(browser)[0].find_element(By.CLASS_NAME, "answer").text
    assert json.loads(done.stdout)["predictions"][0]["label"] == shown
    browser.refresh()
    until(browser, lambda: len(by(browser, "history").find_elements(By.TAG_NAME, "button")) == 3)
    by(browser, "clear").click()
    until(browser, lambda: not by(browser, "history").find_elements(By.TAG_NAME, "button"))


def test_it_fits_a_phone(tmp_path: Path, pages: Program) -> None:
    driver = open_browser(tmp_path, "--lang=en")
    try:
        metrics = {"width": 360, "height": 740, "deviceScaleFactor": 2, "mobile": True}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        driver.get(pages.address + "/")
        until(driver, lambda: Select(by(driver, "model")).options)
        Select(by(driver, "model")).select_by_value("travel")
        by(driver, "texts").send_keys("今天下雨吗" * 30)
        by(driver, "send").click()
        until(driver, lambda: cards(driver))
        wide = driver.execute_script("return document.documentElement.scrollWidth")
        assert wide <= 360
        for button in driver.find_elements(By.TAG_NAME, "button"):
            assert not button.is_displayed() or button.size["height"] >= 44
    finally:
        driver.quit()


def test_the_documentation_shows_the_page() -> None:
    content = IMAGE.read_bytes()
    assert content.startswith(b"\x89PNG") and 10_000 < len(content) < 300_000
    assert "images/page.png" in (ROOT / "docs" / "serving.md").read_text(encoding="utf-8")
