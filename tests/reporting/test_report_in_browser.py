"""The page in headless Chromium: nothing goes wrong, nothing goes out, every drawing is drawn, also on a phone."""

import shutil

import pytest
from report_warehouse import HOSTILE_TITLE

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: apt-get install chromium")


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(params=[("light", 1280), ("dark", 390)], ids=["desktop", "dark phone"])
def page(browser, request, report_file):
    scheme, width = request.param
    context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
    page = context.new_page()
    page.messages, page.asked = [], []
    page.on("console", lambda message: page.messages.append(message.text))
    page.on("pageerror", lambda error: page.messages.append(str(error)))
    page.on("dialog", lambda dialog: (page.messages.append(dialog.message), dialog.dismiss()))
    context.route("https://**", lambda route: (page.asked.append(route.request.url), route.abort()))
    page.on("request", lambda request: page.asked.append(request.url))
    page.goto(report_file.as_uri())
    yield page
    context.close()


def test_the_page_opens_quietly_and_asks_for_nothing(page, report_file):
    assert page.messages == []
    assert page.asked == [report_file.as_uri()]
    width, window = page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
    assert width <= window


def test_every_drawing_has_marks_with_a_visible_colour(page):
    figures = page.locator("figure")
    assert figures.count() == 11
    drawn = page.evaluate("""
        [...document.querySelectorAll("figure")].map((figure) => [
          figure.querySelector("figcaption").textContent,
          [...figure.querySelectorAll("[role='graphics-symbol'], .mark-line path, .mark-area path")].filter((mark) => {
            const { width, height } = mark.getBoundingClientRect(), { fill, stroke } = getComputedStyle(mark);
            return width + height > 2 && [fill, stroke].some((colour) => /^rgb/.test(colour));
          }).length])
    """)
    assert [title for title, marks in drawn if not marks] == []


def test_hostile_titles_are_letters(page):
    assert page.locator("#results td").first.text_content() == HOSTILE_TITLE
    assert HOSTILE_TITLE in page.locator("#visitors details td").first.text_content()
    assert page.locator("#results img, #results script").count() == 0


def test_the_search_finds_items_by_words_in_any_order(page):
    page.fill("#search", "17 ITEM")
    assert page.locator("#found").text_content() == "1 found"
    assert page.locator("#results tr").count() == 1
    assert page.locator("#results td").last.text_content() == HOSTILE_TITLE[:100]


def test_pictures_load_when_they_are_asked_for(page):
    page.click("#load-pictures")
    page.locator("img[src]").first.scroll_into_view_if_needed()
    page.wait_for_timeout(200)
    assert {url for url in page.asked if not url.startswith("file:")} == {"https://pictures.example/0.png"}
