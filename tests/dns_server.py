"""A DNS server whose answers a test writes, a different one for each question if need be."""

import socket
import threading
from collections import Counter
from collections.abc import Sequence
from enum import Enum
from ipaddress import ip_address
from types import TracebackType
from typing import Self

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset
from dns.rdatatype import RdataType

_TURN_SECONDS = 1.0
_STOP_TIMEOUT = 10.0
_A_MINUTE = 60


class Outcome(Enum):
    """An answer without records."""

    NXDOMAIN = dns.rcode.NXDOMAIN
    SERVFAIL = dns.rcode.SERVFAIL
    SILENT = None


Answer = Sequence[str] | Outcome
"""What a name has: addresses of both kinds, and names that it is an alias of (CNAME)."""


class DnsServer:
    """Answers over UDP at `address`, from a thread of its own; a context manager. Unknown names don't exist."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.settimeout(_TURN_SECONDS)
        self.address = f"127.0.0.1:{self._socket.getsockname()[1]}"
        self._answers: dict[tuple[str, RdataType], Sequence[Answer]] = {}
        self._asked: Counter[tuple[str, RdataType]] = Counter()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="DNS server", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        # Wakes the thread.
        self._socket.sendto(b"", self._socket.getsockname())
        self._thread.join(_STOP_TIMEOUT)
        self._socket.close()

    def answer(self, name: str, *answers: Answer, kinds: Sequence[str] = ("A", "AAAA")) -> None:
        """The first of `answers` is for the first question about `name` of each kind, and so on; the last goes on."""
        for kind in kinds:
            self._answers[name, RdataType[kind]] = answers

    def asked(self, name: str) -> int:
        """How many questions about the name have come, of both kinds."""
        return sum(count for (asked, _), count in self._asked.items() if asked == name)

    def _serve(self) -> None:
        while not self._stopping.is_set():
            try:
                packet, sender = self._socket.recvfrom(4_096)
            except TimeoutError:
                continue
            if packet and (reply := self._reply(dns.message.from_wire(packet))):
                self._socket.sendto(reply.to_wire(want_shuffle=False), sender)

    def _reply(self, query: dns.message.Message) -> dns.message.Message | None:
        question = query.question[0]
        reply = dns.message.make_response(query)
        reply.flags |= dns.flags.RA
        outcome = self._add(reply, question.name.to_text(omit_final_dot=True), RdataType(question.rdtype))
        if outcome is Outcome.SILENT:
            return None
        if outcome:
            reply.set_rcode(outcome.value)
        return reply

    def _add(self, reply: dns.message.Message, name: str, kind: RdataType) -> Outcome | None:
        """Add the name's records, and those of what it is an alias of."""
        answers = self._answers.get((name, kind), [Outcome.NXDOMAIN])
        answer = answers[min(self._asked[name, kind], len(answers) - 1)]
        self._asked[name, kind] += 1
        if isinstance(answer, Outcome):
            return answer
        for record in answer:
            if not _is_address(record):
                reply.answer.append(dns.rrset.from_text(f"{name}.", _A_MINUTE, "IN", "CNAME", f"{record}."))
                return self._add(reply, record, kind)
        wanted = [record for record in answer if _kind(record) == kind]
        if wanted:
            reply.answer.append(dns.rrset.from_text(f"{name}.", _A_MINUTE, "IN", kind.name, *wanted))
        return None


def _is_address(record: str) -> bool:
    try:
        ip_address(record)
    except ValueError:
        return False
    return True


def _kind(record: str) -> RdataType:
    return RdataType.A if ip_address(record).version == 4 else RdataType.AAAA
