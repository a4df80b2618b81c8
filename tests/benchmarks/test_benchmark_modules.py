"""Every benchmark can be started by `python -m benchmarks`."""

from __future__ import annotations

from importlib import import_module
from inspect import signature

import pytest

from benchmarks.__main__ import modules


@pytest.mark.parametrize("name", modules())
def test_every_benchmark_takes_arguments(name: str) -> None:
    main = import_module(f"benchmarks.{name}").main
    signature(main).bind(["--quick"])
    with pytest.raises(SystemExit) as end:
        main(["--help"])
    assert end.value.code == 0
