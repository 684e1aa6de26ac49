"""Images that are named by their wells: count each, and sum up per well."""

import shutil
from pathlib import Path

import napari_cellseg
from napari_cellseg import segment_folder

sample = Path(napari_cellseg.__file__).parent / "samples" / "fluorescence.png"
plate = Path("plate")
plate.mkdir(exist_ok=True)
for name in ("A01_f1", "A01_f2", "B02_f1"):
    shutil.copy(sample, plate / f"{name}.png")

table = segment_folder(plate, "results").to_dataframe()
table["well"] = table["image"].str.extract(r"([A-H]\d\d)", expand=False)
print(table.groupby("well")["count"].agg(["sum", "mean", "size"]))
