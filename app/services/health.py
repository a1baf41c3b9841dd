"""Whether this process can serve: what a load balancer and an administrator ask."""

from dataclasses import dataclass

from app.db.engine import Database
from app.db.revision import at_head
from app.domain.errors import UnavailableError
from app.domain.ports import Dispatcher


@dataclass(frozen=True, slots=True)
class HealthService:
    """Checks of everything a request depends on."""

    database: Database
    dispatcher: Dispatcher

    def check(self) -> dict[str, str]:
        """What is wrong by part, `ok` where nothing is: database, migrations, broker."""
        return {**self._database(), "broker": self._broker()}

    def _database(self) -> dict[str, str]:
        try:
            with self.database.transaction() as connection:
                migrated = at_head(connection)
        except UnavailableError:
            return {"database": "unavailable", "migrations": "unknown"}
        return {"database": "ok", "migrations": "ok" if migrated else "run `simmer migrate`"}

    def _broker(self) -> str:
        try:
            self.dispatcher.ping()
        except UnavailableError:
            return "unavailable"
        return "ok"
