"""Count in 3D: cells of neighbouring slices that overlap are one cell. Here balls, seen through a clear picture."""

import numpy as np

from napari_cellseg import segment_stack

z, y, x = np.mgrid[:12, :160, :160]
volume = np.zeros(z.shape, np.float32)
for i, (cy, cx) in enumerate([(40, 40), (40, 110), (110, 40), (110, 110)]):
    radius = 3.5 + i / 2
    distance = np.hypot(np.hypot(y - cy, x - cx) / 4, z - 5.5) / radius
    volume = np.maximum(volume, 200 * np.clip(1.3 - distance, 0, 1))
volume += np.random.default_rng(0).normal(10, 2, z.shape)

labels, slices = segment_stack(volume, axes="ZYX", link="z", diameter=30)
sizes = np.bincount(labels.ravel())[1:]
print(f"{np.count_nonzero(sizes)} cells of {sizes[sizes > 0].tolist()} voxels in {len(slices)} slices")
