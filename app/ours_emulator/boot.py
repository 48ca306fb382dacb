"""Starts an emulator as a child process: `python -P boot.py [PATH …]`.

It runs the package that this file belongs to, however the parent found it: in an editable install, by PYTHONPATH, or in
a folder that it added to `sys.path`. Each PATH is searched last, for packages that the interpreter does not find by
itself: what lies in a folder of the parent's PYTHONPATH must not take the place of a module that the emulator needs.
"""

import gc
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path


def _import_package(directory: Path) -> None:
    """Import the package in *directory*, of all that may have its name."""
    name = directory.name
    spec = spec_from_file_location(name, directory / "__init__.py", submodule_search_locations=[str(directory)])
    if spec is None or spec.loader is None:
        raise ImportError(f"{directory} is not a package")
    sys.modules[name] = module_from_spec(spec)
    spec.loader.exec_module(sys.modules[name])


def main() -> None:
    """Run the emulator."""
    # As in `prepare_process`, before the first import.
    gc.disable()
    sys.path += [path for path in sys.argv[1:] if path not in sys.path]
    _import_package(Path(__file__).resolve().parent)
    from ours_emulator.handshake import Failed

    try:
        from ours_emulator.child_process import main as serve
    except ImportError as error:
        from ours_emulator import __version__

        sys.stdout.buffer.write(Failed(__version__, type(error).__name__, (str(error),)).line())
        sys.exit(2)
    serve()


if __name__ == "__main__":
    main()
