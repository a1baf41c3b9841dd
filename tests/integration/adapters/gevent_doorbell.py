"""The doorbell as gunicorn's gevent workers have it: a thousand greenlets listen; prints how many were rung."""

from gevent import monkey

monkey.patch_all()

import sys  # noqa: E402 - nothing may be imported before the patch

import gevent  # noqa: E402
from gevent.pool import Group  # noqa: E402

from app.adapters.doorbell import RedisDoorbell  # noqa: E402
from app.adapters.redis_client import redis_client  # noqa: E402
from app.domain.ids import new_id  # noqa: E402
from app.domain.ports import STATE  # noqa: E402
from app.settings import Settings  # noqa: E402

LISTENERS = 1000
DEADLINE = 30.0


def main(url: str) -> None:
    doorbell, other = (RedisDoorbell(redis_client(Settings(broker_url=url))) for _ in range(2))
    heard: list[str] = []
    inside: list[None] = []
    job_ids = [new_id() for _ in range(LISTENERS)]

    def listen(number: int) -> None:
        with doorbell.listen(job_ids[number]) as bell:
            inside.append(None)
            heard.append(bell.wait(DEADLINE))

    listeners = Group()
    listeners.map_async(listen, range(LISTENERS))
    with gevent.Timeout(DEADLINE):
        while len(inside) < LISTENERS:
            gevent.sleep(0.01)
    for start in range(0, LISTENERS, 100):
        other.ring(job_ids[start : start + 100])
    listeners.join(DEADLINE)
    print(heard.count(STATE))


if __name__ == "__main__":
    main(sys.argv[1])
