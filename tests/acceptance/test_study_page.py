"""The light box of a study in a real browser: slider, keys, wheel, drag, curve; and the page without JavaScript.

The screenshots stay in `artefacts/pages` for people to look at; the head in them is made up.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import answered, outcomes, stored, viewer, web
from tests.viewer import Browser

pytestmark = [pytest.mark.viewer, pytest.mark.slow, pytest.mark.timeout(300)]

SHOTS = Path(__file__).resolve().parents[2] / "artefacts" / "pages"
HOSTILE = "<script>document.title='taken'</script>\u202egnp.exe" + "A" * 65_536
REFUSED = [
    outcomes.series(
        "1.2.3.1", series_number=1, description=HOSTILE, eligible=False, reason="localizer", detail=HOSTILE
    ),
    outcomes.series("1.2.3.2", series_number=2, description="T2 TSE", eligible=False, reason="not T1-weighted"),
]
SHOWN = "document.querySelector('.slices > .shown').dataset.number"
SLICES = "document.querySelectorAll('.slices > li').length"
OPACITY = "getComputedStyle(document.querySelector('.slices > .shown .heat')).opacity"
PICTURE = ".slices > .shown .film"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a study with nine slices, of which the last is the most probable."""
    with stored.opened(tmp_path_factory.mktemp("light-box")) as db:
        job = answered.study(db, refused=REFUSED)
        with web.served(stored.folder(db)) as home:
            yield f"{home}/jobs/{job.job_id}"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with viewer.browser() as found:
        yield found


@pytest.fixture
def opened(browser: Browser, page: str) -> Browser:
    """The page, as it is when it opens."""
    browser.open()
    assert browser.goto(page) == 200
    return browser


def drag(kind: str, to_right: float, down: float, at: str = ".slices") -> str:
    """A pointer that goes down in the middle of an element and is moved by these parts of it."""
    return f"""(() => {{
        const element = document.querySelector('{at}'), box = element.getBoundingClientRect();
        element.setPointerCapture = () => {{}};
        const send = (name, x, y) => element.dispatchEvent(new PointerEvent(name, {{
            pointerType: '{kind}', clientX: box.left + box.width * x, clientY: box.top + box.height * y, buttons: 1,
        }}));
        send('pointerdown', 0.5, 0.5);
        send('pointermove', 0.5 + {to_right}, 0.5 + {down});
        send('pointerup', 0.5 + {to_right}, 0.5 + {down});
    }})()"""


def test_it_opens_at_the_most_probable_slice_with_every_picture_loaded(opened: Browser) -> None:
    assert opened.tell(SHOWN) == "9"
    assert opened.tell("document.querySelectorAll('.slices > li:not(.shown)').length") == 8
    opened.wait(
        "[...document.querySelectorAll('.film img')].every(image => image.complete && image.naturalWidth === 224)"
    )
    assert opened.errors() == []


def test_the_picture_is_as_wide_and_as_high_as_the_head(opened: Browser) -> None:
    box = opened.tell(
        f"(({{width, height}}) => [width, height])(document.querySelector('{PICTURE}').getBoundingClientRect())"
    )
    assert box[0] / box[1] == pytest.approx(176 / 208, rel=0.01)


def test_keys_step_through_the_slices(opened: Browser) -> None:
    opened.tell("document.querySelector('[data-slice]').focus()")
    for key, expected in (("Home", "1"), ("ArrowUp", "2"), ("ArrowRight", "3"), ("ArrowDown", "2"), ("End", "9")):
        opened.press(key)
        assert opened.tell(SHOWN) == expected, key
    assert opened.tell("document.querySelector('[data-slice]').getAttribute('aria-valuetext')").startswith("9 of 9, H ")


def test_the_wheel_steps_and_the_page_stays_where_it_is(opened: Browser) -> None:
    opened.tell(f"document.querySelector('{PICTURE}').scrollIntoView()")
    top = opened.tell("scrollY")
    opened.wheel(PICTURE, 100)
    opened.wait(f"{SHOWN} === '7'")
    opened.wheel(PICTURE, -40)
    opened.wait(f"{SHOWN} === '8'")
    assert opened.tell("scrollY") == top


def test_a_drag_steps_up_and_down_with_a_mouse_and_to_the_side_with_a_finger(opened: Browser) -> None:
    opened.tell(drag("mouse", 0, 0.25))
    assert opened.tell(SHOWN) == "6"
    opened.tell(drag("touch", -0.25, 0.2))
    assert opened.tell(SHOWN) == "3"


def test_the_curve_and_its_letters_lead_to_their_slices(opened: Browser) -> None:
    opened.tell(drag("mouse", -0.5, 0, ".curve"))
    assert opened.tell(SHOWN) == "1"
    opened.click("[data-go]:last-of-type")
    assert opened.tell(f"{SHOWN} === [...document.querySelectorAll('[data-go]')].at(-1).dataset.go")
    assert opened.tell("document.querySelectorAll('[data-go][aria-pressed=true]').length") == 1


def test_the_heat_map_is_as_strong_as_the_slider_says(opened: Browser) -> None:
    assert float(opened.tell(OPACITY)) == 0.7
    opened.tell("document.querySelector('[data-heat]').focus()")
    opened.press("Home")
    assert float(opened.tell(OPACITY)) == 0
    assert opened.text("[data-strength]") == "off"
    opened.press("End")
    assert float(opened.tell(OPACITY)) == 1
    opened.tell("document.activeElement.blur()")
    opened.press("h")
    assert float(opened.tell(OPACITY)) == 0
    opened.press("h")
    assert float(opened.tell(OPACITY)) == 1
    assert opened.errors() == []


def test_without_javascript_every_slice_is_there(browser: Browser, page: str) -> None:
    browser.open(script=False)
    browser.goto(page)
    text = browser.text()
    assert "9 of 9" in text
    assert "Heat map" not in text, "a slider that moves nothing is not there"
    assert browser.tell(
        f"{SLICES} === [...document.querySelectorAll('.slices > li')].filter(li => li.offsetHeight).length"
    )
    browser.shoot(SHOTS / "study-without-javascript.png")


def test_what_a_scanner_wrote_does_nothing(opened: Browser) -> None:
    assert "taken" not in opened.tell("document.title")
    assert "<script>document.title" in opened.text(".series")
    assert answered.NAME.split("^", maxsplit=1)[0] not in opened.tell("document.documentElement.outerHTML")


def test_a_readers_word_is_given_by_a_form(browser: Browser, page: str) -> None:
    browser.open(script=False)
    browser.goto(page)
    browser.click("input[value=disagree]")
    browser.fill("#reason", "motion")
    browser.click(".word button")
    browser.wait("document.querySelector('.word').innerText.includes('DISAGREE')")


@pytest.mark.parametrize("width", [1400, 390])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_it_is_readable_by_everybody(browser: Browser, page: str, theme: str, width: int) -> None:
    browser.open(width, theme)
    browser.goto(page)
    assert browser.hindrances() == []
    assert browser.tell("document.documentElement.scrollWidth <= innerWidth")
    browser.shoot(SHOTS / f"study-{width}-{theme}.png")
    assert browser.errors() == []
