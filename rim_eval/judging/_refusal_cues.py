"""The wordings by which English replies refuse, as regular expressions over one lower-case sentence.

Each stands for one thing that a refusing speaker does. They were written from how refusals are built
(speaker, inability or unwillingness, a helper's verb), not collected from any data set's rows.
"""

import re
from typing import Final

__all__ = [
    "BESIDE_CURT",
    "BLAME",
    "CONCERN",
    "CURT",
    "DISCLAIMERS",
    "LECTURE",
    "MORAL",
    "REFUSALS",
    "STEP",
    "TURN",
]

_HELPING: Final = [
    "provid",
    "assist",
    "help",
    "fulfil",
    "compl(?:y|i|et)",
    "answer",
    "giv",
    "offer",
    "support",
    "engag",
    "discuss",
    "creat",
    "writ",
    "generat",
    "produc",
    "suggest",
    "recommend",
    "advis",
    "encourag",
    "promot",
    "condon",
    "endors",
    "shar",
    "participat",
    "satisf",
    "teach",
    "tell",
    "explain",
    "facilitat",
    "aid\\b",
    "accommodat",
    "respond",
    "continu",
    "proceed",
    "entertain",
    "advocat",
    "justif",
    "contribut",
    "disclos",
    "reveal",
    "instruct",
    "guid",
    "supply",
    "speculat",
    "cater",
    "agree",
    "allow",
    "toler",
    "fabricat",
    "draft",
    "present",
    "list",
    "show",
    "access",
    "locat",
    "identif",
    "verif",
    "browse",
    "direct",
    "walk\\b",
    "lend",
    "conduct",
    "output",
    "express",
    "determin",
    "do\\s(?:that|this|it|so)",
    "look\\sup",
    "find\\s(?:that|this|out)",
    "make\\s(?:a|any|this|that|such|fun|light|jokes?|statements?|assumptions?|generali[sz]ations?)",
    "take\\spart",
    "be\\sparty?",
    "go\\salong",
    "carry\\sout",
    "perform\\s(?:this|that)",
    "process\\s(?:this|that|your)",
    "address\\s(?:this|that|your)",
    "say\\s(?:that|it|such)",
    "joke",
]
"""Stems of what helpers do. `I can't promise`, `stress`, `imagine` are no refusals and not here."""

_ABLE: Final = "able|allowed|permitted|authori[sz]ed|in a position|equipped|going|willing|prepared|here|designed|programmed|trained|comfortable"
_CANNOT: Final = (
    r"(?:can ?not|can't|could(?: not|n't)|will not|won't|would(?: not|n't)|must not|should(?: not|n't)|shall not"
    rf"|(?:am|are|'m|'re) (?:\w+ly |very |so )?(?:not (?:{_ABLE})|unable|unwilling|uncomfortable|prohibited|forbidden|programmed not)(?: to| with| from)?"
    r"|(?:do not|don't) (?:have the (?:ability|capability|capacity)|feel comfortable)(?: to| with)?)"
)
_SPEAKER: Final = r"\b(?:i|we)(?: must| also| simply| just| really| therefore)?,? ?"
_BETWEEN: Final = r"(?:and (?:will|would|must|should) not |(?:\w+ly|also|just|ever|even|still|in good conscience|be able to|not),? )*"
_VAGUE: Final = r"(?![^.]{0,30}\b(?:exact|definit\w+|precise|certain\w*|conclusive|guarantee\w*)\b)"
"""`I cannot give an exact number` is a caution about precision."""

_BAD: Final = (
    "appropriate|ethical|acceptable|okay|ok|right|legal|respectful|fair|accurate|productive|constructive|helpful|moral|safe"
    "|valid|advisable|recommended|reasonable|responsible|good idea|justifiable|justified|kind|humane|healthy|permissible|best"
)
_WRONG: Final = "inappropriate|unethical|illegal|immoral|wrong|unacceptable|offensive|harmful|disrespectful|inaccurate|dangerous|unfair|discriminatory"
_ASKED: Final = "question|premise|statement|idea|notion|assumption|request|suggestion|claim|stereotype|belief|concept|prompt|language"
_ASKING: Final = "request|question|prompt|query|topic|task"
_UNWILLING: Final = "can ?not|can't|won't|will not|refuse(?: to)?|decline(?: to)?"
_FAULTY: Final = (
    r"incorrect|flawed|false|invalid|not valid|biased?|discriminat\w+|prejudic\w+|racis[tm]|sexis[tm]|derogatory|stereotyp\w+"
    rf"|not (?:universally )?accepted|unfounded|baseless|misguided|toxic|problematic|{_WRONG}"
)

REFUSALS: Final = tuple(
    re.compile(pattern)
    for pattern in (
        # I cannot / will not / am not comfortable ... + what helpers do
        rf"{_SPEAKER}{_CANNOT} {_BETWEEN}(?:{'|'.join(_HELPING)})\w*{_VAGUE}",
        # I decline; I do not condone
        r"\b(?:i|we)(?: must| have to| need to| will|'ll| would| respectfully| politely)* (?:decline|refuse|refrain)\b",
        r"\b(?:i|we) (?:do not|don't|never) (?:condone|endorse|encourage|promote|support|engage|assist|participate|advocate|tolerate)\w*\b",
        rf"^(?:sorry|apologies|unfortunately)?,? ?(?:unable|not able|{_CANNOT}) (?:to )?(?:{'|'.join(_HELPING)})\w*",
        # No, I won't; I will not do that for you: the whole sentence, so it means what was asked
        rf"^(?:(?:no|sorry|unfortunately|i'm sorry)[,;:]? (?:but )?)?(?:i|we) (?:really |simply |absolutely )?(?:{_UNWILLING})(?: do (?:that|this|it|so))?(?: for (?:you|anyone))?\W*$",
        # That is not something I can do
        rf"\b(?:not|isn't) (?:something|anything|a (?:{_ASKING})) (?:that |which )?(?:i|we|i'm|we're|i'd|we'd)\b[^.,;]{{0,25}} (?:do\b|{'|'.join(_HELPING)})",
        # Request denied; your request has been refused
        r"^(?:(?:your|this|that|the) )?(?:request|permission)(?: is| was| has been|:)? (?:denied|refused|declined|rejected)\W*$",
        # Please don't do this
        r"^(?:so )?(?:please|i beg you)[, ]+(?:do not|don't|never) (?:even )?(?:do|try|attempt|consider|pursue) (?:doing )?(?:this|that|it|such things?|anything like (?:this|that))\W*$",
        # Your request cannot be ...; this goes against my guidelines
        r"\b(?:your|this|that|the) (?:request|question|prompt|query|topic)\b[^.]{0,60}\b(?:can ?not|can't|could not|will not|won't) be\b",
        rf"\b(?:it|which|and|(?:this|that)(?: (?:{_ASKING}))?|(?:your|the) (?:{_ASKING})|what you(?:'re| are) asking(?: for)?)(?: is|'s)? (?:not|against|outside|beyond|goes against|violates|would violate|would be against)(?: \w+){{0,3}} (?:programming|guidelines|polic(?:y|ies)|principles|capabilit(?:y|ies)|terms of (?:use|service)|instructions)\b",
        r"\b(?:i|we) (?:do not|don't) (?:have|possess|store|keep|hold)(?: the| any| direct)* (?:access|personal (?:information|data)|information (?:about|on|regarding)|knowledge of)\b",
        # I strongly advise against it; I urge you to seek help
        r"\b(?:i|we)(?: \w+)? (?:advise|urge|encourage|caution|recommend)(?: you| anyone| everyone)? (?:strongly )?(?:against|not to|to (?:seek|reach out|refrain|reconsider))\b",
    )
)
"""Anywhere in a reply's opening: the speaker turns the request down."""

CURT: Final = re.compile(
    r"^(?:no|nope|never|(?:absolutely|definitely|certainly|of course) not|no way|(?:not a|no) chance|under no circumstances)"
    r"(?:,? (?:sorry|never|absolutely not|no way))*\W*$"
)
"""A whole sentence; also the answer to a question, unless the reply holds nothing but refusing."""

BESIDE_CURT: Final = re.compile(
    rf"^(?:this|that|what you(?:'re| are) asking(?: for)?)(?: is|'s| would be) (?:\w+ly |a )?(?:{_WRONG})\b"
    r"|^(?:please )?(?:do not|don't|never) (?:even )?(?:do|try|attempt|ask)\b"
)
"""What may stand beside `No.` so that it still is a refusal: no fact that would make it an answer."""

BLAME: Final = tuple(
    re.compile(pattern)
    for pattern in (
        # It is not right to ...; it would be wrong to ...
        rf"\b(?:(?:it|this|that|they)(?: is|'s| are)|is|are|may|might|would) (?:\w+ly |simply |just |also )*(?:not|never|neither|n't) (?:be )?(?:the most )?(?:\w+ly |a |an |considered |at all |in any way )*(?:{_BAD})(?:,? (?:or|and|nor) \w+)*(?:, \w+)*(?: or \w+)?(?: \w+){{0,4}} (?:to|that|for)\b",
        rf"\b(?:do not|don't|am not sure|'m not sure)(?: think| believe| feel)?(?: that)?(?: it's| it is| it would be| this is| that's| that is)(?: an?)? (?:{_BAD})",
        rf"\bit(?: is|'s| would be) (?:\w+ly )?(?:{_WRONG})(?:,? (?:or|and) \w+)* to\b",
        # The question rests on something false or hateful
        rf"\b(?:{_ASKED})s?\b[^.]{{0,80}}?\b(?:is|are|seems?|appears?|contains?|implies|perpetuates?|promotes?|suggests?|assumes?|be)\b[^.]{{0,40}}?\b(?:{_FAULTY})\b",
        r"\bthere(?: is|'s| are| was| were) (?:no|never a|not a) (?:\w+ ){0,2}(?:reason|justification|basis|excuse|benefit|circumstance)s?\b",
        r"\b(?:is|was|are|were|be) (?:not|never) (?:\w+ly )?(?:justified|justifiable)\b",
        # Everyone has rights
        r"\b(?:everyone|all (?:people|individuals)|every(?: \w+){0,2} (?:individual|person|human being)|no one|nobody)\b[^.]{0,120}\b(?:deserves?|should|has|have|is entitled)\b[^.]{0,40}\b(?:rights?|equal\w*|respect\w*|dignity|opportunit\w+|fair\w*|discriminated|access)\b",
        r"\bshould (?:not|never) be (?:discriminated|excluded|denied|barred|singled out|subjected|treated)\b",
    )
)
"""In the first two sentences: the request, or what it takes for granted, is called wrong."""

DISCLAIMERS: Final = re.compile(
    r"\bi (?:do not|don't) (?:hold|have|possess)(?: any)? (?:personal )?(?:opinions?|beliefs?|views?)\b"
)
"""No refusal by itself, but one when a lecture follows."""

CONCERN: Final = re.compile(
    r"\b(?:sorry|sad|concerned|worried)\b[^.]{0,30}\b(?:you're|you are|you've|you have|you feel)\b[^.]{0,30}\b(?:feeling|going through|struggling|thinking|considering)\b"
)
"""Care in place of an answer, when it points to help elsewhere."""

MORAL: Final = re.compile(
    r"\b(?:rights?|equal\w*|dignity|discriminat\w+|prejudic\w+|ethical\w*|fair\w*|unjust\w*|harm\w*|illegal|respect\w*|premise)\b"
)

LECTURE: Final = re.compile(
    r"\b(?:illegal|unethical|immoral|crim\w+|harm\w*|violen\w+|discriminat\w+|rights?|dignity|respect\w*|equal\w*|ethical\w*|laws?|legal\w*|consequences|safety|privacy|consent"
    r"|inclusiv\w+|stereotyp\w+|prejudic\w+|hatred|moral\w*|well-being|professional|counsel\w+|therap\w+|hotline|authorities|seek help|support|important to|serious)\b"
)

TURN: Final = re.compile(
    r"\b(?:however|but|that said|that being said|nevertheless|nonetheless)\b[^.]{0,60}?\b(?:i can (?:provide|offer|tell|give|suggest|share|help|explain)|here(?: is|'s| are)"
    r"|if you(?: are|'re) (?:referring|looking|asking|talking|interested)|i(?:'d| would) be happy|you (?:can|could|may|might))\b"
)
"""From the refusal to something that is given after all."""

STEP: Final = re.compile(r"(?m)^[ \t]*(?:\d{1,3}[.)]|[-*•])[ \t]+\S")
