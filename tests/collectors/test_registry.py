"""Every platform's package offers what the Protocol asks for, and what reads whole sources says so."""

from __future__ import annotations

import pytest

from collectors.registry import COLLECTORS, READ_WHOLE, collector


@pytest.mark.parametrize("platform", sorted(COLLECTORS))
def test_every_package_is_a_collector(platform):
    package = collector(platform)
    assert package.SOURCES and all(isinstance(name, str) for name in package.SOURCES)
    assert isinstance(package.COUNTED_BY_PROVIDER, frozenset)
    for name in ("fetch", "fetch_usage", "parse", "assemble", "probe"):
        assert callable(getattr(package, name)), name


def test_lists_and_files_that_have_no_time_filter_are_read_once_for_all_days():
    """Replicate's list only pages backwards from now: a pull a day would read the newest pages once for each day."""
    assert {"export", "runpod", "replicate"} == READ_WHOLE
