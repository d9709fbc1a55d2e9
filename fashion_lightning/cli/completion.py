"""``fashion-lightning completion SHELL``: what the shell offers after Tab, without torch.

The scripts ask this program each time, so that recipes and runs are those that are there: ``_complete``, the words
before the one that is completed, then that one. jsonargparse has completions of its own; they take minutes, since they
look at every class of torch.
"""

from collections.abc import Sequence

from fashion_lightning.cli.flags import CLASSES, FLAGS, LONG, class_names
from fashion_lightning.cli.recipes import names
from fashion_lightning.errors import UserError

SCRIPTS = {
    "bash": """\
_fashion_lightning() {
  local IFS=$'\\n' found
  COMPREPLY=()
  for found in $(fashion-lightning _complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null); do
    printf -v found %q "$found"
    COMPREPLY+=("$found")
  done
}
complete -o default -o nosort -F _fashion_lightning fashion-lightning 2>/dev/null ||
  complete -o default -F _fashion_lightning fashion-lightning
""",
    "zsh": """\
_fashion_lightning() {
  local -a found
  found=("${(@f)$(fashion-lightning _complete "${(@)words[2,CURRENT]}" 2>/dev/null)}")
  if [[ -n "$found" ]]; then compadd -U -- "${found[@]}"; else _files; fi
}
compdef _fashion_lightning fashion-lightning
""",
    "fish": """\
function __fashion_lightning
  set -l typed (commandline -opc) (commandline -ct)
  fashion-lightning _complete $typed[2..-1] 2>/dev/null
end
complete -c fashion-lightning -a '(__fashion_lightning)'
""",
}

OPTIONS = {
    "fit": ("--config", "--ckpt_path", "--name", "--note"),
    **dict.fromkeys(("validate", "test"), ("--ckpt_path", "--config")),
    "predict": ("--ckpt_path", "--config", "--output", "--preview"),
    "repeat": ("--config", "--seeds", "--processes", "--test", "--name", "--note"),
    "sweep": (
        *("--config", "--space", "--trials", "--processes", "--seeds", "--sampler", "--pruner"),
        *("--study", "--storage", "--name", "--note"),
    ),
    "compare": ("--output",),
    "export": ("--ckpt_path", "--output", "--network", "--data.root"),
    "serve": ("--ckpt_path", "--host", "--port", "--network"),
}
"""Beside the settings that have short names."""


def main(arguments: Sequence[str]) -> None:
    """The subcommand.

    Args:
        arguments: those after ``completion``.

    Raises:
        UserError: it is not the name of a shell.
    """
    if len(arguments) != 1 or arguments[0] not in SCRIPTS:
        raise UserError(f"completion needs the name of your shell: {', '.join(SCRIPTS)}.")
    print(SCRIPTS[arguments[0]], end="")


def answer(words: Sequence[str], commands: Sequence[str]) -> None:
    """Print what may stand in the place of the last word, one a line; nothing leaves it to the shell: files.

    Args:
        words: after the program's name.
        commands: every command.
    """
    words = [word for word in words if word != "="]  # a word of its own to bash: --config = qu
    *before, typed = words or [""]
    option, equals, _ = typed.partition("=")
    if option.startswith("--") and equals:  # to the other shells, a part of the word
        found = [f"{option}={candidate}" for candidate in _values(option, before[0] if before else "")]
    elif not before:
        found = list(commands)
    else:
        found = _candidates(before, typed)
    print("".join(f"{candidate}\n" for candidate in found if candidate.startswith(typed)), end="")


def _candidates(before: Sequence[str], typed: str) -> list[str]:
    command = before[0]
    if before[-1].startswith("-") and before[-1] != "--test":
        return _values(before[-1], command)
    if typed.startswith("-"):
        short = [flag.short for flag in FLAGS if command in flag.commands]
        return [*OPTIONS.get(command, ()), *short, "--help", *(["--help_all"] if short else [])]
    if command == "compare":
        return _runs()
    return list(SCRIPTS) if command == "completion" else []


def _values(option: str, command: str) -> list[str]:
    """What may follow an option."""
    if option in ("--config", "-c"):
        return names()
    if option == "--ckpt_path":
        return _runs() if command not in ("repeat", "sweep") else []
    if command == "sweep" and option in ("--sampler", "--pruner"):
        return ["random", "tpe"] if option == "--sampler" else ["median", "none"]
    long = LONG.get(option, option)
    if part := CLASSES.get(long):
        return sorted(class_names(part))
    return [choice for flag in FLAGS if flag.long == long for choice in flag.choices]


def _runs() -> list[str]:
    """The recipes that have runs, the names that runs were given, and run folders."""
    from fashion_lightning.runs.folder import LOGS
    from fashion_lightning.runs.origin import read_origin
    from fashion_lightning.runs.summary import runs_in

    runs = list(runs_in(LOGS))
    named = [read_origin(run).get("name", "") for run in runs]
    short = [str(run.relative_to(LOGS)) for run in runs]
    return [*dict.fromkeys([*(run.parent.name for run in runs), *filter(None, named), *short, *map(str, runs)])]
