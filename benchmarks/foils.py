"""How long do hard negatives take once everything is embedded?

    python -m benchmarks.foils

7,511 records over 1,560 pictures in seven sets of SugarCrepe's sizes, embeddings of 512 numbers in
memory: scores, scores with other pictures, every table, and tests between two models. The second
time is without compiling. On two CPU cores that much else used too: 1.81 s, then 0.53 s.
"""

import numpy as np

from benchmarks.timing import timed
from jclip.data.foils import FoilFile, FoilRecord, FoilSet, Picture, foil_set
from jclip.probes.foil_tables import class_table, comparison_table, record_table, summary_table
from jclip.probes.foils import other_pictures, score_foils

DIMENSION, PICTURES = 512, 1560
SIZES = {
    "add_att": 692,
    "add_obj": 2062,
    "replace_att": 788,
    "replace_obj": 1652,
    "replace_rel": 1406,
    "swap_att": 666,
    "swap_obj": 245,
}


def make_sets() -> tuple[list[FoilSet], int]:
    """The sets, and how many distinct texts they have."""
    rng, sets = np.random.default_rng(0), []
    texts: dict[str, int] = {}
    for name, count in SIZES.items():
        rows = rng.integers(PICTURES, size=count)
        records = tuple(
            FoilRecord(str(k), (Picture(str(row)),), (f"{name} right {k}", f"{name} wrong {k}"))
            for k, row in enumerate(rows)
        )
        file = FoilFile("sugar_crepe", f"sugar_crepe/{name}", records)
        sets.append(foil_set(file, rows[:, None].tolist(), rows.tolist(), texts))
    return sets, len(texts)


def main() -> None:
    """Print how long it takes, compiling included and not."""
    sets, count = make_sets()
    rng = np.random.default_rng(1)
    models = [
        tuple(rng.standard_normal((n, DIMENSION), np.float32) for n in (PICTURES, count))
        for _ in range(2)
    ]

    def run() -> None:
        results, blind = [], {}
        for number, (pictures, texts) in enumerate(models):
            label = f"model {number}"
            results += score_foils(sets, pictures, texts, label)
            shuffled = [other for one in sets if (other := other_pictures(one, 0))]
            others = score_foils(shuffled, pictures, texts, label)
            blind |= {(label, one.foils.name): one for one in others}
        summary_table(results, blind)
        for table in (comparison_table, class_table, record_table):
            table(results)

    measure = timed(run)
    print(
        f"{sum(SIZES.values()):,} records by two models: {measure():.2f} s, then {measure():.2f} s"
    )


if __name__ == "__main__":
    main()
