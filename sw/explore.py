"""``chandelier explore``: which designs to try, by Optuna; what workers try; what is left of it in the end.

Trials come in batches, each chosen from what came of those before. What is drawn depends on the study's seed and on
these results alone, and not on which worker was quicker: so that a study that is interrupted, or loses workers, ends as
if it had not.
"""

import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hw.tools import find_tool
from quant.errors import ChandelierError
from quant.network_file import load_network, save_network
from quant.optional import optional
from sw.cluster import Cluster
from sw.console import Update
from sw.data import load
from sw.study import AIMS, TARGET, Choice, Study
from sw.trials import Figures, Refused, dominates, route, train_trial

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial

__all__ = ["Trial", "explore"]

#: Draws for each trial that is wanted, until one is new: of a small space most are not.
_DRAWS = 50


@dataclass(frozen=True)
class Trial:
    """A trial: what was chosen, and what came of it so far.

    Parameters
    ----------
    number : int
    choice : dict
        Key -> value.
    short, full : Figures, optional
        After the first part of the epochs, and after all.
    refused : Refused, optional
        Why there are no such figures.
    """

    number: int
    choice: Choice
    short: Figures | None = None
    full: Figures | None = None
    refused: Refused | None = None

    @property
    def outcome(self) -> str:
        """In a word or two."""
        return "refused" if self.refused else "trained" if self.full else "stopped early" if self.short else "open"


class _Storage:
    """A study in Optuna's storage, where everything is that has to outlive an interruption."""

    def __init__(self, study: Study, folder: Path, url: str | None) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.study, self.folder = study, folder
        # Several machines may draw trials for one study; each goes on with its own.
        self._owner = "" if url is None else f"{socket.gethostname()}:{folder.resolve()}"
        with _storage_errors(url):
            self.optuna = optuna.create_study(
                storage=url or f"sqlite:///{folder.resolve() / 'study.db'}",
                study_name=study.name,
                directions=["maximize" if AIMS[aim] else "minimize" for aim in study.study.aims],
                load_if_exists=True,
            )
        known = self.optuna.user_attrs.get("study", study.identity())
        if known != study.identity():
            raise ChandelierError(
                f"the study {study.name} was begun with other settings: change 'name' to begin another, or only "
                "trials, least_accuracy and place_and_route to go on"
            )
        self.optuna.set_user_attr("study", known)

    def _frozen(self) -> list["FrozenTrial"]:
        from optuna.trial import TrialState

        return [t for t in self.optuna.get_trials(deepcopy=False) if t.state != TrialState.FAIL]

    def trials(self) -> list[Trial]:
        """All that there are."""
        return [_trial(frozen) for frozen in self._frozen() if "choice" in frozen.user_attrs]

    def batch(self) -> dict[int, "optuna.Trial"]:
        """The trials that are open, and new ones, up to the number of a batch; none if there are enough."""
        import optuna

        found: dict[int, optuna.Trial] = {}
        for frozen in self._frozen():
            if not frozen.state.is_finished() and frozen.user_attrs.get("owner", self._owner) == self._owner:
                if "choice" in frozen.user_attrs:
                    found[frozen.number] = optuna.trial.Trial(self.optuna, frozen._trial_id)
                else:  # interrupted while it was drawn
                    self.optuna.tell(frozen.number, state=optuna.trial.TrialState.FAIL)
        section, drawn = self.study.study, 0
        while len(found) < section.batch and len(self._frozen()) < section.trials and drawn < _DRAWS * section.batch:
            drawn += 1
            if (trial := self._draw()) is not None:
                found[trial.number] = trial
        return found

    def _draw(self) -> "optuna.Trial | None":
        """A new trial, unless it turns out to be one that there was."""
        import optuna

        number, tried = len(self.optuna.get_trials(deepcopy=False)), [trial.choice for trial in self.trials()]
        # A sampler for each draw: what an earlier one has drawn need not be known to go on.
        self.optuna.sampler = optuna.samplers.TPESampler(seed=(self.study.seed * 1_000_003 + number) % 2**32)
        trial = self.optuna.ask()
        trial.set_user_attr("owner", self._owner)
        choices = self.study.choices.items()
        # Numbers of choices, so that the sampler takes neighbours to be alike.
        choice = {key: values[trial.suggest_int(key, 0, len(values) - 1)] for key, values in choices}
        if choice in tried:
            self.optuna.tell(trial, state=optuna.trial.TrialState.FAIL)
            return None
        trial.set_user_attr("choice", choice)
        return trial

    def network_path(self, number: int) -> Path:
        """Where the integer network of a trial is kept."""
        return self.folder / "networks" / f"{self.study.name}-{number}.safetensors"

    def routed(self, number: int) -> Figures | Refused | None:
        """What came of place and route."""
        said = self.optuna.user_attrs.get(f"routed {number}")
        return said and (Refused if "why" in said else Figures).model_validate_json(said)

    def set_routed(self, number: int, outcome: Figures | Refused) -> None:
        """Keeps it; of a finished trial Optuna takes nothing any more."""
        self.optuna.set_user_attr(f"routed {number}", outcome.model_dump_json())


@contextmanager
def _storage_errors(url: str | None) -> Iterator[None]:
    """One line, without the password, for a storage that does not answer or has no driver."""
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import SQLAlchemyError

    where = "of the study"
    try:
        if url is not None:
            where = make_url(url).render_as_string(hide_password=True)
        yield
    except (SQLAlchemyError, ImportError) as error:
        said = " ".join(str(error).splitlines()[0].split())
        raise ChandelierError(
            f"the storage {where} does not work ({said}): one is written postgresql+psycopg://USER@HOST/DATABASE"
        ) from None


def _trial(frozen: "FrozenTrial") -> Trial:
    """What the storage holds of a trial."""
    attributes = frozen.user_attrs
    kinds: dict[str, type[Figures | Refused]] = {"short": Figures, "full": Figures, "refused": Refused}
    found: dict[str, Any] = {
        name: kind.model_validate_json(attributes[name]) for name, kind in kinds.items() if name in attributes
    }
    return Trial(frozen.number, attributes["choice"], **found)


def _train(
    storage: _Storage, cluster: Cluster, open_trials: dict[int, "optuna.Trial"], *, short: bool, progress: Update
) -> None:
    """Trains trials, and keeps what comes of each as soon as it is there."""
    stage, numbers = "short" if short else "full", list(open_trials)
    choices = {trial.number: trial.choice for trial in storage.trials()}
    units = []
    for number in numbers:
        config = storage.study.config(number, choices[number])
        units.append((config, choices[number][TARGET], str(storage.folder.resolve() / "runs" / f"{number}"), short))
    for k, outcome in cluster.run(train_trial, units, storage.study):
        trial = open_trials[numbers[k]]
        if isinstance(outcome, Refused):
            trial.set_user_attr("refused", outcome.model_dump_json())
        else:
            figures, network = outcome
            if not short:
                save_network(network, storage.network_path(trial.number))
            trial.set_user_attr(stage, figures.model_dump_json())
        _show(storage, progress)


def _show(storage: _Storage, progress: Update) -> None:
    trials = storage.trials()
    best = max((t.full.accuracy for t in trials if t.full), default=0.0)
    most, refused = storage.study.study.trials, sum(t.refused is not None for t in trials)
    progress("short", sum(t.outcome != "open" for t in trials), most, f"{refused} refused")
    progress("full", sum(t.full is not None for t in trials), most, f"best accuracy {100 * best:.2f} %")


def _finish(storage: _Storage, cluster: Cluster, batch: dict[int, "optuna.Trial"], progress: Update) -> None:
    """Does what a batch lacks: short trainings of all, the rest of those that no other dominates, and tells Optuna."""
    from optuna.trial import TrialState

    aims = storage.study.study.aims

    def own() -> dict[int, Trial]:
        return {trial.number: trial for trial in storage.trials() if trial.number in batch}

    _train(
        storage, cluster, {n: batch[n] for n, t in own().items() if t.outcome == "open"}, short=True, progress=progress
    )
    first = [trial.short for trial in storage.trials() if trial.short]
    promising = {
        n: batch[n]
        for n, t in own().items()
        if t.short and not t.full and not t.refused and not any(dominates(other, t.short, aims) for other in first)
    }
    _train(storage, cluster, promising, short=False, progress=progress)
    for number, trial in sorted(own().items()):
        if trial.refused:
            batch[number].set_constraint("fits", max(trial.refused.excess, 1e-6))
            storage.optuna.tell(number, state=TrialState.PRUNED)
        else:
            figures = trial.full or trial.short
            assert figures is not None
            storage.optuna.tell(number, figures.values(aims))


def _front(study: Study, designs: dict[int, Figures]) -> dict[int, Figures]:
    """The designs that no other dominates."""
    aims = study.study.aims
    good = {n: own for n, own in designs.items() if own.accuracy >= study.study.least_accuracy}
    return {n: own for n, own in good.items() if not any(dominates(other, own, aims) for other in good.values())}


def _routed_front(
    storage: _Storage, cluster: Cluster, front: dict[int, Figures], progress: Update
) -> dict[int, Figures]:
    """The front as placed and routed, without what does not fit."""
    missing = [n for n in front if storage.routed(n) is None]
    units = [(load_network(storage.network_path(n)), front[n]) for n in missing]
    for done, (k, outcome) in enumerate(cluster.run(route, units, storage.study), start=1):
        storage.set_routed(missing[k], outcome)
        progress("place, route", done, len(missing), "")
    found = {n: storage.routed(n) for n in front}
    refused = [own.why for own in found.values() if isinstance(own, Refused)]
    if found and len(refused) == len(found):
        raise ChandelierError(
            f"none of the {len(found)} designs of the front could be placed and routed, the first for: {refused[0]}; "
            "with place_and_route = false the same command ends in the front of the area model"
        )
    return _front(storage.study, {n: figures for n, figures in found.items() if isinstance(figures, Figures)})


def explore(
    study: Study, folder: Path, cluster: Cluster, progress: Update, *, url: str | None = None
) -> tuple[Sequence[Trial], dict[int, Figures]]:
    """Tries designs until there are as many trials as the study wants, or goes on where it was interrupted.

    Parameters
    ----------
    folder : Path
        Of runs, networks and, without ``url``, the storage (``study.db``).
    url : str, optional
        Of a storage that several machines reach, such as ``postgresql+psycopg://user@host/database``. Each machine has
        a folder of its own; place and route is for the one that has the network.

    Returns
    -------
    trials, front
        All trials; and of those that no other dominates, by number, the figures.

    Raises
    ------
    ChandelierError
        If the storage does not work, or holds another study; a data set or a program is missing, a run's folder is in
        the way, or whatever else is not the design's; or all trials were refused, or no design can be routed.
    """
    optional("optuna", "'chandelier explore'", "chandelier[explore]")
    for tool in ("yosys", "nextpnr-ecp5") if study.study.place_and_route else ():
        find_tool(tool)  # now, and not when all have been trained
    for name in {study.data.name, *study.space.get("data", {}).get("name", [])}:
        load(name)
    folder.mkdir(parents=True, exist_ok=True)
    storage = _Storage(study, folder, url)
    while batch := storage.batch():
        _finish(storage, cluster, batch, progress)
    trials = storage.trials()
    refused = [trial.refused.why for trial in trials if trial.refused]
    if len(refused) == len(trials):
        raise ChandelierError(f"all {len(trials)} trials were refused, the first for: {refused[0]}")
    front = _front(study, {trial.number: trial.full for trial in trials if trial.full and not trial.refused})
    return trials, _routed_front(storage, cluster, front, progress) if study.study.place_and_route else front
