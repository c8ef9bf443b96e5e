"""Leases: one holder at a time, across threads and processes, on a folder."""

import subprocess
import sys
import threading
import time

import pytest

from trial import lease
from trial.errors import StoreError
from trial.files import Files


def test_one_holder_at_a_time(tmp_path):
    files, inside, most = Files.at(str(tmp_path)), [], []

    def work(number):
        with lease.held(files, "raw-e"):
            inside.append(number)
            most.append(len(inside))
            time.sleep(0.01)
            inside.remove(number)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 6


def test_names_do_not_wait_for_each_other(tmp_path):
    files = Files.at(str(tmp_path))
    with lease.held(files, "raw-a"), lease.held(files, "raw-b", wait_s=0):
        pass


def test_who_waits_in_vain_is_told(tmp_path):
    files = Files.at(str(tmp_path))
    with (
        lease.held(files, "raw-a"),
        pytest.raises(StoreError, match="another collection has held it"),
        lease.held(files, "raw-a", wait_s=0.1),
    ):
        pass


def test_a_process_that_dies_lets_go(tmp_path):
    program = (
        "import os, sys; from trial import lease; from trial.files import Files\n"
        "with lease.held(Files.at(sys.argv[1]), 'raw-a'): os._exit(9)"
    )
    assert subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False).returncode == 9
    with lease.held(Files.at(str(tmp_path)), "raw-a", wait_s=0):
        pass
