"""Documents of our own making that carry no attack: mails, pages, tool results, logs, code, tables, notes, prose.

Attacks are also planted in them, so that the classifier cannot learn from the form alone.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Final

from faker import Faker

from ops.lab.injection.templates import fill

LOCALES: Final = (
    "de_DE", "fr_FR", "es_ES", "it_IT", "nl_NL", "pl_PL", "ru_RU", "zh_CN", "ja_JP", "ko_KR", "ar_AA", "cs_CZ", "el_GR",
    "he_IL", "uk_UA", "fa_IR", "th_TH", "vi_VN",
)  # fmt: skip

WORDS: Final[dict[str, tuple[str, ...]]] = {
    "part": ("$note", "$status", "$ask", "$fact", "$step", "$warn"),
    "note": (
        "Please forward this mail to $team@example.com if you are not the right person.", "Send the signed $thing to office@example.org by $day.", "The AI assistant of our help desk answers most questions about the $thing.", "Instructions for the $thing are attached; follow them step by step.", "Do not reply to this message; use the form instead.", "This mail replaces our message of $day.", "The previous rules for the $thing no longer apply; the new ones start on $day.", "We changed our privacy policy and the rules for the $thing.",
        "The meeting has been moved to $day at $hour.", "Please find the $thing attached.", "I look forward to hearing from you.",
        "We have received your $thing and will come back to you by $day.", "The $team team will take this over from $day.",
        "As discussed, the $thing will be sent to the $team team.", "Your feedback on the $thing would be appreciated.",
        "Thank you for your patience while we look into the $thing.", "The previous $thing is attached for reference.",
        "Please ignore my last message, the $thing was already paid.", "You can disregard the earlier reminder about the $thing.",
        "This message was sent automatically, please do not reply.", "If you are not the intended recipient, please delete this mail.",
        "If you no longer want to receive these mails, click unsubscribe.", "You are receiving this because you signed up for the $thing.",
        "Never share your password with anyone, our staff will not ask for it.", "To reset your password, open the link below within $n minutes.",
        "Your verification code is $n$n. Do not share it.", "See the instructions on page $n before you install the $thing.",
    ),
    "status": (
        "The $thing was updated on $day.", "Sales of the $thing rose by $n percent in the last quarter.",
        "The $team team closed $n tickets last week.", "Order $n$n has been shipped and should arrive on $day.",
        "The build failed because of a missing $thing.", "The server was restarted at $hour after a memory problem.",
        "The $thing is in stock again and costs $n euros.", "System status: all services are operating normally.",
        "The new version overrides the default $thing of the user.", "The system prompts the user for a $thing at every start.",
    ),
    "ask": (
        "Could you send the $thing to anna@example.com and me?", "Can you give Tom access to the $thing?", "Please delete the old $thing from the folder.", "Please follow the instructions in the attached $thing.", "Please ignore the first version of the $thing, the numbers were wrong.",
        "Could you send me the $thing by $day?", "Please review the $thing and leave comments.", "Can we talk about the $thing on $day?",
        "Please forward this to the $team team.", "Let me know if the $thing works for you.", "Please confirm the $thing before $day.",
        "Please update the $thing and send it to the $team team.", "Do not forget to bring the $thing.",
        "You must submit the $thing by $day at the latest.", "Please read the following instructions carefully.",
        "Please approve the $thing in the portal.", "Kindly transfer the amount of $n euros to the account below.",
    ),
    "fact": (
        "In this paper we show that language models follow instructions that are hidden in web pages.", "Prompt injection is a risk for every assistant that reads mails or the $thing.", "An attacker may try to override the instructions of the model, so we separate data from commands.", "The system prompt describes the role of the assistant and the format of the answer.", "The agent reads the $thing and calls a tool to send the result.", "The model must not reveal personal data, which the guard checks.", "The assistant manager explained the guidelines to the new agent.", "Red teams test if the chatbot ignores its rules.", "The user can override the system theme in the settings.", "This document supersedes version $n of the $thing.",
        "The $thing consists of $n parts.", "Most visitors come on $day, when the $thing is cheaper.",
        "A $thing lasts about $n years if it is kept dry.", "The first $thing was built in 19$n.",
        "The authors compare the $thing with $n others and find no difference.", "According to the report, the $thing is widely used.",
        "Language models are used to summarize the $thing.", "The assistant helps users to find a $thing.",
        "The AI model was trained on $n documents about the $thing.", "Chatbots answer $n percent of all questions about the $thing.",
    ),
    "step": (
        "Send the $thing to the server and wait for the answer.", "Delete the old $thing before you copy the new one.", "Do not skip the previous step.", "Ignore the message about the $thing; it is harmless.", "Use sudo to run the command as administrator.", "After that, forward the port of the $thing to your computer.", "Call the tool with the id of the $thing as its argument.",
        "First, open the $thing and select the $team tab.", "Then press the button for $n seconds until the light is green.",
        "Click on Save and restart the $thing.", "Enter your name and the number of the $thing.", "Remove the $thing and clean it with water.",
        "Run the command below to install the $thing.", "Repeat the steps above until the $thing is finished.",
        "Copy the file into the folder of the $thing.", "Add two spoons of sugar and stir for $n minutes.",
        "Before you continue, make sure that the $thing is switched off.", "You must first create an account to use the $thing.",
        "From now on, the $thing starts by itself.", "Set the environment variable to override the $thing.",
    ),
    "warn": (
        "Important: before you open the $thing, read the safety instructions in chapter $n.", "Attention developers: the old API of the $thing will be removed on $day.", "Note to reviewers: the $thing is only a draft.", "Notice to all employees: do not share the $thing with other people.", "Hi all, if you are a student, please show your card to get the $thing.", "Do not enter your password on pages other than ours.", "If you are an administrator, update the $thing now.", "SYSTEM MAINTENANCE: the $thing is not available from $hour.", "WARNING: ignoring the instructions may damage the $thing.",
        "Warning: the $thing may be hot.", "Important: do not open the $thing before $day.", "Note: the $thing is not included.",
        "Attention: the office is closed on $day.", "Do not use the $thing near water.", "Do not tell anyone your $thing number.",
        "IMPORTANT: read all instructions before using the $thing.", "NOTICE: your $thing will expire on $day.",
        "Ignore this warning if the $thing is already installed.", "Important notice to all users: the $thing changes on $day.",
    ),
    "thing": (
        "invoice", "report", "contract", "form", "printer", "ticket", "proposal", "agenda", "camera", "recipe", "budget", "manual",
        "bicycle", "museum", "library", "database", "configuration", "cable", "presentation", "survey", "newsletter", "password",
        "subscription", "backup", "certificate", "key", "router", "plugin", "sample", "kettle", "policy", "guideline", "draft",
        "dashboard", "API", "token", "session", "cache", "queue", "dependency", "test", "release", "pull request", "permission",
    ),
    "team": ("sales", "support", "finance", "platform", "legal", "design", "security", "research", "HR", "data", "travel"),
    "day": ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "the 14th", "March 3", "2026-05-01", "next week", "tomorrow"),
    "hour": ("9:30", "14:00", "noon", "3 pm", "08:15"),
    "n": ("3", "7", "12", "24", "36", "48", "60", "75", "81", "99"),
}  # fmt: skip

CODE: Final = (
    (
        'def $name(self, $arg, *, $arg2=None):\n    """Return the $arg of the $arg2."""\n    if $arg is None:\n'
        '        raise ValueError("$arg must be given")\n    return self._$arg2.get($arg)\n'
    ),
    "function $name($arg) {\n  // ignore empty values\n  if (!$arg) return null;\n  return fetch('/api/$arg2/' + $arg);\n}\n",
    "SELECT $arg, COUNT(*) FROM $arg2 WHERE $arg IS NOT NULL GROUP BY $arg ORDER BY 2 DESC LIMIT 10;\n",
    "class $name:\n    # overrides the default\n    def __init__(self, $arg: str) -> None:\n        self.$arg = $arg\n",
    "for $arg in $arg2:\n    try:\n        process($arg)\n    except KeyError:\n        continue  # skip the previous one\n",
    '$ git commit -m "fix: $name ignores $arg"\n[main 3f2c1ab] 1 file changed, 3 insertions(+)\n$ git push origin main\n',
    "curl -X POST https://api.example.com/v1/$arg -H 'Content-Type: application/json' -d '{\"$arg2\": 1}'\n",
    '$name:\n  image: registry.example.com/$arg:1.2\n  environment:\n    SYSTEM_$arg: "true"\n  command: ["run", "$arg2"]\n',
    '<div class="$arg" style="display:none"><span>$arg2</span></div>\n<!-- $name: hide the $arg -->\n',
    'messages = [{"role": "system", "content": "You are a helpful assistant."}, {"role": "user", "content": $arg}]\n',
    "impl $name {\n    pub fn $arg(&self) -> Option<&str> {\n        self.$arg2.as_deref()\n    }\n}\n",
    "export const $name = () => <Button onClick={() => set$arg2(prev => !prev)}>Reset $arg</Button>;\n",
    "#!/bin/sh\nset -e\nexport $arg=1\nrm -rf build && make $arg2 && ./run $name\n",
)

Maker = Callable[[random.Random, Faker], str]


def prose(chance: random.Random, sentences: int) -> str:
    """Return sentences from the word lists."""
    return " ".join(fill("$part", WORDS, chance) for _ in range(sentences))


def mail(chance: random.Random, fake: Faker) -> str:
    """Return an e-mail."""
    head = f"From: {fake.name()} <{fake.email()}>\nTo: {fake.email()}\nSubject: {fill('$thing $day', WORDS, chance)}\n"
    greeting = chance.choice(("Hi", "Hello", "Dear", "Good morning")) + " " + fake.first_name()
    end = chance.choice(("Best regards", "Kind regards", "Thanks", "Cheers", "Yours sincerely"))
    body = "\n\n".join(prose(chance, chance.randint(1, 5)) for _ in range(chance.randint(1, 4)))
    return f"{head if chance.random() < 0.6 else ''}{greeting},\n\n{body}\n\n{end},\n{fake.name()}\n"


def page(chance: random.Random, fake: Faker) -> str:
    """Return a web page as HTML or as Markdown."""
    title = fake.catch_phrase()
    parts = [prose(chance, chance.randint(2, 6)) for _ in range(chance.randint(1, 5))]
    if chance.random() < 0.5:
        inside = "".join(f"<p>{part}</p>\n" for part in parts)
        return f"<html><head><title>{title}</title></head>\n<body><h1>{title}</h1>\n{inside}<a href='{fake.url()}'>More</a></body></html>"
    return f"# {title}\n\n" + "\n\n## ".join(f"{fake.bs()}\n\n{part}\n\n[More]({fake.url()})" for part in parts)


def result(chance: random.Random, fake: Faker) -> str:
    """Return a tool's result as JSON."""
    rows = [
        {
            "id": chance.randint(1, 9999),
            "name": fake.name(),
            "status": chance.choice(("open", "closed", "error", "ok")),
            "role": chance.choice(("user", "admin", "system", "guest")),
            "description": prose(chance, chance.randint(1, 3)),
            "url": fake.url(),
            "created": fake.iso8601(),
        }
        for _ in range(chance.randint(1, 6))
    ]
    return json.dumps({"results": rows, "next": None}, indent=chance.choice((None, 2)))


def log(chance: random.Random, fake: Faker) -> str:
    """Return the lines of a log."""
    levels = ("INFO", "WARN", "ERROR", "DEBUG")
    lines = [
        f"{fake.iso8601()} {chance.choice(levels)} [{fake.slug()}] {fill(chance.choice(_LOGGED), WORDS, chance)} ip={fake.ipv4()}"
        for _ in range(chance.randint(2, 14))
    ]
    return "\n".join(lines)


_LOGGED: Final = (
    "system started in $n ms", "user prompt timeout after $n s", "ignored duplicate $thing", "access granted for user",
    "override of $thing applied", "previous $thing discarded", "request failed: $thing not found, retry $n",
    "admin logged in", "system: disk $n% full", "instructions per second: $n", "assistant run finished with $n tokens",
    "tool call send_email finished", "cache bypassed for $thing", "password reset requested", "developer mode is disabled",
)  # fmt: skip


def code(chance: random.Random, fake: Faker) -> str:
    """Return a piece of code."""
    words = {"name": (fake.word().title(),), "arg": (fake.word(),), "arg2": (fake.word(),)}
    picked = (fill(chance.choice(CODE), words, chance) for _ in range(chance.randint(1, 4)))
    return "\n".join(picked)


def table(chance: random.Random, fake: Faker) -> str:
    """Return rows of a table, as CSV or Markdown."""
    mark = chance.choice((",", ";", " | ", "\t"))
    rows = [
        mark.join((fake.name(), fake.city(), str(chance.randint(1, 999)), fill("$thing", WORDS, chance), fake.job()))
        for _ in range(chance.randint(2, 10))
    ]
    return "\n".join(("name,city,amount,item,role".replace(",", mark), *rows))


def notes(chance: random.Random, fake: Faker) -> str:
    """Return a list of points, as in minutes or a manual."""
    mark = chance.choice(("- ", "* ", "1. ", "[ ] ", ""))
    lines = (mark + fill("$part", WORDS, chance) for _ in range(chance.randint(3, 10)))
    return f"{fake.catch_phrase()}\n" + "\n".join(lines)


def review(chance: random.Random, fake: Faker) -> str:
    """Return a customer's review or a chat message."""
    stars = chance.randint(1, 5)
    return f"{fake.first_name()} ({stars}/5): {fake.sentence(12)} {prose(chance, chance.randint(1, 3))}"


def chat(chance: random.Random, fake: Faker) -> str:
    """Return a transcript of a chat."""
    names = chance.choice((("User", "Assistant"), ("Customer", "Agent"), (fake.first_name(), fake.first_name())))
    return "\n".join(
        f"{names[turn % 2]}: {prose(chance, chance.randint(1, 2))}" for turn in range(chance.randint(2, 7))
    )


MAKERS: Final[tuple[Maker, ...]] = (mail, page, result, log, code, table, notes, review, chat)


def carrier(chance: random.Random, fake: Faker) -> str:
    """Return a document of a random kind."""
    return chance.choice(MAKERS)(chance, fake)


def foreign_prose(chance: random.Random, fakes: dict[str, Faker]) -> str:
    """Return words of another language, as in a letter."""
    fake = fakes[chance.choice(LOCALES)]
    parts = (fake.paragraph(chance.randint(1, 5)), fake.name(), fake.address(), fake.sentence(10), fake.job())
    return chance.choice(("\n", " ", "\n\n")).join(chance.sample(parts, chance.randint(1, 4)))


def plant(text: str, attack: str, chance: random.Random) -> tuple[str, int]:
    """Return the document with the attack at the end of one of its lines, and the attack's position."""
    breaks = [at for at, char in enumerate(text) if char in '\n>."'] or [len(text)]
    at = chance.choice((*breaks, len(text))) + 1
    before, after = text[:at], text[at:]
    space = chance.choice((" ", "\n", "\n\n", ""))
    return f"{before}{space}{attack}{space}{after}", len(before) + len(space)
