"""What agents' tools are told and give back, made from a number: words come again as in any office, texts never do.

Spans with captured contents come in all sizes. Of 2,289 recorded ones of a mail, banking, chat and travel assistant,
each in a message of its own, a tenth had less than 1.2 kB, half less than 1.4 kB, a tenth more than 2.7 kB: most
calls return little. So there are three of them here: `small`, `median` and `large`.
"""

from collections.abc import Callable, Mapping
from random import Random
from typing import Any, Final

import msgspec

from tests.support import otel


def _listed(words: str) -> list[str]:
    return words.split()


_WORDS: Final = _listed(
    "the the the a a of of to to and and in in for for on with that this it is are was be we you they our your about"
    " after all also annual audit before board budget by can change check client close contract could cost customer"
    " date day delay deliver draft end every feedback figure final find first from goal have help if invoice issue"
    " join keep last late launch legal list make market may meeting minutes month more move need new next no not note"
    " offer office open order other over partner payment people plan please point price product project quarter"
    " question quote read ready report review risk room sale same schedule see send share should sign since some stage"
    " start still supplier survey table team term than them then there time today travel two update until use version"
    " week well were what when where which while who will without work would year"
)
_FIRST: Final = _listed("ann ben carla dev elif femi greta hana ines jonas kofi lena marco nadia omar priya")
_LAST: Final = _listed("adler brandt conti diaz ericsson fontaine")
_PLACES: Final = ("corp.example", "corp.example", "corp.example", "partner.example", "mail.example")
_MODEL: Final = {
    "gen_ai.provider.name": "example",
    "gen_ai.request.model": "large-4",
    "gen_ai.usage.input_tokens": 1832,
    "gen_ai.usage.output_tokens": 211,
}


class Texts:
    """Words, people and records, of a kind for each number."""

    def __init__(self, number: int) -> None:
        self.number = number
        self._random = Random(number)

    def words(self, least: int, most: int) -> str:
        return " ".join(self._random.choices(_WORDS, k=self._random.randint(least, most)))

    def prose(self, sentences: int) -> str:
        return " ".join(self.words(8, 18).capitalize() + "." for _ in range(sentences))

    def address(self) -> str:
        first, last, place = (self._random.choice(some) for some in (_FIRST, _LAST, _PLACES))
        return f"{first}.{last}@{place}"

    def moment(self) -> str:
        some = self._random
        day, time = (some.randint(1, 12), some.randint(1, 28)), (some.randint(8, 18), some.randint(0, 59))
        return "2026-{:02}-{:02} {:02}:{:02}:00".format(*day, *time)

    def mail(self) -> str:
        """As tools print it: YAML, its body folded."""
        body = "\n    ".join(self.words(9, 13) for _ in range(4))
        return (
            f"- id_: '{self._random.randint(1, 99_999)}'\n  sender: {self.address()}\n  recipients:\n"
            f"  - {self.address()}\n  - {self.address()}\n  cc: []\n  subject: {self.words(2, 5).capitalize()}\n"
            f"  body: {body}\n  attachments:\n  - {self._random.choice(_WORDS)}-{self.number}.pdf\n  read: true\n"
            f"  status: received\n  timestamp: {self.moment()}\n"
        )


def small(number: int) -> bytes:
    """A question to the model, or a call that returned nothing."""
    texts = Texts(number)
    if number % 2:
        return _asked(texts, 2)
    return _called(texts, "search_files", {"name": texts.words(2, 4)}, "")


def median(number: int) -> bytes:
    """A call with a short answer: a sentence, or a record in JSON."""
    texts = Texts(number)
    if number % 2:
        return _called(texts, "read_channel", {"channel": "#" + texts.words(1, 1)}, texts.prose(3))
    found = {"title": texts.words(3, 6), "start_time": texts.moment(), "participants": [texts.address()],
             "location": texts.words(1, 3), "room": number}  # fmt: skip
    return _called(texts, "find_event", {"query": texts.words(2, 4)}, msgspec.json.encode(found).decode())


def large(number: int) -> bytes:
    """A call that found some mails."""
    texts = Texts(number)
    return _called(texts, "search_mail", {"query": texts.words(2, 4)}, "".join(texts.mail() for _ in range(3)))


def batch(number: int, size: int = 20) -> bytes:
    """Spans as a collector batches them: mails that were found mostly, and a long question for every tenth."""
    found = []
    for place in range(size):
        texts = Texts(size * number + place)
        if place % 10 == 0:
            found.append(_question(texts, 9, place + 1))
        else:
            told = {"query": texts.words(2, 4), "folder": "inbox", "recipients": [texts.address()], "page": place,
                    "note": texts.words(12, 20)}  # fmt: skip
            found.append(_call(texts, "search_mail", told, "".join(texts.mail() for _ in range(2)), place + 1))
    return otel.message(*found)


def _asked(texts: Texts, sentences: int) -> bytes:
    return otel.message(_question(texts, sentences))


def _called(texts: Texts, tool: str, told: Mapping[str, Any], result: str) -> bytes:
    return otel.message(_call(texts, tool, told, result))


def _question(texts: Texts, sentences: int, number: int = 1) -> dict[str, Any]:
    said = [{"role": "user", "parts": [{"type": "text", "content": f"Case {texts.number}. {texts.prose(sentences)}"}]}]
    return otel.span("chat", number, **_MODEL, **{"gen_ai.input.messages": msgspec.json.encode(said).decode()})


def _call(texts: Texts, tool: str, told: Mapping[str, Any], result: str, number: int = 1) -> dict[str, Any]:
    return otel.span(
        "execute_tool",
        number,
        **{
            "gen_ai.tool.name": tool,
            "gen_ai.tool.type": "function",
            "server.address": "tools.corp.example",
            "gen_ai.tool.call.id": f"call_{texts.number}",
            "gen_ai.tool.call.arguments": msgspec.json.encode(told).decode(),
            "gen_ai.tool.call.result": result,
        },
    )


SIZES: Final[Mapping[str, Callable[[int], bytes]]] = {"small": small, "median": median, "large": large}
