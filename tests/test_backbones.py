"""Other networks of timm's by name: each is usable from end to end, or refused in a sentence."""

import copy
import math
import os
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import huggingface_hub
import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn

from lessonkit import models
from lessonkit.learner import Learner
from lessonkit.networks import backbone, weights
from lessonkit.recipe import familiarity
from tests.tiny import coloured

ROOT = Path(__file__).resolve().parent.parent
OTHER_FAMILIES = ["mobilenetv4_conv_small", "densenet121", "ghostnet_100", "test_convnext"]
USABLE = [*weights.OTHERS, *OTHER_FAMILIES]
REFUSED = {
    "vit_tiny_patch16_224": "a transformer that takes pictures of one size only",
    "levit_128s": "two classifiers",
    "inception_v3": "too large a window for small pictures",
    "resnetv2_18": "a convolution for a classifier",
}


def unsettled(arch):
    """The network with BatchNorm statistics as if trained: random ones, and no BatchNorm idle."""
    torch.manual_seed(0)
    network = backbone.create(arch, False)
    generator = torch.Generator().manual_seed(0)
    for norm in network.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.running_mean.normal_(0, 0.2, generator=generator)
            norm.running_var.uniform_(0.5, 2, generator=generator)
            norm.weight.data.uniform_(0.5, 1.5, generator=generator)
            norm.bias.data.normal_(0, 0.2, generator=generator)
    return network


def noise(n, size):
    return torch.randn(n, 3, size, size, generator=torch.Generator().manual_seed(1))


def agree(found, expected):
    return (found - expected).norm() < 1e-4 * expected.norm()


@pytest.mark.parametrize("arch", USABLE)
@torch.no_grad()
def test_chain_and_folded_batchnorm_give_what_the_network_gives(arch):
    untouched = unsettled(arch)
    layers = backbone.fold_batchnorm(backbone.chain(copy.deepcopy(untouched)))
    folded, pictures = nn.Sequential(*layers), noise(2, 70)
    expected = untouched.forward_head(untouched.forward_features(pictures), pre_logits=True)
    assert agree(folded(pictures), expected)
    folded.train()
    assert agree(folded(pictures), expected)  # no statistic moves, nothing is dropped


@pytest.mark.parametrize("arch", USABLE)
def test_every_layer_group_learns_in_one_fit_and_comes_back_from_a_file(arch, tmp_path):
    images = coloured(45, 40)
    torch.manual_seed(0)
    model = models.pretrained(arch, 3, load_weights=False)
    groups = models.layer_groups(model)
    counts = [sum(p.numel() for p in group.parameters()) for group in groups]
    assert len(groups) == 3 and 0 < counts[0] <= counts[1]

    learn = Learner(model, images, max_grad_norm=1.0, device="cpu", batch_size=15)
    before = [[p.clone() for p in group.parameters()] for group in groups]
    learn.fit(1e-3, 1)
    assert all(math.isfinite(loss) for loss in learn.history.loss)
    for group, old in zip(groups, before, strict=True):
        assert any(not torch.equal(a, b) for a, b in zip(group.parameters(), old, strict=True))

    learn.save(tmp_path / "model.pt")
    loaded = Learner.load(tmp_path / "model.pt", device="cpu")
    assert torch.equal(loaded.predict(images.valid.images), learn.predict(images.valid.images))


def test_the_old_classifier_fits_onto_the_body():
    """mobilenetv3's body puts out more features than timm calls its number of features."""
    model = models.pretrained("mobilenetv3_small_100", 3, load_weights=False)
    sure = familiarity(model, coloured(30).train.images[:3])
    assert 1 / 1000 < sure < 1


@pytest.mark.parametrize("arch", REFUSED)
@pytest.mark.parametrize("load", [False, True])
def test_others_are_refused_before_a_download_in_a_sentence_that_names_some_that_work(
    arch, load, monkeypatch
):
    monkeypatch.setattr(weights, "_online", lambda: pytest.fail("asked for a connection"))
    with pytest.raises(ValueError, match=f"{arch} isn't a chain.*resnet18") as refused:
        models.pretrained(arch, 2, load_weights=load)
    assert "\n" not in str(refused.value)


def test_pictures_too_small_for_a_network_get_a_sentence():
    model = models.pretrained("convnext_atto", 2, load_weights=False)
    with pytest.raises(ValueError, match=r"convnext_atto needs pictures of 32 px"):
        model(torch.zeros(1, 3, 31, 31, dtype=torch.uint8))
    assert model(torch.zeros(1, 3, 32, 33, dtype=torch.uint8)).shape == (1, 2)


class Unordered(nn.Module):
    """Names its layers in another order than it runs them, and uses one output twice."""

    def __init__(self):
        super().__init__()
        self.norms = nn.ModuleList(nn.BatchNorm2d(4) for _ in range(3))
        self.second, self.first = nn.Conv2d(4, 4, 3, padding=1), nn.Conv2d(3, 4, 3, padding=1)

    def forward(self, x):
        x = self.norms[2](self.first(x)).relu()
        return self.norms[0](self.norms[1](self.second(x)) + x)


@torch.no_grad()
def test_batchnorm_is_folded_into_the_convolution_that_feeds_it_not_the_one_named_before_it():
    network = Unordered().eval()
    for norm in network.norms:
        norm.running_mean.normal_(0, 1)
        norm.running_var.uniform_(0.3, 3)
    expected = network(noise(2, 16))
    (folded,) = backbone.fold_batchnorm([network])
    assert agree(folded(noise(2, 16)), expected)
    left = [name for name, module in folded.named_modules() if "BatchNorm" in str(type(module))]
    assert left == ["norms.0"]  # after a sum: there is nothing to fold it into


# Names


@pytest.mark.parametrize(
    "name, near",
    [("resnet18x", "resnet18"), ("ResNet18", "resnet18"), ("efficientnetb0", "efficientnet_b0"),
     ("mobilenetv3", "mobilenetv3_large_100"), ("resnet18.a9_in1k", "resnet18.a1_in1k"),
     ("horse", "tf_efficientnet_lite0"), ("", "tf_efficientnet_lite0")],
)  # fmt: skip
def test_an_unknown_name_gets_near_ones(name, near):
    with pytest.raises(ValueError, match=rf"no network named '{name}'.*\b{near}\b"):
        models.pretrained(name, 2)


# Weights that have to be fetched


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty Hugging Face cache, and no connection."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "http://127.0.0.1:1")
    return tmp_path / "hub"


def place(cache):
    """Random weights of timm's smallest ResNet where the hub's client would put real ones."""
    repository = cache / "models--timm--test_resnet.r160_in1k"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("abc")
    (repository / "snapshots" / "abc").mkdir(parents=True)
    network = timm.create_model("test_resnet")
    save_file(network.state_dict(), repository / "snapshots" / "abc" / "model.safetensors")
    return network, repository / "snapshots" / "abc" / "model.safetensors"


def test_offline_a_sentence_says_both_ways_to_get_the_weights(cache):
    with pytest.raises(ValueError, match=r"weights of resnet18 aren't on this machine") as missing:
        models.pretrained("resnet18", 2)
    for words in ("to the internet once", "timm/resnet18.a1_in1k", "HF_HOME", "model.safetensors"):
        assert words in str(missing.value)
    assert "\n" not in str(missing.value) and not cache.exists()


def test_weights_placed_below_hf_home_are_used_without_a_connection(tmp_path):
    network, _ = place(tmp_path / "hub")
    expected = network.conv1[0].weight.double().sum().item()
    code = (
        "from lessonkit.networks import backbone\n"
        "network = backbone.create('test_resnet', True)\n"
        "print(network.conv1[0].weight.double().sum().item())"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HF_HOME": str(tmp_path)}
    environment = {name: v for name, v in environment.items() if not name.startswith("HF_HUB")}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0 and done.stderr == "", done.stderr
    assert float(done.stdout) == pytest.approx(expected)


@pytest.mark.parametrize("damage", ["cut off", "another network's"])
def test_damaged_weights_are_named_with_the_file_to_remove(cache, damage):
    _, path = place(cache)
    if damage == "cut off":
        path.write_bytes(path.read_bytes()[:10_000])
    else:
        save_file({"weight": torch.zeros(1)}, path)
    with pytest.raises(ValueError, match=r"weights of test_resnet in .* are damaged") as refused:
        models.pretrained("test_resnet", 2)
    assert str(path) in str(refused.value) and "\n" not in str(refused.value)


def test_a_network_without_any_weights_is_refused():
    arch = next(
        name for name in timm.list_models("regnet*") if not timm.get_pretrained_cfg(name).hf_hub_id
    )
    with pytest.raises(ValueError, match=f"no weights for {arch} to fetch.*resnet18"):
        weights.pretrained(arch)


def test_a_hub_that_answers_is_found_and_one_that_does_not_is_not_waited_for(monkeypatch):
    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    constants = huggingface_hub.constants
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setattr(constants, "ENDPOINT", address)
        assert weights._online()
        server.shutdown()
    monkeypatch.setattr(constants, "ENDPOINT", address)  # nobody listens there any more
    assert not weights._online()
