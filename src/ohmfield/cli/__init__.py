"""The `ohmfield` command: reads what was typed, runs it, and says in one line what was wrong."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from typing import Any

from ohmfield import __version__

DESCRIPTION = """What a neural field will look like, how fast it runs and what it draws on an in-memory chip.

Start with: ohmfield demo --out demo. What a command takes: ohmfield COMMAND --help. Version: ohmfield --version."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and exit: 0 when it worked, 2 when the input was bad, 130 when it was interrupted."""
    sys.exit(run(sys.argv[1:] if arguments is None else list(arguments)))


def run(arguments: Sequence[str]) -> int:
    """The exit code of one command; whatever the user got wrong is one line on the standard error stream."""
    if list(arguments) == ["--version"]:
        sys.stdout.write(f"ohmfield {__version__}\n")
        return 0
    command = _parse(arguments)  # help ends here, before anything slow is imported
    import pydantic

    from ohmfield.spec import InputError, first_fault

    try:
        result = _dispatch(command)
        if result is not None:
            sys.stdout.write(json.dumps(result, indent=2) + "\n")
            sys.stdout.flush()
    except BrokenPipeError:  # `ohmfield chips list | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except InputError as error:
        return _refuse(str(error))
    except pydantic.ValidationError as error:
        return _refuse(str(first_fault(error)))
    except OSError as error:  # a full disk, a folder that may not be written
        return _refuse(
            f"{error.filename or 'file'}: {error.strerror or error}; free some space or choose another folder"
        )
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; the same command goes on where it was\n")
        return 130
    return 0


def _refuse(message: str) -> int:
    sys.stderr.write(f"ohmfield: {' '.join(message.split())}\n")
    return 2


def _parse(arguments: Sequence[str]) -> Any:
    """The command as a record of `commands`; help and unknown words end here, with exit code 0 or 2."""
    import tyro

    from ohmfield.cli.commands import Command

    config = (
        tyro.conf.OmitArgPrefixes,
        tyro.conf.OmitSubcommandPrefixes,
        tyro.conf.FlagCreatePairsOff,
        tyro.conf.DisallowNone,
        tyro.conf.PositionalMetavarFromFieldName,
    )
    return tyro.cli(Command, prog="ohmfield", description=DESCRIPTION, args=arguments, config=config)


def _dispatch(command: Any) -> dict[str, Any] | None:
    """Run the command; what it returns is printed as JSON."""
    from ohmfield.cli import commands

    command = command.action if isinstance(command, commands.Chips) else command
    if isinstance(
        command,
        (commands.ChipsList, commands.ChipsShow, commands.ChipsCheck, commands.ChipsNew, commands.ChipsCalibrate),
    ):
        from ohmfield.cli import chips

        result = chips.run(command)
    elif isinstance(command, commands.Doctor):
        from ohmfield.cli import doctor

        result = doctor.run(command)
    elif isinstance(command, commands.Cost):
        from ohmfield.cli import cost

        result = cost.run(command)
    else:
        from ohmfield.cli import work

        result = work.run(command)
    return result if command.json else None
