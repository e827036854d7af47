"""Fail points are where they say they are, and nowhere unless a test asks for them."""

import subprocess
import sys
from pathlib import Path

import pytest

from buraq.app import Buraq
from buraq.worker import failpoints
from buraq.worker.failpoints import STEPS, Planted
from buraq.worker.worker import Worker


def test_every_step_can_be_armed_and_does_what_it_did(app: Buraq, tmp_path: Path) -> None:
    worker = Worker(app)
    failpoints.arm(worker, str(tmp_path))

    for part, attribute, _ in STEPS.values():
        assert "step" in getattr(getattr(worker, part), attribute).__qualname__
    assert worker.promoter.step() is None
    worker.lease.stop()


def test_a_step_fails_once_for_each_order(app: Buraq, tmp_path: Path) -> None:
    worker = Worker(app)
    failpoints.arm(worker, str(tmp_path))
    (tmp_path / "promote loop").write_text("raise")

    with pytest.raises(Planted, match="promote loop"):
        worker.promoter.step()
    worker.promoter.step()

    assert list(tmp_path.iterdir()) == []


def test_the_order_kill_kills(tmp_path: Path) -> None:
    (tmp_path / "here").write_text("kill")
    program = (
        "import sys; from pathlib import Path; from buraq.worker.failpoints import _obey;"
        "_obey(Path(sys.argv[1], 'elsewhere')); print('alive', flush=True); _obey(Path(sys.argv[1], 'here'))"
    )
    done = subprocess.run([sys.executable, "-c", program, tmp_path], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout) == (-9, "alive\n")


def test_a_worker_process_does_not_know_of_them_by_itself() -> None:
    program = "import sys, buraq.worker.process; sys.exit('buraq.worker.failpoints' in sys.modules)"
    assert subprocess.run([sys.executable, "-W", "ignore", "-c", program], check=False).returncode == 0
