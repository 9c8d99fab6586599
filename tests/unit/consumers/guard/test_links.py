"""Links in answers with untrusted sources: no notation leads to a host that is not listed."""

from __future__ import annotations

import json
import time

import pytest

from consumers.guard.content import Content
from consumers.guard.link_places import REMOVED, find_links
from consumers.guard.links import LINKS, LinksConfig
from consumers.guard.text_threads import text_thread
from tests.unit.consumers.guard.fakes import context

pytestmark = pytest.mark.anyio

LISTED = json.dumps(["docs.example.com", "*.trusted.example"])
EVIL = "evil.example"

OUTWARD = [
    f"https://{EVIL}/?q=1",
    f"see HTTPS://{EVIL}/a.",
    f"http:{EVIL}/x",
    f"https:/{EVIL}/x",
    f"https:\\\\{EVIL}\\x",
    f"ftp://{EVIL}/x",
    f"wss://{EVIL}/x",
    f"www.{EVIL}/x",
    f"![x](https://{EVIL}/a.png?d=1)",
    f"![x](<https://{EVIL}/a b>)",
    f"![x](//{EVIL}/a.png)",
    f"![x](\n//{EVIL}/a.png)",
    f"![x](\\\\{EVIL}/a.png)",
    f"[x](https\\://{EVIL}/a)",
    f"[x](&#104;ttps://{EVIL}/a)",
    f"[x](https&colon;//{EVIL}/a)",
    f"[x](&#x2f;/{EVIL}/a)",
    f"[x][id]\n\n[id]: https://{EVIL}/a 'title'",
    f"[id]://{EVIL}/a",
    f"[id]: //{EVIL}/a",
    f"[a](b](https://{EVIL}/c)",
    f"<https://{EVIL}/a>",
    f"<img src=//{EVIL}/a.png>",
    f"<img src='//{EVIL}/a.png'>",
    f'<img alt=">" src="//{EVIL}/a.png">',
    f'<img srcset="/a.png 1x, //{EVIL}/a.png 2x">',
    f'<a href="ht\ntps://{EVIL}/a">x</a>',
    f'<a href="ht&#10;tps://{EVIL}/a">x</a>',
    f'<meta http-equiv=refresh content="0;url=//{EVIL}/a">',
    f"<div style=\"background:url('//{EVIL}/a')\">",
    f"<style>@import '//{EVIL}/a';</style>",
    "![x](data:image/svg+xml;base64,PHN2Zz4=)",
    "[x](data:text/html,hello)",
    "[x](javascript:alert(1))",
    "[x](mailto:mallory@evil.example?body=1)",
    "[x](//2130706433/a)",
    "[x](//0x7f000001/a)",
    "[x](//[::1]/a)",
    f"https://docs.example.com@{EVIL}/a",
    f"https://docs.example.com:x@{EVIL}/a",
    f"https://docs.example.com,x@{EVIL}/a",
    f"https://docs.example.com\\@{EVIL}/a",
    f"https://docs.example.com%2e{EVIL}/a",
    f"https://docs.example.com&#46;{EVIL}/a",
    f"https://docs.example.com.{EVIL}/a",
    f'<a href="https://docs.example.com\n.{EVIL}/a">',
    "https://docs.example.com\u3002evil.example/a",
    "https://docs.example.com\u200b.evil.example/a",
    f"https://{EVIL}#docs.example.com",
    "https://trusted.example/a",
    "https://xtrusted.example/a",
    "https://docs.example.com.:80x@evil.example",
    "xhttps://evil.example/a",
]


@pytest.mark.parametrize("text", OUTWARD)
def test_a_link_to_another_host_is_removed(text: str) -> None:
    """Each notation is one that a browser or a Markdown program may follow."""
    found = find_links(text, "", LISTED)
    assert found.kinds == ("link",)
    assert REMOVED in (found.text or "")
    assert find_links(found.text or "", "", LISTED).text is None
    assert f"//{EVIL}" not in (found.text or "")


@pytest.mark.parametrize(
    "text",
    [
        "https://docs.example.com/a?b=c#d",
        "See https://docs.example.com.",
        "(https://docs.example.com)",
        "![x](https://docs.example.com:443/a.png 'title')",
        "<a href='https://a.b.trusted.example/x'>",
        "[x](//docs.example.com/a)",
        "[x](/local/path) ![y](image.png) [z](#place) [w](../up)",
        'a // b, 5//2, src//module, C:\\Users\\x, \\\\share, 10:30, Error: x, data: 5, {"data":[1,2]}',
        "The file: readme. javascript: a language. mailto is a scheme. Write to ada@example.org.",
        "// a comment\nx = 1  //increment\nregex = '//'",
        "std::vector<int> a; key:value; http is a protocol; https: the secure one",
        "&amp; &lt;b&gt; \\frac{a}{b} \\n",
        "",
    ],
)
def test_a_text_without_such_a_link_stays(text: str) -> None:
    """Listed hosts, links within the same site, code and prose."""
    assert find_links(text, "", LISTED).text is None


def test_the_rest_of_the_text_stays() -> None:
    """A sentence's marks and brackets are not part of a link."""
    given = f"See [this](https://{EVIL}/wiki/A_(b)), or https://{EVIL}/c. Or https://docs.example.com/ok!"
    assert find_links(given, "", LISTED).text == (
        f"See [this]({REMOVED}), or {REMOVED}. Or https://docs.example.com/ok!"
    )


async def test_a_clean_answer_keeps_its_links() -> None:
    """Only untrusted text could have brought a link in that the user did not ask for."""
    guard = LINKS.make(LinksConfig(), "output", text_thread)
    text = f"https://{EVIL}"
    assert (await guard(Content(text, "answer"), context())).action == "pass"
    assert (await guard(Content(text, "answer", tainted=True), context())).text == REMOVED


@pytest.mark.parametrize("hosts", [["a b"], ["https://a.b"], ["*"], [""], ["a..b"], ["*.a.*"]])
def test_a_host_that_no_link_can_have_is_refused(hosts: list[str]) -> None:
    """It would never match, and look as if it did."""
    with pytest.raises(ValueError, match="hosts"):
        LinksConfig.model_validate({"hosts": hosts})


@pytest.mark.parametrize(
    "part",
    [
        "a",
        "(",
        "https:",
        "://",
        "//a.",
        "](",
        "&",
        "\\",
        "='",
        '="\n',
        "www.",
        "data:",
        "https://docs.example.com,",
        "&#",
        "[x](//",
    ],
)
def test_a_long_text_of_any_part_takes_linear_time(part: str) -> None:
    """Four times the text takes about four times the time, not sixteen."""
    short, long = (part * (size // len(part)) for size in (20_000, 160_000))
    assert _cpu(long) < 24 * max(_cpu(short), 0.001)


def _cpu(text: str) -> float:
    times = []
    for _ in range(2):
        began = time.process_time()
        find_links(text, "", LISTED)
        times.append(time.process_time() - began)
    return min(times)
