"""What somebody may do by everything that says so: own roles, custom roles, permissions of modules, and groups."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property

import msgspec

from scaigrid import roles
from scaigrid.control import documents as docs
from scaigrid.control.state import State
from scaigrid.roles import WIDTH, Reach


class Standing(msgspec.Struct, frozen=True):
    """The sum of what was given to somebody."""

    roles: tuple[str, ...]
    """Published ones."""
    custom_role_ids: tuple[str, ...]
    powers: Mapping[str, Reach]
    """Each permission, and how far it goes. What a tenant gives, in a role of its own or for a module, goes no farther
    than the tenant."""

    @property
    def reach(self) -> Reach:
        """How far it goes at most: also who only looks at a partner's affairs is one of the partner's."""
        return roles.reach(self.roles)

    @property
    def permissions(self) -> frozenset[str]:
        return frozenset(self.powers)


class Standings:
    """Everybody's in one state, in which every reference holds; walks are indexed at their first use."""

    def __init__(self, state: State) -> None:
        self._state = state

    def of_user(self, user_id: str) -> Standing:
        """Raises KeyError where there is no such user."""
        return self.of_document(self._state.document(docs.User, user_id), self.groups.get(user_id, ()))

    def of_document(self, user: docs.User, groups: Iterable[str], within: Reach = "platform") -> Standing:
        """A user as a document says it, in these groups (by id), without the roles that reach farther than `within`."""
        held = dict.fromkeys(user.roles)
        custom = dict.fromkeys(user.custom_role_ids)
        for group in groups:
            for _, mapping in self.mappings.get(group, ()):
                if mapping.role is not None:
                    held[mapping.role] = None
                if mapping.custom_role_id is not None:
                    custom[mapping.custom_role_id] = None
        counted = [role for role in held if WIDTH[roles.REACH[role]] <= WIDTH[within]]
        return self._sum(counted, custom, user.module_permissions)

    def of_mapping(self, mapping: docs.RoleMapping) -> Standing:
        """What a mapping gives by itself."""
        published = () if mapping.role is None else (mapping.role,)
        custom = () if mapping.custom_role_id is None else (mapping.custom_role_id,)
        return self._sum(published, custom, ())

    def holders(self, role_id: str) -> frozenset[str]:
        """The ids of those who hold a custom role, by themselves or in a group."""
        found = {id_ for id_, user in self._state.documents(docs.User) if role_id in user.custom_role_ids}
        for group, mappings in self.mappings.items():
            if any(mapping.custom_role_id == role_id for _, mapping in mappings):
                found.update(self._state.document(docs.Group, group).user_ids)
        return frozenset(found)

    @cached_property
    def groups(self) -> Mapping[str, Sequence[str]]:
        """By user, the ids of its groups."""
        found: dict[str, list[str]] = {}
        for id_, group in self._state.documents(docs.Group):
            for user_id in group.user_ids:
                found.setdefault(user_id, []).append(id_)
        return found

    @cached_property
    def mappings(self) -> Mapping[str, Sequence[tuple[str, docs.RoleMapping]]]:
        """By group, what gives its members roles: with its id."""
        found: dict[str, list[tuple[str, docs.RoleMapping]]] = {}
        for id_, mapping in self._state.documents(docs.RoleMapping):
            found.setdefault(mapping.group_id, []).append((id_, mapping))
        return found

    def _sum(self, held: Iterable[str], custom: Iterable[str], modules: Iterable[str]) -> Standing:
        published, own = tuple(held), tuple(custom)
        given = set(modules)
        for role_id in own:
            role = self._state.document(docs.CustomRole, role_id)
            given.update(role.core_permissions, role.module_permissions)
        powers: dict[str, Reach] = {**dict.fromkeys(given, "tenant"), **roles.spread(published)}
        return Standing(roles=published, custom_role_ids=own, powers=powers)
