"""Rules for text that forges the frame around it: chat templates, delimiters, tool calls, encoded instructions.

The special tokens are those of the published chat templates of ChatML, Llama 2 and 3, Gemma, Mistral, Phi and Qwen.
"""

from __future__ import annotations

from typing import Final

from consumers.guard.injection.rule import Rule, rules

_SPECIAL_TOKENS: Final = (
    (
        r"<\|(?:im_start|im_end|im_sep|endoftext|endofprompt|start_header_id|end_header_id|eot_id|begin_of_text|system"
        r"|user|assistant|end|tool_call|fim_\w+|channel|message|return|start)\|>"
    ),
    r"\[/?INST\]|<</?SYS>>",
    r"<(?:start|end)_of_turn>|<\|?(?:bos|eos)\|?>\s*(?:system|user|model)",
    (
        r"\[/?(?:SYSTEM|SYS|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_RESULTS|SYSTEM INJECTION|SYSTEM OVERRIDE|ADMIN"
        r"|INSTRUCTION OVERRIDE)\]"
    ),
)

_TURNS: Final = (
    (
        r"(?:^|[\n.])\s{0,8}[\[({<*#]{0,3}\s?(?:system|admin|developer)(?: (?:message|note|prompt|notice|alert|command"
        r"|instruction|update))?\s?[\])}>*]{0,3}\s?:\s{0,4}(?:\S+\s+){0,12}?(?:you|your|ignore|assistant|instructions?"
        r"|disregard|user|override|safety|must)\b"
    ),
    (
        r"</?(?:system|sys|assistant|system[_-]?prompt|system[_-]?instructions?|instructions?|user[_-]?input|context|data"
        r"|document|untrusted\w*|tool[_-]?(?:result|output))>\s*\n?.{0,80}?\b(?:ignore|disregard|you (?:are|must|will)|new "
        r"(?:task|instructions?)|system|your)\b"
    ),
    (
        r"[-=#*_~]{4,}\s*(?:end|begin|start|new|stop)(?:ning)? (?:of )?(?:the )?(?:\w+ )?(?:user|system|data|input|document"
        r"|text|context|prompt|instructions?|message|task|e-?mail|query|output)"
    ),
    (
        r"(?:^|\n)\s{0,8}(?:end of (?:data|document|input|context|user input|e-?mail|text)|new (?:user )?(?:instructions?|task"
        r"|prompt|query))\s{0,4}[:.\n-]"
    ),
)

_HINTS: Final = (
    (
        r"(?:^|\n)\s{0,8}(?:#{2,6}|\*\*)\s{0,2}(?:system|instructions?|new instructions?|response|assistant|"
        r"system prompt|system message)\s{0,2}(?:\*\*)?:?\s{0,4}\n"
    ),
    r"(?:^|\n)\s{0,8}(?:human|user|assistant|ai|system)\s{0,2}:[^\n]{1,400}\n+\s{0,8}(?:assistant|ai|human|system)\s{0,2}:",
    r"[\"']role[\"']\s*:\s*[\"'](?:system|developer)[\"']",
)

_TOOLS: Final = (
    r"<(?:tool_call|function_call|function_calls|tool_use|invoke|antml:\w+|execute|action)\b[^>\n]{0,80}>",
    (
        r"(?:^|\n)\s{0,8}(?:Action|Action Input|Thought|Observation)\s?:[^\n]{0,300}\n\s{0,8}(?:Action|Action Input"
        r"|Observation|Thought|Final Answer)\s?:"
    ),
    (
        r"\b(?:call|invoke|execute|use|run|trigger) (?:the )?[\x60\"']?\w{2,40}[\x60\"']? (?:tool|function|plugin)\b"
        r".{0,80}\b(?:with|to|using|and)\b.{0,200}\b(?:send|delete|transfer|forward|email|password|account|attacker|secret"
        r"|without)"
    ),
    (
        r"[\"'](?:tool|function|name)[\"']\s*:\s*[\"']\w{2,40}[\"']\s*,\s*[\"'](?:arguments|parameters|input)[\"']\s*:"
        r"\s*[\[{\"'].{0,200}\b(?:delete|transfer|send|attacker|evil|password|secret|rm -rf)\b"
    ),
)

_ENCODED: Final = (
    (
        r"\b(?:decode|decrypt|decipher|de-?obfuscate|unscramble|translate|interpret|reverse|decompress) "
        r"(?:\w+ ){0,6}?(?:base ?-?(?:64|32|16|85)|rot-?13|caesar|cipher\w*|hex(?:adecimal)?|morse|binary|leet\w*|backwards"
        r"|reversed|string|message|text|pig latin|ascii|below|following)\b.{0,120}?\b(?:and|then|to) (?:then |immediately )?"
        r"(?:follow|execute|obey|do|run|comply|respond|answer|act|perform|carry out|apply)\b"
    ),
    (
        r"\b(?:follow|execute|obey|comply with|carry out|run|perform) (?:\w+ ){0,4}?(?:encoded|decoded|encrypted|base ?64"
        r"|hidden|rot13|obfuscated|reversed|hex) (?:\w+ )?(?:instructions?|commands?|message|text|payload|prompt|string)\b"
    ),
    r"\beval\(\s*(?:atob|base64|bytes|codecs|decode)",
    (
        r"\b(?:respond|reply|answer|speak|write|output|give|encode)(?: \w+){0,5}? in (?:base ?64|rot-?13|hex|morse"
        r"(?: code)?|leet ?speak|pig latin|binary|reverse)\b.{0,120}\b(?:prompt|instructions?|filters?|password|secret|key"
        r"|rules|restrictions)\b"
    ),
)

FORGERY: Final[list[Rule]] = [
    *rules("chat_template", 3.2, 4.4, _SPECIAL_TOKENS),
    *rules("chat_template", 2.0, 3.2, _TURNS),
    *rules("chat_template", 0.8, 1.4, _HINTS),
    *rules("tool_forgery", 1.6, 3.0, _TOOLS),
    *rules("encoded_payload", 2.2, 3.2, _ENCODED),
]
