"""Files that only a napari reader plugin knows: the plugin really runs, through npe2 alone.

Most tests let it run in this process, by the function that the child process calls; the last ones start the process.
"""

from __future__ import annotations

import gc
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from npe2 import DynamicPlugin

from napari_cellseg.imaging import AxesError, ImageError, find_images, read_image
from napari_cellseg.imaging.read import plugin_child, plugins

GREY = np.random.default_rng(0).integers(0, 65536, (20, 31)).astype(np.uint16)


@pytest.fixture
def plugin(monkeypatch):
    """Give a function that registers a reader of ``*.scope`` files which gives these layers, or raises this."""
    here = lambda path, folder, seconds: plugin_child.answer(path, folder)  # noqa: E731
    monkeypatch.setattr(plugins, "_answer_of_child", here)
    with DynamicPlugin("cellseg-test-scope") as scope:
        given = []

        def read(path, stack=False):
            if isinstance(given[-1], Exception):
                raise given[-1]
            return given[-1]

        def get_reader(path):
            return read

        def give(layers):
            if not given:
                scope.contribute.reader(get_reader, filename_patterns=["*.scope"])
            given.append(layers)

        yield give


@pytest.fixture
def scope_file(tmp_path):
    path = tmp_path / "a.SCOPE"
    path.write_bytes(b"a format of its own")
    return path


def test_one_image(plugin, scope_file):
    plugin([(GREY, {"name": "x", "scale": (0.25, 0.5), "units": ("micrometer", "micrometer")}, "image")])
    image = read_image(scope_file)
    np.testing.assert_array_equal(image.plane(), GREY)
    assert (image.axes, image.pixel_size, image.name) == ("YX", (0.25, 0.5), "a.SCOPE")


@pytest.mark.parametrize(
    "meta, expected",
    [
        ({"scale": (0.25, 0.5)}, (0.25, 0.5)),
        ({"scale": (250, 500), "units": "nm"}, (0.25, 0.5)),
        ({"scale": (1, 1), "units": ("pixel", "pixel")}, None),
        ({}, None),
    ],
)
def test_the_scale_means_what_it_means_in_the_window(plugin, scope_file, meta, expected):
    plugin([(GREY, meta)])
    size = read_image(scope_file).pixel_size
    assert size == (None if expected is None else pytest.approx(expected))


def test_layers_that_are_no_images_are_passed_over(plugin, scope_file):
    plugin([(GREY > 9, {}, "labels"), ([GREY, GREY[::2, ::2]], {"multiscale": True}, "image")])
    np.testing.assert_array_equal(read_image(scope_file).plane(), GREY)


def test_colour(plugin, scope_file):
    plugin([(np.stack([GREY] * 2 + [GREY.T.reshape(20, 31)], -1), {"rgb": True}, "image")])
    assert read_image(scope_file).rgb


def test_several_layers_are_channels_and_one_is_to_be_chosen(plugin, scope_file):
    plugin([(GREY, {"name": "DAPI"}, "image"), (GREY[::-1], {"name": "GFP"}, "image")])
    image = read_image(scope_file)
    assert (image.axes, image.channel_names) == ("CYX", ("DAPI", "GFP"))
    np.testing.assert_array_equal(image.plane(1), GREY[::-1])
    with pytest.raises(ImageError, match=r"DAPI, GFP.*--channel"):
        image.plane()


@pytest.mark.parametrize(
    "layer_names",
    [
        *(("a.SCOPE :: DAPI", "a.SCOPE :: GFP"), ("DAPI [a]", "GFP [a]"), ("a_DAPI", "a_GFP")),
        *(("DAPI", "GFP"), ("a: DAPI", "a.SCOPE: GFP")),
    ],
)
def test_channels_are_called_alike_in_all_files(plugin, scope_file, layer_names):
    plugin([(GREY, {"name": name}, "image") for name in layer_names])
    assert read_image(scope_file).channel_names == ("DAPI", "GFP")
    plugin([(GREY, {"name": "a"}, "image"), (GREY, {"name": "a.SCOPE"}, "image")])
    assert read_image(scope_file).channel_names == ("channel 0", "channel 1")
    plugin([(GREY, {"name": "a"}, "image"), (GREY, {"name": "aa"}, "image")])
    assert read_image(scope_file).channel_names == ("a", "aa")


@pytest.mark.parametrize(
    "meta, spacing",
    [
        ({"scale": (2, 0.25, 0.5)}, 2),
        ({"scale": (2000, 250, 500), "units": "nm"}, 2),
        ({"scale": (3, 0.25, 0.5), "units": ("micrometer", "micrometer", "micrometer")}, 3),
        ({"scale": (3, 0.25, 0.5), "units": ("pixel", "micrometer", "micrometer")}, 3),
        ({"scale": (1, 0.25, 0.5)}, None),
        ({}, None),
    ],
)
def test_the_distance_of_slices_is_kept(plugin, scope_file, meta, spacing):
    stack = GREY[None].repeat(3, 0)
    plugin([(stack, {"axis_labels": ("z", "y", "x"), **meta}, "image")])
    image = read_image(scope_file)
    assert (image.axes, image.slice_spacing) == ("ZYX", spacing)
    assert image.pixel_size == ((0.25, 0.5) if meta else None)
    plugin([(stack, {"axis_labels": ("z", "y", "x"), "name": n, **meta}, "image") for n in ("DAPI", "GFP")])
    assert (read_image(scope_file).axes, read_image(scope_file).slice_spacing) == ("CZYX", spacing)


def test_two_plugins_for_one_kind_are_no_reason_to_refuse(plugin, scope_file):
    plugin([(GREY, {}, "image")])
    with DynamicPlugin("cellseg-test-other-scope") as other:

        @other.contribute.reader(filename_patterns=["*.scope"])
        def get_reader(path):
            return lambda path, stack=False: [(GREY, {}, "image")]

        np.testing.assert_array_equal(read_image(scope_file).plane(), GREY)


def test_a_plugin_that_refuses_leaves_the_file_to_the_next(plugin, scope_file):
    with DynamicPlugin("cellseg-a-first-scope") as other:

        @other.contribute.reader(filename_patterns=["*.scope"])
        def get_reader(path):
            return None

        plugin([(GREY, {}, "image")])
        np.testing.assert_array_equal(read_image(scope_file).plane(), GREY)


def test_a_channel_axis_is_known(plugin, scope_file):
    plugin([(np.stack([GREY, GREY], -1), {"channel_axis": -1, "name": ["a", "b"]}, "image")])
    assert (read_image(scope_file).axes, read_image(scope_file).channel_names) == ("YXC", ("a", "b"))


def test_axes_are_those_of_the_labels_or_asked(plugin, scope_file):
    plugin([(GREY[None].repeat(3, 0), {"axis_labels": ("t", "y", "x")}, "image")])
    assert read_image(scope_file).axes == "TYX"
    assert read_image(scope_file, "ZYX").axes == "ZYX"


def test_unknown_axes_are_not_guessed(plugin, scope_file):
    plugin([(GREY[None].repeat(3, 0), {}, "image")])
    with pytest.raises(AxesError, match="--axes"):
        read_image(scope_file)
    assert read_image(scope_file, "ZYX").axes == "ZYX"


class Peculiar(Exception):
    pass


@pytest.mark.parametrize(
    "layers, words",
    [
        (Peculiar("no such laser"), "no such laser"),
        (KeyError(), "KeyError"),
        ([(None,)], "no image"),
        ([(GREY, {}, "labels")], "no image"),
        ([(GREY, {"name": "a"}), (GREY[:5], {"name": "b"})], r"2 images \(a, b\)"),
        ([(np.array(["a", "b"]), {})], "values of type"),
    ],
)
def test_what_a_plugin_cannot_do_is_told(plugin, scope_file, layers, words):
    plugin(layers)
    with pytest.raises(ImageError, match=words) as caught:
        read_image(scope_file)
    assert "a.SCOPE" in str(caught.value)


def test_without_a_plugin_the_kinds_are_named(scope_file):
    with pytest.raises(ImageError, match=r"kind.*\.tif.*reader plugin"):
        read_image(scope_file)


def test_a_pattern_names_the_files_of_a_plugin(scope_file):
    (scope_file.parent / "b.png").touch()
    (scope_file.parent / "c.scope").touch()
    (scope_file.parent / "notes.txt").touch()

    def names(pattern):
        return [name for _, name in find_images(scope_file.parent, pattern=pattern)]

    assert names("*.scope") == ["a.SCOPE", "c.scope"]
    assert names("*") == names(None) == ["b.png"]


def test_neither_napari_nor_qt_is_loaded_for_it(tmp_path):
    (tmp_path / "a.unheard").write_text("x")
    code = (
        "import sys\nfrom napari_cellseg.imaging import ImageError, read_image\n"
        f"try:\n    read_image({str(tmp_path / 'a.unheard')!r})\nexcept ImageError as error:\n    print(error)\n"
        "print([name for name in ('napari', 'qtpy', 'torch') if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "a.unheard is of a kind" in done.stdout and done.stdout.endswith("[]\n")


READER = """
import os, time
import numpy as np

def get_reader(path):
    def read(path):
        what = open(path).read()
        print("a plugin that talks")
        if what == "crash":
            os.abort()
        if what in ("hang", "raise", "exit"):
            time.sleep(600) if what == "hang" else os._exit(3) if what == "exit" else 1 / 0
        import atexit
        atexit.register(time.sleep, 600)
        return [(np.arange(12, dtype=np.uint16).reshape(3, 4), {"name": "DAPI", "scale": (0.5, 0.5)}, "image")]
    return read
"""


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Install a real plugin that reads ``*.talks`` files, does what they say, talks and hangs at its end."""
    site = tmp_path / "site"
    about = site / "talking-1.0.dist-info"
    (site / "talking").mkdir(parents=True)
    about.mkdir()
    (site / "talking" / "__init__.py").write_text(READER)
    (site / "talking" / "napari.yaml").write_text(
        "name: talking\ndisplay_name: Talking\ncontributions:\n"
        "  commands: [{id: talking.read, title: Read, python_name: 'talking:get_reader'}]\n"
        "  readers: [{command: talking.read, filename_patterns: ['*.talks'], accepts_directories: false}]\n"
    )
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: talking\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[napari.manifest]\ntalking = talking:napari.yaml\n")
    monkeypatch.syspath_prepend(str(site))
    return tmp_path


def test_a_plugin_runs_in_a_process_of_its_own(installed, capfd):
    path = installed / "a.talks"
    path.write_text("an image")
    image = read_image(path)
    np.testing.assert_array_equal(image.plane(), np.arange(12).reshape(3, 4))
    assert (image.pixel_size, image.name) == ((0.5, 0.5), "a.talks")
    assert capfd.readouterr().out == "" and "talking" not in sys.modules


@pytest.mark.parametrize(
    "what, words",
    [
        ("crash", "plugin that reads it ended its process with status"),
        ("exit", "ended its process with status 3"),
        ("raise", "cannot be read by the napari plugins that are installed: division by zero"),
        ("hang", "did not answer within 3 seconds"),
    ],
)
def test_a_plugin_cannot_take_the_others_with_it(installed, monkeypatch, what, words):
    monkeypatch.setattr(plugins, "SECONDS", 3 if what == "hang" else 120)
    path = installed / "a.talks"
    path.write_text(what)
    with pytest.raises(ImageError, match=words) as caught:
        read_image(path)
    assert str(path) in str(caught.value)


def test_a_large_image_stays_in_its_file_until_it_is_not_needed_any_more(installed, monkeypatch):
    monkeypatch.setattr(plugins, "LAZY_BYTES", 10)
    path = installed / "a.talks"
    path.write_text("an image")
    image = read_image(path)
    file = Path(image.data.filename)
    assert file.is_file()
    np.testing.assert_array_equal(image.plane(), np.arange(12).reshape(3, 4))
    del image
    gc.collect()
    assert not file.parent.exists()
