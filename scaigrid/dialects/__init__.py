"""What clients speak. `DIALECTS` is the registry: a new dialect is one file and one line here.

Ordered by prefix, longest first; the last one speaks for every path that no other owns.
"""

from scaigrid.dialects.anthropic import Anthropic
from scaigrid.dialects.native import Native
from scaigrid.dialects.openai import OpenAI

DIALECTS = (
    Anthropic(),
    OpenAI(),
    Native(),
)
