"""Make `docs/images/page.png`: the page of a service that runs.

    hub serve travel@3=runs/quickstart-onnx
    python tools/page_screenshot.py http://127.0.0.1:8866/

Needs Debian's chromium and chromium-driver.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By

TEXTS = ["这家酒店的电话是多少", "附近有什么好吃的", "帮我订一张明天去故宫的门票"]


def main() -> None:
    options = Options()
    options.binary_location = "/usr/bin/chromium"
    for argument in ("--headless=new", "--no-sandbox", "--window-size=900,1230", "--lang=zh-CN"):
        options.add_argument(argument)
    driver = webdriver.Chrome(options, Service("/usr/bin/chromedriver"))
    try:
        driver.get(sys.argv[1])
        driver.execute_script("localStorage['hub-language'] = arguments[0]", json.dumps("zh"))
        driver.refresh()
        time.sleep(1)
        driver.find_element(By.ID, "texts").send_keys("\n".join(TEXTS))
        driver.find_element(By.ID, "send").click()
        time.sleep(2)
        driver.execute_script("scrollTo(0, 0)")
        image = Path(__file__).parents[1] / "docs" / "images" / "page.png"
        image.parent.mkdir(exist_ok=True)
        driver.save_screenshot(str(image))
    finally:
        driver.quit()


if __name__ == "__main__":
    main()
