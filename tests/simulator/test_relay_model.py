"""Random messages on several connections, against a model of the limits."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from cbspec.profile.target import Tenant
from cbspec.protocol.codes import ErrorCode
from tests.support.memory import BEAT, HELLO, MemoryClient, MemoryRelay, auth, tunnel

_TENANTS = (
    Tenant("a", tunnel_limit=2, connection_limit=2),
    Tenant("b", tunnel_limit=3),
    Tenant("c", connection_limit=1),
)
_LIMITS = {tenant.id: tenant for tenant in _TENANTS}
_CONNECTIONS, _BUFFERS = 4, 4


@dataclass(eq=False)
class _Known:
    """The model of a connection."""

    client: MemoryClient
    greeted: bool = False
    tenant: str = ""
    tunnels: set[str] = field(default_factory=set)
    dialling: str = ""


class Limits(RuleBasedStateMachine):
    """Compares the resources that sessions hold with the model."""

    def __init__(self) -> None:
        super().__init__()
        self.memory = MemoryRelay(*_TENANTS, connection_limit=_CONNECTIONS, buffer_pool=_BUFFERS, probe=True)
        self.open: list[_Known] = []

    def pick(self, number: int) -> _Known:
        return self.open[number % len(self.open)]

    def tunnels(self, tenant: str) -> int:
        return sum(len(known.tunnels) + bool(known.dialling) for known in self.open if known.tenant == tenant)

    @property
    def buffers(self) -> int:
        return sum(self.tunnels(tenant.id) for tenant in _TENANTS)

    @rule()
    def connect(self) -> None:
        self.open.append(_Known(self.memory.client()))

    @precondition(lambda self: any(not known.dialling for known in self.open))
    @rule(number=st.integers(0, 9))
    def hello(self, number: int) -> None:
        known = self.pick(number)
        if known.dialling:
            return
        full = sum(other.greeted for other in self.open) >= _CONNECTIONS and not known.greeted
        expected = ErrorCode.CONNECTION_LIMIT_REACHED if full else "hello_response"
        assert known.client.type(HELLO) == expected
        assert known.client.closed == full
        if full:
            known.client.end()
            self.open.remove(known)
        else:
            known.greeted = True

    @precondition(lambda self: self.open)
    @rule(number=st.integers(0, 9), tenant=st.sampled_from("abcd"))
    def auth(self, number: int, tenant: str) -> None:
        known = self.pick(number)
        if known.dialling:
            return
        expected: str = "auth_response"
        if not known.greeted:
            expected = ErrorCode.UNKNOWN_MESSAGE_TYPE
        elif known.tenant:
            expected = ErrorCode.INVALID_TOKEN
        elif tenant not in _LIMITS:
            expected = ErrorCode.TENANT_NOT_FOUND
        else:
            limit = _LIMITS[tenant].connection_limit
            if limit is not None and sum(other.tenant == tenant for other in self.open) >= limit:
                expected = ErrorCode.TENANT_LIMIT_EXCEEDED
        assert known.client.type(auth(tenant)) == expected
        if expected == "auth_response":
            known.tenant = tenant

    @precondition(lambda self: self.open)
    @rule(number=st.integers(0, 9), tenant=st.sampled_from("abc"), name=st.sampled_from("wxyz"), valid=st.booleans())
    def tunnel(self, number: int, tenant: str, name: str, valid: bool) -> None:
        known = self.pick(number)
        if known.dialling:
            return
        sent = known.client.send(tunnel(name, tenant, remote_port=1 if valid else 0))
        expected: str = ""
        if not valid:
            expected = ErrorCode.INVALID_TUNNEL_INFO
        elif not known.tenant:
            expected = ErrorCode.INVALID_TOKEN
        elif tenant != known.tenant:
            expected = ErrorCode.TENANT_NOT_FOUND
        elif name in known.tunnels:
            expected = "tunnel_response"
        else:
            limit = _LIMITS[tenant].tunnel_limit
            if limit is not None and self.tunnels(tenant) >= limit:
                expected = ErrorCode.TENANT_LIMIT_EXCEEDED
            elif self.buffers >= _BUFFERS:
                expected = ErrorCode.BUFFER_POOL_EXHAUSTED
            else:
                known.dialling = name
        assert [body.get("code", body["type"]) for body in sent] == ([expected] if expected else [])

    @precondition(lambda self: any(known.dialling for known in self.open))
    @rule(number=st.integers(0, 9), reached=st.booleans())
    def dialled(self, number: int, reached: bool) -> None:
        waiting = [known for known in self.open if known.dialling]
        known = waiting[number % len(waiting)]
        (answer,) = known.client.dialled(reached)
        assert answer.get("code", answer["type"]) == ("tunnel_response" if reached else "data_transfer_failed")
        if reached:
            known.tunnels.add(known.dialling)
        known.dialling = ""

    @precondition(lambda self: self.open)
    @rule(number=st.integers(0, 9))
    def heartbeat(self, number: int) -> None:
        known = self.pick(number)
        if not known.dialling:
            refusal = ErrorCode.INVALID_TOKEN if known.greeted else ErrorCode.UNKNOWN_MESSAGE_TYPE
            assert known.client.type(BEAT) == ("heartbeat_response" if known.tenant else refusal)

    @precondition(lambda self: self.open)
    @rule(number=st.integers(0, 9), half=st.booleans())
    def end(self, number: int, half: bool) -> None:
        known = self.pick(number)
        if half:
            known.client.send(b'{"type":"tunnel_in')
        known.client.end()
        known.client.end()
        self.open.remove(known)

    @invariant()
    def holds_the_resources_of_the_model(self) -> None:
        for tenant in _TENANTS:
            assert self.memory.relay.tunnels(tenant.id) == self.tunnels(tenant.id)
        assert self.memory.relay.buffers == self.buffers
        assert len(self.memory.relay.state.connections) == len(self.open)

    def teardown(self) -> None:
        for known in self.open:
            known.client.end()
        assert not self.memory.relay.state.usage
        assert not self.memory.relay.state.connections


TestLimits = Limits.TestCase
TestLimits.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
