"""The machines of a Ray cluster: which there are, and which may train.

A machine gets trainings once it has shown that its Python, its hypevo, its trainer and its data are the driver's.
"""

from __future__ import annotations

import platform
import secrets
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from hypevo.messages import first_line
from hypevo.protocol import InputError, WorkError
from hypevo.trainings import child, node
from hypevo.trainings.backend import Slot
from hypevo.trainings.luggage import pack
from hypevo.trainings.tasks import Machine, Tasks

_OLD = 86400.0  # seconds: a driver that still runs writes its token again
_PAUSE = 1.0  # seconds between two looks at the list of machines
_PATIENCE = 10.0  # seconds for the last errands


class Cluster:
    """Watches the machines of a cluster, and runs functions on them.

    Attributes:
        slots: Of the machines that are ready.
        closing: Whether the driver is about to leave, so that nothing is fetched any more.
        tasks: Runs things on the machines.
    """

    def __init__(
        self,
        trainer: str,
        device: str,
        *,
        slots_per_device: int,
        address: str,
        out: Path,
        tell: Callable[[str], None],
        changed: Callable[[], None],
    ) -> None:
        """Join; see `RayBackend`."""
        device = device.strip().lower()
        if device not in ("auto", "cpu"):
            raise InputError(
                f"--device {device}: expected auto or cpu with --backend ray, which assigns the GPUs"
            )
        if address.startswith("ray://"):
            raise InputError(
                f"--address {address}: expected host:port or auto; start the command on a machine of the cluster"
            )
        self._trainer, self._per_device, self._out = trainer, slots_per_device, out
        self._tell, self._changed = tell, changed
        self._lock = threading.RLock()
        self._machines: dict[str, Machine] = {}  # ready or about to be, by id
        self._known: dict[str, str] = {}  # id -> name of every machine that was looked at
        self._preparation: tuple[str, Mapping[str, Any], Path] | None = None
        self._fingerprint: str | None = None
        self.slots: Sequence[Slot] = ()
        self.closing = False
        self._over = threading.Event()
        self._versions = node.versions(
            trainer
        )  # before Ray is asked: a trainer that is not there is said at once
        with tempfile.TemporaryDirectory(prefix="hypevo-") as folder:
            pack(Path.cwd(), Path(folder))
            self.tasks = Tasks(address, Path(folder), slots_per_device)
        found = self.tasks.machines()
        self._gpu = device == "auto" and any(one["Resources"].get("GPU", 0) >= 1 for one in found)
        self._secret = secrets.token_hex()
        self._token = out / f".hypevo-{secrets.token_hex(4)}"
        refused: list[str] = []
        with ThreadPoolExecutor(min(64, len(found) or 1)) as threads:
            list(threads.map(lambda one: self._admit(one, refused.append), found))
        if not self._machines:
            self.close({})
            why = "; ".join(refused) or f"none has a {'GPU' if device == 'auto' else 'processor'} to give"
            raise InputError(
                f"--address {address}: expected a machine that can train, got {len(found)}: {why}"
            )
        for line in refused:
            tell(line)
        threading.Thread(target=self._watch, name="machines", daemon=True).start()

    def _watch(self) -> None:
        """Follow the machines until the driver leaves."""
        while not self._over.wait(_PAUSE):
            try:
                alive = {one["NodeID"]: one for one in self.tasks.machines()}
            except Exception as error:  # noqa: BLE001 - whatever Ray raises: the next look may succeed
                self._tell(f"Ray does not tell its machines: {first_line(error)}")
                self._over.wait(10 * _PAUSE)
                continue
            for gone in self._known.keys() - alive.keys():
                name = self._known.pop(gone)
                if self._remove(gone):
                    self._tell(f"machine {name} has left the cluster")
            for new in alive.keys() - self._known.keys():
                threading.Thread(target=self._admit, args=(alive[new], self._tell), daemon=True).start()
                self._known.setdefault(new, "")

    def _admit(self, found: Mapping[str, Any], refuse: Callable[[str], None]) -> None:
        """Look at a machine, and give it slots if it can train as the others do."""
        machine = self._machine(found)
        if machine is None:
            return
        try:
            self._show_token()
            seen: node.Seen = self.tasks.errand(
                machine, node.look, machine.place, self._trainer, self._token, self._secret
            )
            for what, mine in self._versions.items():
                if seen.versions.get(what) != mine:
                    theirs = seen.versions.get(what, "none")
                    raise InputError(f"it has {what} {theirs}, expected the driver's, {mine}")
            machine.place = replace(machine.place, shared=seen.shared)
            with self._lock:
                preparation = self._preparation
                self._machines[machine.id] = machine
            if preparation is not None:
                self._prepare(machine, preparation)
        except (InputError, WorkError) as error:
            refuse(f"machine {machine.name} gets no trainings: {error}")
            self._remove(machine.id)
            return
        with self._lock:
            self._renew()
        if self._preparation is not None:
            self._tell(f"machine {machine.name} has joined")

    def _show_token(self) -> None:
        """Have the token in the driver's folder, and remove those of drivers that were killed long ago."""
        self._out.mkdir(parents=True, exist_ok=True)
        for token in self._out.glob(".hypevo-*"):
            with suppress(OSError):  # another driver is as quick
                if time.time() - token.stat().st_mtime > _OLD:
                    token.unlink()
        if not self._token.exists():
            self._token.write_text(self._secret, encoding="ascii")

    def _machine(self, found: Mapping[str, Any]) -> Machine | None:
        """A machine with a name that no other has; None without a device to train on."""
        name = found["NodeName"]
        if not name or name == found["NodeManagerAddress"]:  # nobody gave it one
            name = found["NodeManagerHostname"]
        name = name.replace(":", "-")
        with self._lock:
            if name in self._known.values():
                name = f"{name}-{found['NodeID'][:6]}"
            self._known[found["NodeID"]] = name
        gpus = int(found["Resources"].get("GPU", 0)) if self._gpu else 0
        cpus = int(found["Resources"].get("CPU", 0))
        if gpus == 0 and (self._gpu or cpus == 0):
            return None
        driver = f"{platform.node()}:{self._out}"
        return Machine(
            found["NodeID"], name, gpus, cpus, node.Place(found["NodeID"], name, driver, Path.cwd())
        )

    def _remove(self, identity: str) -> bool:
        with self._lock:
            there = self._machines.pop(identity, None) is not None
            self._renew()
        return there

    def _renew(self) -> None:
        """Number the slots again: one for each device first, then the second ones."""
        ready = [
            one
            for one in self._machines.values()
            if not one.suspected and (self._preparation is None or one.prepared is not None)
        ]
        self.slots = [
            Slot(str(device) if self._gpu else "cpu", number, machine.name)
            for number in range(self._per_device)
            for device in range(max((one.gpus or 1 for one in ready), default=0))
            for machine in ready
            if device < (machine.gpus or 1)
        ]
        self._changed()

    def suspect(self, machine: Machine) -> None:
        """Give a machine no more trainings until it has answered."""
        with self._lock:
            if machine.suspected or self.closing:
                return
            machine.suspected = True
            self._renew()

        def ask() -> None:
            while machine.id in self._machines and not self._over.is_set():
                with suppress(WorkError, InputError):
                    self.tasks.errand(machine, node.drop, machine.place, ())
                    with self._lock:
                        machine.suspected = False
                        self._renew()
                    return
                self._over.wait(_PAUSE)

        threading.Thread(target=ask, name=f"asking {machine.name}", daemon=True).start()

    def named(self, name: str) -> Machine | None:
        """The machine of that name."""
        with self._lock:
            return next((one for one in self._machines.values() if one.name == name), None)

    def any(self) -> Machine | None:
        """One of the machines."""
        with self._lock:
            return next(iter(self._machines.values()), None)

    def without(self, name: str) -> str | None:
        """Give a machine up, if there are others."""
        machine = self.named(name)
        with self._lock:
            if machine is not None and len(self._machines) == 1:
                return None
        if machine is not None:
            self._remove(machine.id)
        return "the other machines"

    # -- what they do --------------------------------------------------------------------------------------

    def prepare(self, trainer: str, settings: Mapping[str, Any], cache: Path) -> child.Prepared:
        """Have all machines prepare, compare their fingerprints, and go on with those that agree."""
        with self._lock:
            self._preparation = (trainer, settings, cache)
            machines = list(self._machines.values())
        refused: dict[Machine, str] = {}

        def one(machine: Machine) -> None:
            try:
                self._prepare(machine, (trainer, settings, cache))
            except (InputError, WorkError) as error:
                refused[machine] = str(error)

        with ThreadPoolExecutor(min(64, len(machines))) as threads:
            list(threads.map(one, machines))
        prints = Counter(machine.prepared.fingerprint for machine in machines if machine.prepared is not None)
        if not prints:
            raise InputError("; ".join(f"machine {machine.name}: {why}" for machine, why in refused.items()))
        self._fingerprint = prints.most_common(1)[0][0]
        for machine in machines:
            if machine.prepared is not None and machine.prepared.fingerprint != self._fingerprint:
                refused[machine] = self._differs(machine.prepared)
        for machine, why in refused.items():
            self._tell(f"machine {machine.name} gets no trainings: {why}")
            self._remove(machine.id)
        with self._lock:
            self._renew()
        return next(one.prepared for one in machines if one.prepared is not None and one not in refused)

    def _prepare(self, machine: Machine, preparation: tuple[str, Mapping[str, Any], Path]) -> None:
        prepared: child.Prepared = self.tasks.errand(machine, node.prepare, machine.place, *preparation)
        if self._fingerprint is not None and prepared.fingerprint != self._fingerprint:
            raise InputError(self._differs(prepared))
        machine.prepared = prepared

    def _differs(self, prepared: child.Prepared) -> str:
        return (
            f"its data have the fingerprint {prepared.fingerprint}, expected {self._fingerprint} as elsewhere"
        )

    def everywhere(self, function: Callable[..., Any], *args: Any) -> dict[Machine, Any]:
        """What a function of a place returns on every machine that answers."""
        with self._lock:
            machines = list(self._machines.values())

        def one(machine: Machine) -> Any:
            with suppress(WorkError):
                return self.tasks.errand(machine, function, machine.place, *args)

        with ThreadPoolExecutor(min(64, len(machines))) as threads:
            answers = dict(zip(machines, threads.map(one, machines), strict=True))
        return {machine: answer for machine, answer in answers.items() if answer is not None}

    def close(self, stale: Mapping[str, Sequence[Path]]) -> None:
        """Have machines remove what nobody wants, and leave the cluster."""
        if self._over.is_set():
            return
        self._over.set()
        with suppress(OSError):
            self._token.unlink()
        with self._lock:
            paths = {one: stale[one.id] for one in self._machines.values() if one.id in stale}
        self.tasks.leave(paths, _PATIENCE)
