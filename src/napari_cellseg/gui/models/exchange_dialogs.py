"""What is asked before a model is exported, or imported."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from qtpy.QtWidgets import QWidget

from ...imaging.errors import OutputError
from ...imaging.home import user_home
from ...imaging.read.values.json_file import values_if_any
from ...imaging.write.write import make_folder, write_json
from ...network.config import ENCODERS
from ...network.exchange.import_model import WEIGHT_SUFFIXES
from ...network.versions import ModelVersion
from ...training.settings import setting
from ..shared.form import Form
from ..shared.form_dialog import FormDialog

LICENSES = ("CC-BY-4.0", "CC0-1.0", "CC-BY-SA-4.0", "MIT", "BSD-3-Clause", "Apache-2.0")
ANSWERS_FILE = "shared_by.json"
PACKAGE = (
    "A package of bioimage.io holds the network with its weights, a test image and a description. Fiji "
    "(deepImageJ), ilastik, QuPath and others can run it, and this plugin imports it exactly as it was."
)
WEIGHTS_ONLY = "This file holds weights only. Choose how the images that it learned from were normalised."
FILTER = (
    "Models (*.zip *.pth *.pt *.ckpt *.bin *.safetensors config.json);;"
    "Packages (*.zip);;Weights (*.pth *.pt *.ckpt *.bin *.safetensors);;All files (*)"
)
NORMALISATIONS = {
    "percentiles": "by percentiles, as here",
    "minmax": "by the least and greatest value",
    "type": "divided by 255 (or 65535)",
    "imagenet": "so, then ImageNet's mean and deviation",
    "standard": "to mean 0 and deviation 1",
}
NETWORKS = {"": "found automatically", **{name: f"U-Net with {name}" for name in ENCODERS}}


@dataclass(frozen=True)
class ExportAnswers:
    """Who made a model, and what others may do with it."""

    authors: str = setting(
        "", "Authors", "who made the model; separate several names by semicolons", placeholder="A. Person; B. Person"
    )
    license: str = setting(
        LICENSES[0], "Licence", "what others may do with it: an SPDX identifier", suggestions=LICENSES
    )
    description: str = setting("", "Description", "one sentence that others see in a list")

    @property
    def names(self) -> tuple[str, ...]:
        """The authors, one by one."""
        return tuple(name.strip() for name in self.authors.split(";") if name.strip())

    @property
    def complete(self) -> bool:
        """Whether there is at least one author, and a licence."""
        return bool(self.names and self.license.strip())

    @classmethod
    def remembered(cls) -> ExportAnswers:
        """Return the authors and the licence of the last export."""
        values = values_if_any(user_home() / ANSWERS_FILE)
        return cls(**{name: str(values[name]) for name in ("authors", "license") if name in values})

    def remember(self) -> None:
        """Keep the authors and the licence for the next export; where that fails they are typed again."""
        try:
            make_folder(user_home())
            write_json(user_home() / ANSWERS_FILE, {"authors": self.authors, "license": self.license})
        except OutputError:
            pass


@dataclass(frozen=True)
class ImportAnswers:
    """What an imported model needs: a name, and for a file of weights what the file does not contain."""

    name: str = setting("", "Name", "letters, digits, space, dot, plus, minus, underscore")
    normalisation: str = setting(
        "percentiles", "Images were normalised", "the file does not contain it, and a wrong choice spoils every result",
        choices=tuple(NORMALISATIONS), words=NORMALISATIONS,
    )  # fmt: skip
    architecture: str = setting("", "Network", "the encoder of its U-Net", choices=tuple(NETWORKS), words=NETWORKS)


def export_dialog(model: ModelVersion, parent: QWidget | None = None) -> FormDialog[ExportAnswers]:
    """Return the dialog that asks for authors, licence and a sentence; the first two are remembered."""
    known = replace(ExportAnswers.remembered(), description=model.description)
    dialog = FormDialog(
        Form(ExportAnswers, "export", own=vars(known)), f"Export {model.name}", "Export …", PACKAGE,
        lambda answers: answers.complete, parent,
    )  # fmt: skip
    dialog.accepted.connect(lambda: dialog.form.value.remember())
    return dialog


def import_dialog(source: Path, parent: QWidget | None = None) -> FormDialog[ImportAnswers]:
    """Return the dialog that asks for a name and, if the file does not contain them, for normalisation and network."""
    plain = source.is_file() and source.suffix.lower() in WEIGHT_SUFFIXES
    # Packages of others may have any encoder, too.
    foreign = plain or source.suffix.lower() == ".zip"
    known = [*([] if plain else ["normalisation"]), *([] if foreign else ["architecture"])]
    name = source.stem if source.is_file() else source.name
    return FormDialog(
        Form(ImportAnswers, "import", known, {"name": name}), f"Import {source.name}", "Import",
        WEIGHTS_ONLY if plain else "", lambda answers: bool(answers.name.strip()), parent,
    )  # fmt: skip


def source_of(path: str | Path) -> Path:
    """Return what is imported when a file is chosen: the folder of a ``config.json``, else the file."""
    chosen = Path(path)
    return chosen.parent if chosen.name == "config.json" else chosen
