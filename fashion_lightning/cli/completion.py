"""``fashion-lightning completion SHELL``: what the shell offers after Tab, without torch.

The scripts ask this program each time, so that they know the recipes and runs that are there: ``_complete``, then the
words of the command line up to the one that is completed. jsonargparse's own completions take minutes, since they look
at every class of torch.
"""

from argparse import Namespace
from collections.abc import Sequence

from fashion_lightning.cli.commands import COMMANDS
from fashion_lightning.cli.parser import CLASSES, class_names
from fashion_lightning.cli.recipes import names

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


def run(given: Namespace, _: Sequence[str]) -> None:
    """Print the script of a shell."""
    print(SCRIPTS[given.shell], end="")


def answer(words: Sequence[str]) -> None:
    """Print what may stand in the place of the last word, one a line; nothing leaves it to the shell: files.

    Args:
        words: after the program's name.
    """
    *before, typed = [word for word in words if word != "="] or [""]  # a word of its own to bash: --config = qu
    found = _candidates(before, typed) if before else list(COMMANDS)
    print("".join(f"{candidate}\n" for candidate in found if candidate.startswith(typed)), end="")


def _candidates(before: Sequence[str], typed: str) -> list[str]:
    options = {option.name: option for option in COMMANDS[before[0]].options} if before[0] in COMMANDS else {}
    option = options.get(before[-1])
    if (option is None or not option.value) and typed.startswith("-"):
        return [name for name in options if name.startswith("--")]
    option = option or next((option for name, option in options.items() if not name.startswith("-")), None)
    if option is None:
        return []
    if option.setting in CLASSES:
        return sorted(class_names(CLASSES[option.setting]))
    found = {"RECIPE": names, "RUN": _runs}.get(option.value)
    return found() if found else list(option.choices or ())


def _runs() -> list[str]:
    """Return the recipes that have runs, the names that runs were given, and run folders."""
    from fashion_lightning.runs.folder import LOGS
    from fashion_lightning.runs.origin import read_origin
    from fashion_lightning.runs.results import runs_in

    runs = runs_in(LOGS)
    named = [read_origin(run).get("name", "") for run in runs]
    short = [str(run.relative_to(LOGS)) for run in runs]
    return [*dict.fromkeys([*(run.parent.name for run in runs), *filter(None, named), *short, *map(str, runs)])]
