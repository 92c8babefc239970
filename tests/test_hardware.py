"""What the course says about the machine it runs on."""

import os

import pytest
import torch
from torch import nn

from lessonkit.course import hardware
from lessonkit.machine import devices


def test_the_best_device_is_one_that_computes():
    device = hardware.best_device()
    assert (torch.ones(2, device=device) * 2).sum().item() == 4


def test_one_of_several_processes_on_a_mac_takes_the_processor(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert devices.best_device() == "mps"
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert devices.best_device() == "cpu"


def test_training_in_half_precision_is_for_cuda_only():
    assert devices.half_type(torch.device("cpu")) is None
    assert devices.half_type(torch.device("mps")) is None


def test_a_machine_is_described_in_words():
    told = hardware.describe()
    assert all(isinstance(text, str) and text.strip() for text in told.values())
    assert told["cores"].startswith(str(os.cpu_count()))
    assert told["device in use"] == hardware.best_device()
    if told["device in use"] == "cpu":
        assert told["graphics card"].startswith("none")


def test_a_system_that_tells_nothing_is_described_all_the_same(monkeypatch):
    monkeypatch.delattr(os, "sysconf", raising=False)  # as on Windows
    monkeypatch.setattr(hardware.Path, "is_file", lambda path: False)
    monkeypatch.setattr(hardware.platform, "processor", lambda: "")
    monkeypatch.setattr(hardware.platform, "machine", lambda: "")
    told = hardware.describe()
    assert told["memory"] == told["processor"] == "unknown"


@pytest.mark.parametrize(
    ("device", "card"), [("cuda", "Some card, 8 GiB"), ("mps", "Apple's, in the processor")]
)
def test_a_graphics_card_is_named(monkeypatch, device, card):
    class Card:
        name, total_memory = "Some card", 8 * 2**30

    monkeypatch.setattr(hardware, "best_device", lambda: device)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda number: Card)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (8, 0))
    told = hardware.describe()
    assert told["device in use"] == device
    assert told["graphics card"] == card


class Ticking(nn.Module):
    """A network that moves a clock on by 30 s in its first three steps, then by 2 s."""

    def __init__(self):
        super().__init__()
        self.layer, self.calls, self.now = nn.Linear(3, 2), 0, 0.0

    def forward(self, x):
        self.calls += 1
        self.now += 30 if self.calls <= 3 else 2
        return self.layer(x)


def test_the_step_that_is_timed_is_a_usual_one(monkeypatch):
    # Slow ones at the start, as on a machine that warms up, don't count.
    model = Ticking()
    monkeypatch.setattr(hardware.time, "perf_counter", lambda: model.now)
    inputs, labels = torch.ones(4, 3), torch.zeros(4, dtype=torch.int64)
    assert hardware.training_step_seconds(model, inputs, labels) == 2
