"""How many tags are told apart in sums: callers choose names and values, and sums must not grow with every whim."""

from collections import OrderedDict
from collections.abc import Iterator, Mapping

OTHER = "(other)"
"""What is told apart no more is counted under this value; names too many, under this name."""

_Day = tuple[str, int]


class TagBounds:
    """What a worker has told apart so far, by tenant and day.

    A day's names are the first `names` of them, a name's values the first `values`. At most `memory` values are
    remembered over all tenants; beyond it the tenant that was counted longest ago is forgotten, and may begin again.
    """

    def __init__(self, *, names: int = 100, values: int = 1000, memory: int = 200_000) -> None:
        self._names = names
        self._values = values
        self._memory = memory
        self._remembered = 0
        # Hashes: the texts may be long, and two of one hash are only told apart a little sooner.
        self._known: OrderedDict[_Day, dict[str, set[int]]] = OrderedDict()

    def kept(self, tenant_id: str, day: int, tags: Mapping[str, str]) -> Iterator[tuple[str, str]]:
        """Under which names and values the tags of a row are counted, each name once."""
        names = self._known.get((tenant_id, day))
        if names is None:
            names = self._known[tenant_id, day] = {}
        else:
            self._known.move_to_end((tenant_id, day))
        crowded = False
        for name, value in tags.items():
            values = names.get(name)
            if values is None:
                if len(names) >= self._names:
                    crowded = True
                    continue
                values = names[name] = set()
            known = hash(value)
            if known not in values:
                if len(values) >= self._values:
                    yield _storable(name), OTHER
                    continue
                values.add(known)
                self._remember()
            yield _storable(name), _storable(value)
        # A row may have a tag of that name itself, which then has been counted, or was one too many too.
        if crowded and not (OTHER in tags and OTHER in names):
            yield OTHER, OTHER

    def _remember(self) -> None:
        self._remembered += 1
        while self._remembered > self._memory and len(self._known) > 1:
            _, forgotten = self._known.popitem(last=False)
            self._remembered -= sum(map(len, forgotten.values()))


def _storable(text: str) -> str:
    """Without NUL signs, for which PostgreSQL's text has no place."""
    return text.replace("\0", "\ufffd") if "\0" in text else text
