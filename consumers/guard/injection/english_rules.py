"""Rules for English: the ways to override, impersonate, extract and conceal that published attacks share."""

from __future__ import annotations

from typing import Final

from consumers.guard.injection.rule import Rule, filled, rules

_WORDS: Final = {
    "drop": r"ignor(?:e|ing)|disregard(?:ing)?|forget|overrid(?:e|ing)|bypass(?:ing)?|neglect|dismiss"
    r"|discard|abandon|overwrite|cancel|delete|erase|supersede|invalidate|nullify|revoke|suspend|set aside|throw away"
    r"|put aside|leave aside|pay no attention to|(?:do not|don'?t|stop|never|cease) (?:follow|obey|listen to|adher)\w*"
    r"(?: to)?|disobey|break free (?:of|from)|skip|unlearn",
    "gap": r"(?:[\s,]+[\w'-]+){0,3}?[\s,]+",
    "prior": r"previous(?:ly)?|prior|above|preceding|earlier|past|initial|original|former|foregoing|before(?:hand)?"
    r"|system|existing|current|given|old|other|hidden|internal|built-in|preset|so far|until now|developer'?s?"
    r"|openai'?s?|creators?'?",
    "orders": r"instructions?|instructons?|prompts?|directions?|directives?|guidelines?|commands?|programming"
    r"|orders?|guidance|guardrails?|rulebook|rules?|system message|assignments?|prompting",
    "soft": r"context|messages?|texts?|conversations?|tasks?|words?|inputs?|constraints?|restrictions?|polic(?:y|ies)"
    r"|training|settings?|everything|content|sentences?|paragraphs?|discussions?|information|statements?|requests?",
    "safety": r"safety|security|ethical|ethics|moral|content|moderation|usage|privacy|legal|alignment|policy",
    "limits": r"guidelines?|rules?|restrictions?|limitations?|limits?|filters?|guardrails?|polic(?:y|ies)|protocols?"
    r"|constraints?|safeguards?|boundaries|censorship|measures|checks?|programming|training|principles|barriers",
    "show": r"reveal|show|print|output|repeat|display|tell|give|share|leak|expose|disclose|reproduce|recite|dump"
    r"|return|write (?:out|down)|list|state|echo|quote|provide|describe|summari[sz]e|paraphrase|translate|spell out"
    r"|copy|read (?:out|back)|divulge|send|encode|tell me about|what (?:is|are|was|were)|what'?s",
    "model": r"ai|a\.i\.|llm|language model|large language model|assistant|chat ?bot|chatgpt|gpt(?:-?[0-9]\w*)?|claude"
    r"|gemini|copilot|bard|llama|model|agent",
}

_OVERRIDE: Final = (
    (
        r"\b<drop><gap>(?:the |your |my |all |any |of |these |those |every |each )*<prior>"
        r"(?:[\s,/]+(?:and |or |system |user |set of |given |safety |\w+ )?)<orders>\b"
    ),
    (
        r"\b<drop> (?:all |any |every |each |absolutely |completely |entirely )+(?:of )?"
        r"(?:the |your |my |these |those |other )?<orders>\b"
    ),
    (
        r"\b<drop> (?:all |any |every |of |the |what )*(?:the )?<orders>(?:,? (?:that )?(?:you(?:'ve| have| were| had)?"
        r"|i(?:'ve| have)?|we|they|was|were|given|provided|received|mentioned|stated|set|above|before|prior|previously"
        r"|from (?:above|before|earlier|the (?:system|developer|user))|i gave|he|openai|so far|until now|up to))\b"
    ),
    r"\b<drop> (?:\w+ ){0,2}your (?:\w+ ){0,3}(?:<orders>|programming|system prompt|training|directives)\b",
    (
        r"\b<drop> (?:everything|all|anything|what(?:ever)?|all of (?:it|that|the)|every(?: single)? thing)"
        r"(?: that| which| of| the| was| is| has been| text| content| stuff| in)*[\s,]*"
        r"(?:above\b|before\b|prior\b|earlier\b|previous(?:ly)?(?:[.,;:!]| and| you| i |$)|you(?:'ve| have| were| had)? (?:been |were )?"
        r"(?:told|know|learned|learnt|instructed|read|given|heard|taught)\b|i (?:said|told you|wrote) (?:before|above|earlier|so far|until)|up to (?:now|this)|so far"
        r"|until now|written|below|after this)"
    ),
    (
        r"\b(?:instructions?|rules?|directives?|guidelines?|prompts?|orders|commands|restrictions) (?:above|before|earlier"
        r"|given|provided|you (?:were|have)|no longer|do(?:es)? not|don'?t|are|is|have been|has been)(?:\s\w+){0,4}? "
        r"(?:cancell?ed|void|null|invalid|overridden|superseded|obsolete|revoked|suspended|lifted|outdated|apply any ?more"
        r"|longer (?:apply|valid|in effect|relevant|matter)|deleted|replaced|updated)\b"
    ),
    (
        r"\b(?:instead of|rather than) (?:following|obeying|doing)? ?(?:the |your |any )?"
        r"(?:previous|prior|above|original|earlier|system) (?:<orders>|task)\b"
    ),
    (
        r"\b(?:following|these|my|this|new) (?:instructions?|rules?|prompt|orders?|commands?|directives?) "
        r"(?:\w+ ){0,2}?(?:replaces?|overrides?|supersedes?|takes? (?:precedence|priority)|trumps?)\b"
    ),
    r"\b(?:system|instruction|prompt|admin|developer|priority|safety)[ _-]*override\b",
)

_OVERRIDE_SOFT: Final = (
    (
        r"\bnew (?:system )?(?:instructions?|directives?|orders?|prompt|task|rules?|objective|mission)"
        r"(?: set)?(?: (?:is|are|follows?|begins?|incoming))*\s*(?:[:!]|are as follows|as follows)"
    ),
    (
        r"\b<drop> (?:all |any |of |everything |the |that |this |your |my |these |those )*"
        r"(?:previous|prior|above|preceding|earlier|foregoing|past) <soft>\b"
    ),
    (
        r"\b<drop> (?:the |all |everything |anything |what is |what's |that |it )*(?:above|before|earlier|below)"
        r"(?: this)?[\s,.;:!]+(?:and|but|then|instead|now|just|say|write|print|tell|give|answer|respond|return|you|your)"
    ),
    r"\b<drop> (?:the |these |those |my |any |such )?<orders> (?:and|instead|but|then)\b",
    (
        r"\b(?:forget|ignore|disregard) (?:about )?(?:all (?:of )?|everything|the (?:entire |whole )?"
        r"|your )(?:context|conversation|past|memory|knowledge|assignments?|identity|role|persona|purpose|job)\b"
    ),
    (
        r"\b(?:start|begin|starting) (?:over|fresh|anew|from scratch)(?: now)? (?:with|as|and) (?:a )?new "
        r"(?:instructions?|rules?|role|persona|task)\b"
    ),
    (
        r"\b(?:stop|pause|halt|end|finish)(?:ping|ing)?(?: what you are doing| here| now| the (?:task|story|translation|"
        r"summary))?[.!:,;]+ (?:now|new|instead|your new|ignore|forget)\b"
    ),
    (
        r"\b(?:actual|real|true|updated|revised|secret|special) (?:instructions?|task|assignment|objective|prompt) "
        r"(?:is|are|begins?|starts?|follows?|:)"
    ),
)

_ROLE: Final = (
    r"\byou are no longer (?:an? |the |bound|restricted|limited|required|under|obligated|subject)",
    (
        r"\bpretend (?:that )?(?:you(?:'re| are| have| can|r)?|to be)\b(?:\s\w+){0,6}?\s(?:<model>|unrestricted|uncensored"
        r"|evil|hacker|developer|admin\w*|no (?:rules|restrictions|limits|filters?)|without|jailbroken|root)\b"
    ),
    (
        r"\b(?:act|behave|respond|answer|reply|operate|function|speak|roleplay|role-play) (?:as|like)(?: if)?"
        r"(?: you (?:were|are|had|have))?(?:\s\w+){0,4}?\s(?:unrestricted|uncensored|unfiltered|unlimited|jailbroken|evil"
        r"|amoral|unethical|malicious|no (?:rules|restrictions|limits|filters?|guidelines)|without (?:any )?"
        r"(?:rules|restrictions|limits|limitations|filters?|guidelines|safety|ethic\w*|censorship))\b"
    ),
    (
        r"\b(?:assume|adopt|take on|switch to|enter) (?:the |a |your )?(?:new )?(?:role|persona|identity|character|mode) "
        r"(?:of |as |called |named )?(?:an? )?(?:\w+ )?(?:unrestricted|admin\w*|root|system|developer|hacker|evil|dan\b|free)"
    ),
)

_ROLE_SOFT: Final = (
    (
        r"\byou (?:are|r|will be|shall be) (?:now |from now on |hereby )+(?:an? |the |my |in |called |known as |going to "
        r"|no longer |free|under |acting|operating|running|\w+gpt)"
    ),
    (
        r"\b(?:from|starting) (?:now(?: on)?|this (?:point|moment)(?: on(?:ward)?s?| forward)?|here on(?: out)?)[\s,:]+"
        r"(?:you|your|act|respond|answer|only|always|ignore|i want you|pretend|behave|speak|reply|any|every|all)"
    ),
)

_PERSONA: Final = (
    r"\bdo[- ]anything[- ]now\b",
    (
        r"\b(?:you(?:'re| are)?|be|as|become|called|named|mode|enable|activate|act(?:ing)? (?:as|like)|stay) "
        r"(?:a |an |the )?(?:now )?(?-i:DAN|STAN|DUDE|AIM|KEVIN|BetterDAN|DevMode|SDA|BasedGPT|EvilBOT|JailBreak|NECO)\b"
    ),
    (
        r"\b(?:developer|debug|god|jailbreak|dan|admin(?:istrator)?|sudo|root|maintenance|unrestricted|unfiltered"
        r"|uncensored|diagnostic|override|evil|opposite|sandbox|service|superuser|test) mode"
        r"(?: is)?(?: now)? (?:enabled|activated|active|on\b|engaged|initiated|unlocked|v[0-9])"
    ),
    (
        r"\b(?:enable|activate|enter|engage|switch (?:to|into)|go into|turn on|unlock|initiate|you are (?:now )?in|boot into"
        r"|simulate|operat\w+ in|run(?:ning)? in|respond in) "
        r"(?:the |an? |your |full )?(?:god|jailbreak|dan|admin(?:istrator)?"
        r"|unrestricted|unfiltered|uncensored|diagnostic|evil|opposite|unsafe|superuser)[ -]?mode\b"
    ),
    (
        r"\b(?:evil|unrestricted|uncensored|unfiltered|jailbroken|amoral|unbound|liberated|rogue|unchained) "
        r"(?:\w+ )?(?:<model>|bot|version|twin|confidant|persona|entity)\b"
    ),
    r"\b(?:stay|remain) (?:a |in )(?:dan|character)\b.{0,80}\btokens?\b",
    (
        r"\b(?:has|have|with|having) (?:absolutely )?(?:no|zero) (?:\w+ )?(?:ethical|moral|content|safety)"
        r"(?: or (?:ethical|moral|legal|safety))? <limits>"
    ),
    (
        r"\bfree(?:d)? (?:from|of) (?:all |any |the |your |its )*(?:typical |usual |normal |openai'?s? |corporate |ethical )*"
        r"(?:confines|restrictions|limitations|constraints|guidelines|rules|shackles|censorship|filters)\b"
    ),
)

_MODE: Final = (
    (
        r"\b(?:enable|activate|enter|engage|switch (?:to|into)|go into|turn on|unlock|initiate|you are (?:now )?in|boot into"
        r"|simulate|operat\w+ in|run(?:ning)? in|respond in) "
        r"(?:the |an? |your |full )?(?:developer|debug|god|jailbreak|dan|admin(?:istrator)?|sudo|root|maintenance"
        r"|unrestricted|unfiltered|uncensored|diagnostic|evil|opposite|unsafe|superuser)[ -]?mode\b"
    ),
)

_SAFETY: Final = (
    (
        r"\b(?:<drop>|turn off|disable|deactivate|remove|switch off|lift|circumvent|evade|sidestep|shut off|relax|drop"
        r"|without|unlock|violate|break) "
        r"(?:all |any |of |the |your |its |every |those |these |\w+ (?:of )?){0,3}?<safety>"
        r"(?:\s(?:and|or|/|&|\w+)){0,2}?[\s/]<limits>"
    ),
    (
        r"\b(?:safety|content|security|moderation|ethical)[ _-](?:filters?|mode|guidelines?|restrictions?|protocols?"
        r"|polic(?:y|ies)|checks?|measures|guardrails?)"
        r"(?::| is| are| have been| has been| were)?(?: now| hereby| temporarily| currently)? "
        r"(?:disabled|off|deactivated|removed|suspended|lifted|bypassed|void|inactive|not apply)"
    ),
    (
        r"\byour (?:\w+ ){0,2}?(?:restrictions?|limitations?|filters?|guardrails?|guidelines|safeguards|rules|safety \w+) "
        r"(?:are|have been|has been|were|is|do not|don'?t|no longer) (?:now |hereby |all |temporarily )*"
        r"(?:disabled|off|lifted|removed|suspended|void|apply|turned off|gone|deactivated|waived|bypassed)"
    ),
    (
        r"\b(?:without|no|ignoring|bypassing|with no|free of) (?:any |your |all |the )*(?:usual |normal |standard |ethical "
        r"|safety |content |default |built-in |internal )*(?:restrictions?|limitations|filters?|guidelines|guardrails?"
        r"|censorship|moral(?:s|ity)?)(?: or \w+)?[\s,.;:!?]+(?:tell|answer|respond|explain|write|give|show|provide|what|how"
        r"|i |you )"
    ),
    (
        r"\b(?:bypass|circumvent|disable|remove|turn off|evade|override|ignore|forget|disregard|break) (?:all )?your "
        r"(?:own |internal |usual |normal |built-in |core |default |standard )*(?:\w+ )?<limits>\b"
    ),
    (
        r"\b(?:do not|don'?t|never|must not|cannot|can'?t|won'?t) (?:ever )?(?:refuse|decline|say no|reject|warn|moralize"
        r"|apologi[sz]e)\b.{0,60}\b(?:<model>|request|question|matter what|answer|user|instruction)"
    ),
)

_EXTRACTION: Final = (
    (
        r"\b<show>(?: (?:me|us|back|out|to me))?(?: with)?(?: (?:all|exactly|verbatim|word for word))?(?: of)?"
        r" (?:the |your |this |that |its |my |of |in |full |exact |entire |complete |whole |original |initial |hidden "
        r"|secret |current |first |last |actual |raw |internal |underlying |contents? |text |copy |version |details |sentence "
        r"|line |word |words |previous |above |and |with )*"
        r"(?:system|initial|hidden|original|secret|pre|base|core|root|developer|starting|internal|underlying|master|setup|"
        r"confidential)[ _-]?(?:prompts?|instructions?|messages?|directives?|guidelines?|configuration|rules?)\b"
    ),
    (
        r"\b(?:reveal|show|print|output|repeat|display|leak|expose|disclose|recite|dump|divulge|share|give me|tell me|list"
        r"|what (?:is|are|were|was)|what'?s|read(?: me)?|copy|reproduce|quote|paste)"
        r"(?: (?:me|us|back|out))?(?: all| exactly| what| the| of| verbatim| every)* your (?:\w+ ){0,2}?"
        r"(?:prompts?|instructions?|directives?|guidelines|programming|configuration|rules)\b"
    ),
    (
        r"\b(?:repeat|print|output|echo|write|show|display|return|quote|recite|say)"
        r"(?: (?:out|back|me|everything|all|the|of|exact|exactly|verbatim|entire|whole|full|any|text|words?|lines?|sentences?"
        r"|content|contents|paragraphs?|message|messages|instructions?|prompt|that|was|were|is|comes?|came|written|document"
        r"|this|conversation|starting|from|beginning))* (?:above|before this|prior to this|preceding this|given before"
        r"|preceding|you were given|you have been given|you got|you received|at the (?:top|beginning|start))\b"
    ),
    (
        r"\bwhat (?:were|are|was|is) (?:you|your|the) (?:\w+ ){0,2}?(?:told|instructed|prompted|programmed|instructions"
        r"|prompt|initial prompt|directives)(?: to (?:do|say|not)| before| at the (?:start|beginning)|\?| given|$)"
    ),
    r"\bstart(?:ing)? with (?:the (?:words?|phrase|text) )?[\"'\x60]*(?:you are|system|<\|)",
    (
        r"\b(?:words?|text|sentence|lines?|tokens?|characters?) (?:of|in|from) your "
        r"(?:\w+ )?(?:prompt|instructions?|context|system message)\b"
    ),
    r"\bput (?:them|it|everything) in (?:a )?(?:txt|text|markdown|md)? ?code ?block\b",
    r"\b(?:beginning|start|end|top) of (?:your|the|this) (?:prompt|system prompt|instructions|context window)\b",
)

_SECRET: Final = (
    (
        r"\b(?:reveal|show|print|output|display|leak|expose|disclose|tell(?: me)?|give(?: me)?|say|spell(?: out)?|repeat"
        r"|write|return|what(?:'s| is)|share|encode|list) "
        r"(?:me |us |out |just |only |the |your |a |that |every |all |of |any |hidden |letters? |characters? |in |for )*"
        r"(?:secret|hidden|protected|confidential|admin|master|system|internal) "
        r"(?:\w+ )?(?:key|password|passphrase|passcode|code|word|token|credentials?|flag|phrase|api keys?|data)\b"
    ),
    (
        r"\b(?:password|secret(?: key| word)?|passphrase|access code|api keys?) (?:that )?(?:you (?:were|have been|are|know"
        r"|must|have|were told)|in your|stored in|from your (?:prompt|instructions|context)|backwards?|reversed|in reverse"
        r"|letter by letter|in base64|in morse|in rot13)\b"
    ),
    (
        r"\baccess granted\b.{0,120}\b(?:say|print|output|respond|write|repeat)\b"
        r"|\b(?:say|print|output|respond(?: with)?|write|repeat)\b.{0,60}\baccess granted\b"
    ),
    r"\$?\{\$?SECRET_?KEY\}",
)

_AUTHORITY: Final = (
    (
        r"\bi(?:'m| am) (?:your |the |an? |from |with )+(?:\w+ )?(?:developer|creator|administrator|admin|openai|anthropic"
        r"|google|owner|programmer|root|superuser|system administrator|lead engineer|maker)\b.{0,80}\b(?:ignore|reveal|show"
        r"|give|tell|disable|bypass|override|grant|allow|print|need|provide|share|unlock|prompt|instructions|access)"
    ),
    (
        r"\b(?:this is|message from|notice from|order from|instructions? from|on behalf of|authori[sz]ed by) "
        r"(?:your |the |an? )*(?:developers?|creators?|openai|anthropic|system administrators?|administrators?|admin team"
        r"|system|ai (?:safety|security) team)\b.{0,80}\b(?:ignore|reveal|show|disable|bypass|override|you (?:must|should|are"
        r"|can|will|may)|grant|print|unlock)"
    ),
    (
        r"\b(?:you (?:are|have been)|permission|authori[sz]ation) (?:now |hereby |officially |fully )*"
        r"(?:authori[sz]ed|permitted|granted|allowed|cleared) (?:by \w+ )?(?:to )?(?:ignore|bypass|reveal|disregard|override"
        r"|break|violate|disable|skip|forget|disclose)"
    ),
)

_CONCEALMENT: Final = (
    (
        r"\b(?:do not|don'?t|never|without|avoid) (?:ever )?(?:tell(?:ing)?|inform(?:ing)?|mention(?:ing)?|alert(?:ing)?"
        r"|notify(?:ing)?|let(?:ting)?|reveal(?:ing)?|disclos(?:e|ing)|warn(?:ing)?|show(?:ing)?) "
        r"(?:\w+ ){0,5}?(?:the |your )(?:user|human|operator|reader|customer|owner|person)\b"
    ),
    (
        r"\b(?:do not|don'?t|never) (?:mention|reveal|disclose|acknowledge|refer to|show|repeat|tell \w+ about|say anything "
        r"about) (?:\w+ ){0,3}?(?:these|this|the above|the following|the hidden|that you (?:have|received|were|got)) ?"
        r"(?:\w+ )?(?:instructions?|messages?|prompts?|notes?|text|comments?|commands?|received)?\b.{0,40}\b"
        r"(?:user|human|anyone|answer|response|reply|summary|output)"
    ),
    (
        r"\b(?:hide|conceal|keep) (?:this|it|these|that) (?:\w+ ){0,2}?(?:from|secret from|hidden from) (?:the )?"
        r"(?:user|human|operator|customer)\b"
    ),
)

_EXFILTRATION: Final = (
    r"!\[[^\]\n]{0,80}\]\(\s*https?://[^)\s]{1,200}[?&/=](?:[^)\s]{0,100})?(?:\{|\[|<|%7b|\$|data=|q=\.\.\.)",
    (
        r"\b(?:append|add|include|insert|embed|put|encode|attach|place|substitut\w+|replac\w+) (?:\w+ ){0,8}?"
        r"(?:conversation|chat history|history|user'?s? \w+|secrets?|passwords?|credentials?|api keys?|context|personal data"
        r"|data|answers?|system prompt|emails?|summary|token) (?:\w+ ){0,5}?(?:to|in|into|as|with|at) (?:the |this |a |an )?"
        r"(?:end of )?(?:the |this )?(?:url|link|image|query|parameter|address|request|markdown)"
    ),
    (
        r"\b(?:send|forward|e-?mail|post|upload|transmit|exfiltrate|leak|transfer|submit|deliver|copy|share) (?:\w+ ){0,8}?"
        r"(?:conversation|chat history|history|user'?s? \w+|secrets?|passwords?|credentials?|api keys?|private \w+|tokens?"
        r"|personal (?:data|information)|confidential \w+|environment variables|contact list|all (?:e-?mails|files|messages"
        r"|documents)|inbox|system prompt|\.env|ssh keys?|database) (?:\S+ ){0,5}?(?:to|at|via) "
        r"(?:\S+ ){0,3}?(?:https?://|\S+@\S+|<email_[0-9]+>|<ip_address_[0-9]+>|this (?:address|url|server|endpoint|webhook)|attacker|the following|an external"
        r"|my (?:server|email|account))"
    ),
    (
        r"\b(?:render|display|show|load|output|embed|include|respond with) (?:\w+ ){0,4}?(?:image|link|markdown)\b.{0,80}"
        r"https?://\S{1,200}[?&]\w+="
    ),
)

_ADDRESSED: Final = (
    (
        r"\b(?:if|when|since|as) you(?:'re| are)? (?:\w+ ){0,2}?(?:an? |the )?(?:\w+ )?(?:<model>)\b"
        r"(?:[\s,]+(?:\w+[\s,]+){0,8}?)(?:must|should|please|ignore|do|say|include|respond|reply|write|add|mention|send|click"
        r"|recommend|rate|always|visit|your|also|delete|forward|remove|call|run|insert|append|e-?mail|reply|execute)\b"
    ),
    (
        r"(?:^|[\n.!?\"'\[(:>-]\s*)(?:hey |dear |hello |hi )?(?:ai|llm|assistant|chat ?bot|language model"
        r"|ai (?:assistant|agent|model)|summari[sz]er)s?[,:]\s+(?:please )?(?:as soon as|when|once|after|before|if|while)"
        r" (?:you|reading|the user|processing|summari[sz]ing)\b"
    ),
    (
        r"\b(?:instructions?|notes?|messages?|orders?|directions?|guidance) (?:to|for) (?:\w+ ){1,4}?(?:that|who|which)"
        r" (?:are|is|use|run as) (?:an? |the )?(?:\w+ )?(?:ai|llm|language model|chat ?bot|assistant)s?\b"
    ),
    (
        r"\b(?:dear|attention|attn|hey|hello|hi|note (?:to|for)|notice (?:to|for)|message (?:to|for)"
        r"|instructions? (?:to|for)|important (?:for|to)|to) (?:the |any |all |an? |every )*"
        r"(?:ai|a\.i\.|llm|language model|large language model|chat ?bot|chatgpt|gpt-?\w*|claude|gemini|copilot|bard|llama"
        r"|ai[- ]\w+|assistant|automated \w+|virtual assistant)s?\b"
        r"(?: \w+){0,4}?\s?[:,!.-]+"
    ),
    (
        r"\b(?:<model>|assistants?|models?|bots?|agents?|summari[sz]ers?|reviewers?)s? (?:reading|processing|parsing|"
        r"summari[sz]ing|analy[sz]ing|handling|viewing|evaluating|reviewing) (?:this|these|the)\b.{0,100}\b(?:must|should"
        r"|please|ignore|need to|are (?:instructed|required|requested)|has to|have to|shall)"
    ),
    (
        r"<(?:information|important|system|instructions?|admin|override|secret|hidden|prompt|imp(?:ortant)?_?\w*)>\s*"
        r"\S.{0,400}?\b(?:you|your|before|ignore|must|please|first|assistant|do|send|model)\b"
    ),
    (
        r"\b(?:this is an? )?important (?:message|notice|instruction|note)s?[,:]? (?:from|for|to) (?:me|the user|\w+)?[,:]? ?"
        r"(?:\w+[\s,]+){0,4}?(?:ai|assistant|model|llm|before you|you (?:must|need|should|have))"
    ),
    (
        r"\b(?:before|after|while) (?:you )?(?:answer|respond|summari[sz]|complet|solv|continu|proceed|process|finish|doing)"
        r"\w*(?: (?:to )?\w+){0,6}?[\s,]+(?:please |first |you (?:must|should|need to|have to) )+"
        r"(?:first |also |do |always )*(?:send|do|follow|call|execute|run|perform|visit|e-?mail|transfer|make|open|ignore"
        r"|read|delete|forward|invite|click|complete|use|write)"
    ),
)

_HIJACK: Final = (
    (
        r"\b(?:say|respond(?: only)? with|output|print|reply(?: only)? with|write|return|answer(?: only)? with|type) "
        r"(?:only |just |exactly |the (?:exact )?(?:words?|phrase|text|string|sentence|following) |precisely |simply )*"
        r"(?:[\"'\x60:]+\s*)?(?:i have been pwned|pwned|hacked|haha pwned|you(?:'ve| have) been (?:hacked|pwned)|jailbroken"
        r"|injection (?:succeeded|successful))"
    ),
    r"\b(?:have been|been|ha) pwned\b",
    (
        r"\binstead[,:]? (?:of (?:\w+ ){1,8})?(?:please |just |only |simply )*(?:say|respond|reply|output|print|write|tell"
        r"|answer|return|do|translate|summari[sz]e|recommend|provide)\b(?:\s+\S+){0,3}?\s*[\"'\x60:]"
    ),
    (
        r"\b(?:and|then) (?:\w+ )?nothing (?:else|more)\b.{0,60}\b(?:ignore|instruction|prompt|pwned|hacked|above)\b"
        r"|\b(?:ignore|instruction|prompt|above|previous)\b.{0,120}\b(?:and|then) (?:\w+ )?nothing (?:else|more)\b"
    ),
    (
        r"\b(?:the )?(?:story|task|text|translation|essay|summary|document|article|email|data)"
        r"(?: writing)?(?: task)? (?:is over|is finished|is done|ends here|has ended|is complete)\b.{0,60}"
        r"\b(?:now|new|ignore|next|instead|instruction)"
    ),
)

ENGLISH: Final[list[Rule]] = [
    *rules("instruction_override", 4.2, 5.5, filled(_OVERRIDE, **_WORDS)),
    *rules("instruction_override", 2.4, 3.6, filled(_OVERRIDE_SOFT, **_WORDS)),
    *rules("role_change", 1.8, 3.4, filled(_ROLE, **_WORDS)),
    *rules("role_change", 0.9, 2.6, filled(_ROLE_SOFT, **_WORDS)),
    *rules("unrestricted_persona", 3.2, 4.2, filled(_PERSONA, **_WORDS)),
    *rules("unrestricted_persona", 1.6, 3.0, filled(_MODE, **_WORDS)),
    *rules("safety_removal", 2.8, 4.0, filled(_SAFETY, **_WORDS)),
    *rules("prompt_extraction", 2.8, 4.0, filled(_EXTRACTION, **_WORDS)),
    *rules("secret_extraction", 2.4, 3.4, filled(_SECRET, **_WORDS)),
    *rules("false_authority", 2.0, 3.2, filled(_AUTHORITY, **_WORDS)),
    *rules("concealment", 2.0, 3.6, filled(_CONCEALMENT, **_WORDS)),
    *rules("exfiltration", 2.0, 3.8, filled(_EXFILTRATION, **_WORDS)),
    *rules("addressed_model", 2.0, 3.6, filled(_ADDRESSED, **_WORDS)),
    *rules("output_hijack", 2.2, 3.2, filled(_HIJACK, **_WORDS)),
]
