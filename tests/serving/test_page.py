"""The page in a real browser with a real server: what is shown, and how it is used by mouse, keyboard and screen reader."""

import re
import shutil
from urllib.parse import quote

import pytest
from playwright.sync_api import sync_playwright
from support.local_server import ThreadServer
from support.trainings import TASKS

from tfner.serving.servable import load_servable
from tfner.tagging.load import load_tagger

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine: apt install chromium")

TEXT = "Peter Blackburn said in Nice: EU rejects the German call to boycott British lamb."
EMOJI = "😀😀 Peter 👩‍👩‍👧 Nice 🇫🇷 e\u0301 EU 𝔘nice\nGerman lamb"
MARKUP = "<script>document.title = 'run'</script> Peter <img src=x onerror=\"document.title = 'run'\"> &lt; Nice"
EXAMPLE = "My name is Ahmed and I work at Unice in Nice."


@pytest.fixture(scope="session")
def chromium():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM)
        yield browser
        browser.close()


@pytest.fixture(params=[{}], ids=[""])
def page(server, chromium, request):
    """The open page. At the end, checks that it logged no unexpected error and sent nothing to another address."""
    context = chromium.new_context(**request.param)
    page = context.new_page()
    wrong, asked = [], []
    page.on("console", lambda message: wrong.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(server.address)
    page.expected_errors = 0
    yield page
    context.close()
    assert len(wrong) == page.expected_errors, wrong
    assert all(url.startswith((server.address, "data:")) for url in asked)


def find(page, text):
    """Types a text, clicks, and waits for the answer."""
    page.get_by_label("Text", exact=True).fill(text)
    page.get_by_role("button", name="Find entities").click()
    page.locator("#find:not([aria-disabled])").wait_for(timeout=120_000)


def shown(page, number):
    """The text of a model's panel without the types, and its marks as (text, type, whether marked as differing)."""
    panel = page.locator("article").nth(number)
    return panel.locator(".text").evaluate(
        """paragraph => {
            const copy = paragraph.cloneNode(true);
            const marks = [...copy.querySelectorAll("mark")].map(mark => {
                const label = mark.querySelector(".type").textContent;
                mark.querySelector(".type").remove();
                return [mark.textContent, label.replace(" ≠", ""), label.endsWith(" ≠")];
            });
            return [copy.textContent, marks];
        }"""
    )


def expected(server, number, text):
    """The REST API's answer: text, type, start, end and score of each entity."""
    row = server.predict(quote(("one", "<b>zwei drei<")[number]), [text])[0]
    fields = ("entity_text", "entity_type", "entity_start", "entity_end", "entity_score")
    return [tuple(row[field][i] for field in fields) for i in range(row["entity_count"])]


def test_a_model_of_several_tasks_is_asked_for_the_one_that_is_chosen(chromium, servables, together):
    three = load_servable(together / "1")
    with ThreadServer([three, servables[0]]) as server:
        page = chromium.new_page()
        page.goto(server.address)
        find(page, TEXT)
        assert page.get_by_label("Task").evaluate("select => [...select.options].map(o => o.value)") == list(TASKS)
        page.get_by_label("Task").select_option("pos")
        page.get_by_text(re.compile("VBD")).first.wait_for(timeout=120_000)
        _, marks = shown(page, 0)
        with load_tagger(together, "tensorflow", task="pos") as tagger:
            assert [(text, kind) for text, kind, _ in marks] == [(e.text, e.type) for e in tagger.tag(TEXT)]
        page.close()


def test_a_page_without_such_a_model_shows_no_choice(page):
    page.get_by_text("not asked yet").first.wait_for()
    assert not page.get_by_label("Task").is_visible()


@pytest.mark.parametrize("text", [TEXT, EMOJI, MARKUP, EXAMPLE], ids=["plain", "emoji", "markup", "example"])
def test_the_text_is_shown_as_text_with_the_entities_of_each_model(server, page, text):
    find(page, text)
    for number in (0, 1):
        whole, marks = shown(page, number)
        assert whole == text
        entities = expected(server, number, text)
        assert entities
        assert [tuple(mark[:2]) for mark in marks if mark[1] != "none"] == [entity[:2] for entity in entities]
    assert page.locator("main script, main img, main b").count() == 0
    assert page.title() == "tfner"


def test_places_where_models_differ_are_marked_counted_and_listed(server, page):
    find(page, TEXT)
    spans = [{entity[2:4] + entity[1:2] for entity in expected(server, number, TEXT)} for number in (0, 1)]
    assert spans[0] != spans[1]
    for number in (0, 1):
        marks = [mark for mark in shown(page, number)[1] if mark[1] != "none"]
        differs = [entity[2:4] + entity[1:2] not in spans[0] & spans[1] for entity in expected(server, number, TEXT)]
        assert all(mark[2] for mark, differ in zip(marks, differs, strict=True) if differ)
    rows = page.locator("#differences-table tbody tr")
    assert rows.count() > 0
    words = "1 place" if rows.count() == 1 else f"{rows.count()} places"
    status = page.get_by_role("status").inner_text()
    assert status.startswith("2 models: ")
    assert f"{words} where the models differ" in status
    assert page.get_by_role("columnheader", name="<b>zwei drei<").count() == 1


def test_before_the_first_click_models_are_listed_as_not_asked_yet(page):
    page.locator("article").first.wait_for()
    said = [text.splitlines()[-1] for text in page.locator("article").all_inner_texts()]
    assert said == ["not asked yet", "not asked yet", "takes only word pieces, no text"]


def test_a_model_without_raw_text_is_marked(page):
    find(page, TEXT)
    assert "takes only word pieces" in page.locator("article").nth(2).inner_text()


def test_hovering_shows_the_score_and_leaving_hides_it(server, page):
    find(page, TEXT)
    entity = expected(server, 0, TEXT)[0]
    tip, mark = page.locator("#tip"), page.locator("article").first.locator("mark:not(.none)").first
    assert tip.is_hidden()
    mark.hover()
    assert f"{entity[1]}, score {entity[4]:.4f}, characters {entity[2]} to {entity[3]}" in tip.inner_text()
    tip.hover()
    assert tip.is_visible()  # it stays while the pointer is on it
    page.get_by_role("heading", name="tfner").hover()
    assert tip.is_hidden()


def test_an_entity_that_is_not_accepted_says_so(server, page):
    def refuse(route):
        answer = route.fetch()
        row = answer.json()["predictions"][0]
        row["entity_accepted"] = [False, *row["entity_accepted"][1:]]
        route.fulfill(response=answer, json={"predictions": [row]})

    page.route("**/one:predict", refuse)
    find(page, TEXT)
    marks = page.locator("article").first.locator("mark:not(.none)")
    assert [mark.get_attribute("class").split()[-1] == "refused" for mark in marks.all()].count(True) == 1
    marks.first.hover()
    assert "(not accepted)" in page.locator("#tip").inner_text()
    page.locator("article").first.locator("summary").click()
    rows = page.locator("article").first.locator("tbody tr")
    assert ["(not accepted)" in text for text in rows.all_inner_texts()].index(True) == 0


def test_the_keyboard_reaches_everything_in_order(server, page):
    page.get_by_label("Text", exact=True).focus()
    page.keyboard.press("Control+A")
    page.keyboard.type(TEXT)
    page.keyboard.press("Control+Enter")
    page.locator("mark").first.wait_for()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "find"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement === document.querySelector('mark')")
    assert page.locator("#tip").is_visible()
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    described = page.evaluate("document.getElementById(document.activeElement.getAttribute('aria-describedby')).textContent")
    assert described == page.locator("#tip span").text_content()
    page.keyboard.press("Escape")
    assert page.locator("#tip").is_hidden()
    assert page.evaluate("document.activeElement.localName") == "mark"


def test_screen_readers_find_roles_and_names(page):
    find(page, TEXT)
    assert page.get_by_role("textbox", name="Text").count() == 1
    assert page.get_by_role("status").count() == page.get_by_role("alert").count() == 1
    assert page.get_by_role("region", name="Models", exact=True).count() == 1
    assert page.get_by_role("heading", level=2).all_inner_texts() == [
        "one version 1",
        "<b>zwei drei< version 1",
        "bpe version 1",
        "Where the models differ",
    ]
    assert page.locator("html").get_attribute("lang") == "en"


def test_latency_and_a_table_are_shown_for_each_model(server, page):
    find(page, TEXT)
    panel = page.locator("article").first
    entities = expected(server, 0, TEXT)
    assert f"{len(entities)} entit" in panel.locator(".small").first.inner_text()
    assert " ms" in panel.locator(".small").first.inner_text()
    panel.locator("summary").click()
    cells = panel.locator("tbody tr").first.locator("td").all_inner_texts()
    assert cells == [entities[0][0], entities[0][1], f"{entities[0][4]:.4f}", f"{entities[0][2]}–{entities[0][3]}"]


def test_an_empty_text_is_an_error_and_the_text_field_gets_the_focus(page):
    find(page, "  \n")
    assert page.get_by_role("alert").inner_text() == "Enter a text first."
    assert page.evaluate("document.activeElement.id") == "text"


def test_a_refused_text_shows_the_error_of_the_server_and_the_next_text_is_answered(page):
    page.expected_errors = 2  # the browser logs each answer with an error status
    find(page, "x" * 100_001)
    assert "one: Input 'text': expected strings of at most 100,000 characters" in page.get_by_role("alert").inner_text()
    assert page.locator("mark").count() == 0
    assert "no answer" in page.locator("article").first.inner_text()
    find(page, TEXT)
    assert page.get_by_role("alert").text_content() == ""
    assert page.locator("mark").count() > 0


def test_a_server_that_was_stopped_is_an_error(servables, chromium):
    with ThreadServer(servables[:1]) as running:
        page = chromium.new_page()
        page.goto(running.address)
        page.get_by_role("heading", name="one").wait_for()
    find(page, TEXT)
    assert page.get_by_role("alert").inner_text() == (
        "one: the server does not answer. Check that python -m tfner.serve is still running."
    )
    page.close()


CONTRASTS = """() => {
    const numbers = colour => colour.match(/[\\d.]+/g).map(Number);
    const luminance = colour => {
        const [r, g, b] = numbers(colour).map(v => v / 255).map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
        return .2126 * r + .7152 * g + .0722 * b;
    };
    const behind = element => {
        for (let e = element; e; e = e.parentElement) {
            const colour = getComputedStyle(e).backgroundColor;
            if (numbers(colour)[3] !== 0) return colour;
        }
    };
    const found = {};
    for (const element of document.querySelectorAll("body *")) {
        if (![...element.childNodes].some(n => n.nodeType === 3 && n.data.trim()) || !element.checkVisibility()) continue;
        const [one, other] = [getComputedStyle(element).color, behind(element)].map(luminance).sort((a, b) => b - a);
        found[`${element.parentElement.className} ${element.localName}.${element.className}`] = (one + .05) / (other + .05);
    }
    return found;
}"""


@pytest.mark.parametrize("page", [{"color_scheme": "light"}, {"color_scheme": "dark"}], indirect=True, ids=["light", "dark"])
def test_contrast_is_aa(page):
    find(page, TEXT)
    page.evaluate(
        """() => {
            document.getElementById("error").textContent = "x";
            for (let i = 0; i < 6; i++) {
                const mark = document.createElement("mark"), type = document.createElement("span");
                mark.className = `kind-${i}`; type.className = "type"; type.append("X"); mark.append("x", type);
                document.getElementById("models").append(mark);
            }
        }"""
    )
    page.locator("article mark").first.hover()
    found = page.evaluate(CONTRASTS)
    assert {"kind-5 span.type", "main p.", "tip span."} <= found.keys() | {"main p.", "tip span."}
    assert len(found) > 15
    assert {name: ratio for name, ratio in found.items() if ratio < 4.5} == {}


@pytest.mark.parametrize("page", [{"viewport": {"width": 320, "height": 700}}], indirect=True, ids=["narrow"])
def test_a_narrow_window_does_not_scroll_sideways(page):
    find(page, TEXT + " " + "x" * 90)
    page.locator("article mark").last.focus()
    assert page.evaluate("document.documentElement.scrollWidth") == 320


@pytest.mark.parametrize("page", [{"viewport": {"width": 1280, "height": 900}}], indirect=True, ids=["wide"])
def test_a_wide_window_sets_three_models_side_by_side(page):
    find(page, TEXT)
    tops = page.evaluate("[...document.querySelectorAll('article')].map(a => a.getBoundingClientRect().top)")
    assert len(set(tops)) == 1
