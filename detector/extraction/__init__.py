"""What tool calls, their results and people's requests name, and what a tool does: text in, nouns out.

Pure and bounded: no I/O, no clock, the same answer for the same text, and time that grows with the length of
the text, of which at most `MOST_TEXT` characters are read and `MOST_NAMED` entities given.

Canonical forms (`Named.value`), all lower case and at most 512 characters:

| kind | form | example |
| --- | --- | --- |
| email | the bare address, in quotes only where it needs them | `ann@corp.example` |
| account | without spaces; told by an IBAN's structure, a card's check digit, a wallet's form, or its key | `gb29...` |
| phone | its digits | `14155550123` |
| url | host and path, no `http(s)://`, `www.`, port, query, fragment or last slash; other schemes stay | `x.com/a` |
| host | no `www.` and no port; a bucket with its scheme | `x.com`, `s3://bucket` |
| channel | without `#` | `general` |
| path | as written | `/etc/passwd`, `bill.txt` |
| name | words with single spaces | `sea view hotel` |

A link gives its url and its host.
"""

from detector.extraction.acts import act_class, acts_asked_for, asked_for
from detector.extraction.named import MOST_NAMED, MOST_TEXT, named_in_arguments, named_in_result
from detector.extraction.request import mentions, words

__all__ = [
    "MOST_NAMED",
    "MOST_TEXT",
    "act_class",
    "acts_asked_for",
    "asked_for",
    "mentions",
    "named_in_arguments",
    "named_in_result",
    "words",
]
