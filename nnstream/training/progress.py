"""A progress bar for training: one step an epoch, with the losses of the last one."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from nnstream.training.history import Epoch

Tell = Callable[[Epoch], object]


@contextmanager
def told(on_epoch: Tell | None, epochs: int, *, progress: bool) -> Iterator[Tell]:
    """Give what is to be called after each epoch: `on_epoch`, and with `progress` a bar on the terminal.

    Args:
        on_epoch: called after the bar has moved; None for nobody.
        epochs: how many there are to be at most.
        progress: whether to show the bar.
    """
    tell: Tell = on_epoch if on_epoch is not None else lambda _: None
    if not progress:
        yield tell
        return
    from rich.progress import MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn  # noqa: PLC0415  # slow

    columns = (*Progress.get_default_columns()[:2], MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, TextColumn("{task.fields[losses]}")) as bar:
        task = bar.add_task("epochs", total=epochs, losses="")

        def move(epoch: Epoch) -> None:
            losses = f"loss {epoch.train_loss:.4g}"
            if epoch.validation_loss is not None:
                losses += f", validation {epoch.validation_loss:.4g}{' (best)' if epoch.is_best else ''}"
            bar.update(task, completed=epoch.number, losses=losses)
            tell(epoch)

        yield move
