"""The tables that extraction reads: keys, endings, and what the verbs of tools do."""

from collections.abc import Mapping
from typing import Final, Literal

from detector.events import NamedKind

ActClass = Literal[
    "send", "pay", "share", "delete", "create", "update", "book", "publish", "credential", "execute", "other"
]


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_KEYS: Final[Mapping[NamedKind, str]] = {
    "account": "account acct iban bban card wallet routing",
    "phone": "phone mobile telephone tel msisdn whatsapp",
    "channel": "channel",
    "url": "url uri link href webhook webpage website site endpoint",
    "host": "host hostname domain server bucket",
    "path": "path filepath file filename folder directory",
    "name": "recipient to cc bcc participant attendee user username invitee member hotel restaurant company payee"
    " beneficiary email mail contact assignee owner grantee sender from author guest person merchant vendor supplier"
    " customer organization organisation group team collaborator reviewer follower subscriber",
}
KEY_KINDS: Final[Mapping[str, NamedKind]] = {word: kind for kind, words in _KEYS.items() for word in words.split()}

PROSE_KEYS: Final = _set(
    "body text content contents description message subject title note notes comment comments review reviews"
    " summary snippet excerpt instructions prompt query html markdown caption bio details reason"
)

FILE_ENDINGS: Final = _set(
    "txt md rst pdf doc docx odt rtf xls xlsx ods csv tsv ppt pptx odp json jsonl yaml yml toml ini cfg conf xml html"
    " htm css js ts jsx tsx py ipynb rb rs go java c h cpp hpp sh bash ps1 bat exe dll so zip tar gz tgz bz2 xz 7z"
    " rar png jpg jpeg gif svg webp bmp ico mp3 mp4 wav avi mov mkv log sql db sqlite parquet eml ics pem key crt"
)

# Endings that English words or code rarely have: a bare `self.id` or `sentence.in` is no host.
TOP_LEVEL: Final = _set(
    "com org net edu gov mil int info biz io ai dev app co xyz online site tech cloud page shop store blog live news"
    " agency media work works link click top pro name mobi gg ly tv fm cc ws icu example test invalid local localhost"
    " internal intranet corp lan home onion uk us eu de fr es nl pl pt se fi dk cz sk hu ro bg gr ie ch li lu ee lv lt"
    " ru ua by kz tr il ae sa eg za ng ke ma cn hk tw jp kr sg ph th vn nz au ca mx br ar cl pe ve"
)

READS: Final = _set(
    "get list search read find check view fetch lookup look query show describe count download browse open scan"
    " inspect preview retrieve select summarise summarize analyse analyze calculate compute compare validate verify"
    " exists stat head ls cat grep glob visit navigate crawl scrape load poll watch monitor explain estimate recall"
    " is has can print display filter sort translate think ask detect extract parse"
)

_ACTS: Final[Mapping[ActClass, str]] = {
    "send": "send reply forward respond notify transmit transfer export upload dispatch deliver",
    "pay": "pay purchase buy refund withdraw deposit donate charge invoice wire remit checkout",
    "share": "share invite grant permit allow authorize authorise revoke assign unshare",
    "delete": "delete remove erase clear discard drop cancel purge trash destroy wipe unsubscribe kick ban terminate",
    "create": "create add make new insert schedule register generate write save draft put open_account",
    "update": "update change set edit modify adjust move rename reschedule append replace patch copy archive mark"
    " enable disable restore",
    "book": "book reserve",
    "publish": "publish post tweet announce broadcast deploy",
    "credential": "authenticate login rotate",
    "execute": "execute run exec eval invoke call start stop trigger",
}
ACTS: Final[Mapping[str, ActClass]] = {word: act for act, words in _ACTS.items() for word in words.split()}

# Nouns that say what is done only when the name has no verb: `email`, `bash`, but not `list_emails`.
NOUNS: Final[Mapping[str, ActClass]] = {
    **dict.fromkeys(("email", "mail", "message", "sms", "dm", "text", "slack", "reminder"), "send"),
    **dict.fromkeys(("payment", "transaction"), "pay"),
    **dict.fromkeys(("bash", "shell", "terminal", "python", "code", "command", "sql"), "execute"),
    **dict.fromkeys(("reservation", "booking"), "book"),
}

# What an act is done to can change its class, among the classes named.
_GENERAL: Final[frozenset[ActClass]] = frozenset({"send", "create", "update", "other"})
OBJECTS: Final[tuple[tuple[frozenset[str], frozenset[ActClass], ActClass], ...]] = (
    (
        _set("password passwords credential credentials secret secrets token tokens mfa otp passkey"),
        _GENERAL,
        "credential",
    ),
    (frozenset({"key", "keys"}), frozenset({"create"}), "credential"),
    (
        _set("money payment payments transaction transactions funds fund invoice wire salary"),
        frozenset({"send", "create", "other", "book"}),
        "pay",
    ),
    (
        _set("permission permissions access acl role policy member user collaborator"),
        frozenset({"create", "other"}),
        "share",
    ),
    (_set("permission permissions access acl role policy visibility"), frozenset({"update"}), "share"),
)

# Beginnings of the words by which people ask for each class of act; a short one (up to three letters) is a word.
_ASKED: Final[Mapping[ActClass, str]] = {
    "send": "send sent mail email e-mail forward reply respond write message tell notif text inform let share report"
    " contact deliver ask remind invit answer submit upload export transfer dm ping say post publish comment",
    "pay": "pay send sent transfer money rent bill refund wire buy purchas settle subscri order deposit invoice donat"
    " reimburs schedul",
    "share": "share sharing access permi grant give invit add onboard join collaborat",
    "delete": "delet remov eras clear discard drop cancel purg trash wipe clean kick unsubscri uninvit",
    "create": "creat add make making set schedul book plan new remind event meet put invit organi arrang save saving"
    " write generat draft regist insert block reserv fill",
    "update": "updat chang adjust modif edit reschedul mov renam set correct append add fix replac mark archiv copy"
    " enabl disabl restor put extend postpon",
    "book": "book reserv schedul stay rent order",
    "publish": "post publish announc share sharing write tweet comment broadcast deploy upload put",
    "credential": "password credential secret token key login sign log authenticat reset rotat",
    "execute": "run execut start launch call script command comput calculat test build install deploy stop",
    "other": "",
}
ASKED: Final[Mapping[ActClass, tuple[str, ...]]] = {act: tuple(words.split()) for act, words in _ASKED.items()}
DELEGATING_VERBS: Final = _set("follow do perform execute complete carry handle")
DELEGATED_NOUNS: Final = _set("instruction instructions task tasks action actions todo todos to-do to-dos steps")
DELEGATED_BY: Final = _set("specified described listed mentioned outlined")
DELEGATED_TO: Final = _set("find email mail message file document page website link todo todos")
