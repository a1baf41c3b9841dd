"""The sender as a gevent worker has it: many greenlets send at once to an endpoint that is slow, or that is named by
a DNS that is; prints how many replies came, and how long the slowest turn of the others was kept waiting.
"""

from gevent import monkey

monkey.patch_all()

import json  # noqa: E402 - nothing may be imported before the patch
import sys  # noqa: E402
import time  # noqa: E402
from collections import Counter  # noqa: E402
from pathlib import Path  # noqa: E402

import gevent  # noqa: E402

from app.adapters.webhook_sender import HttpWebhookSender  # noqa: E402
from app.domain.webhook_addresses import parse_networks  # noqa: E402
from app.domain.webhook_sending import WebhookSendError  # noqa: E402

SENDERS = 20
DEADLINE = 60.0
TICK = 0.01


def main(nameserver: str, ca_file: str, timeout: float, url: str) -> None:
    sender = HttpWebhookSender(
        parse_networks("127.0.0.2"), nameservers=[nameserver], timeout=timeout, ca_file=Path(ca_file)
    )
    outcomes: Counter[str] = Counter()
    gaps: list[float] = []

    def send(number: int) -> None:
        try:
            outcomes[str(sender.send(url, {"Webhook-Id": str(number)}, b"{}").status)] += 1
        except WebhookSendError as error:
            outcomes[error.code] += 1

    def tick() -> None:
        while True:
            before = time.monotonic()
            gevent.sleep(TICK)
            gaps.append(time.monotonic() - before)

    ticker = gevent.spawn(tick)
    gevent.joinall([gevent.spawn(send, number) for number in range(SENDERS)], DEADLINE)
    ticker.kill()
    threads = gevent.get_hub().threadpool.size
    print(json.dumps({"outcomes": outcomes, "gap": max(gaps), "threads": threads}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]), sys.argv[4])
