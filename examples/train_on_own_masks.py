"""Train a model on pairs of image and masks, and score it on an image it has never seen."""

import sys
from pathlib import Path

import napari_cellseg
from napari_cellseg import evaluate, read_image, segment, train

MINUTES = float(sys.argv[1]) if len(sys.argv) > 1 else 10.0
samples = Path(napari_cellseg.__file__).parent / "samples"
whole = read_image(samples / "fluorescence.png").plane()
masks = segment(whole).labels  # yours come from files: read_image, tifffile, ...

half = whole.shape[1] // 2
pairs = [(whole[:200, :half], masks[:200, :half]), (whole[200:, :half], masks[200:, :half])]
made = train(pairs, "my model", parent="cells", minutes=MINUTES, crop=64, validation=0.5)
print("version in", made.version.path)
scored = evaluate([(whole[:, half:], masks[:, half:])], model=made.version).to_dict()["all"]
print(f"AP50 {scored['ap_mean']['0.50']:.2f}, mean error of the count {scored['count_mae']:.1f} cells")
