"""The plan tiles a dataset exactly once, whatever is finished already."""

import hypothesis
import numpy as np
from hypothesis import strategies as st

from blursynth.production import plan
from blursynth.storage import schema as schemas


def schema_of(items: int, length: int) -> schemas.Schema:
    return schemas.Schema("any", items, length, (schemas.ArraySpec("weight", "float64"),))


@hypothesis.given(items=st.integers(1, 3000), length=st.integers(1, 700))
def test_tasks_tile_the_dataset_exactly_once(items: int, length: int) -> None:
    tasks = list(plan.shard_tasks(schema_of(items, length)))
    assert [item for task in tasks for item in task.items] == list(range(items))
    assert [task.shard for task in tasks] == list(range(len(tasks)))


@hypothesis.given(data=st.data(), items=st.integers(1, 300), length=st.integers(1, 70))
def test_tasks_are_those_of_the_shards_that_are_missing(data: st.DataObject, items: int, length: int) -> None:
    schema = schema_of(items, length)
    finished = np.array(data.draw(st.lists(st.booleans(), min_size=schema.shards, max_size=schema.shards)))
    made = [item for task in plan.shard_tasks(schema, finished) for item in task.items]
    there = [item for shard in np.flatnonzero(finished) for item in schema.items_of(int(shard))]
    assert sorted(made + there) == list(range(items))
