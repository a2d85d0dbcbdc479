"""Data frames to rows and back, through River's own boundary: pandas, polars, pyarrow, whatever comes in goes out."""

from collections.abc import Mapping, Sequence
from typing import Any

from river.utils import dataframe


def rows_of(X: Any) -> list[dict[Any, Any]]:
    """Return a dict for each row of a data frame, as `learn_one` takes it."""
    frame = dataframe.into_frame(X)
    names = frame.columns
    if not names:
        return [{} for _ in range(len(frame))]
    columns = [_values(frame.get_column(name)) for name in names]
    return [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]


def labels_of(y: Any) -> tuple[list[Any], str | None]:
    """Return the values of a series and its name."""
    series = dataframe.into_series(y)
    return _values(series), series.name


def weights_of(w: Any, count: int) -> list[float]:
    """Return one weight a row from a number or a series."""
    return [float(w)] * count if isinstance(w, int | float) else dataframe.into_series(w).to_list()


def series_like(X: Any, values: Sequence[Any], name: str | None) -> Any:
    """Return a series of the library of `X`, with its index."""
    return dataframe.to_native_series(values, name=name, like=dataframe.into_frame(X))


def frame_like(X: Any, columns: Mapping[Any, Sequence[float]]) -> Any:
    """Return a data frame of the library of `X`, with its index."""
    return dataframe.to_native_frame(columns, like=dataframe.into_frame(X))


def _values(series: Any) -> list[Any]:
    """Return the values of a column; None where one is missing (a missing number may also stay NaN)."""
    values: list[Any] = series.to_list()
    if not series.null_count():
        return values
    number = series.dtype.is_numeric()
    missing = series.is_null().to_list()
    return [
        None if absent and not (number and isinstance(value, float)) else value
        for value, absent in zip(values, missing, strict=True)
    ]
