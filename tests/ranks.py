"""What processes that train together do in test_distributed.py.

    python -m tests.ranks FOLDER CASE...

imports torch once; for each CASE, a function below, it forks two processes, which find each other
as torchrun's do. Each writes what its function returned to FOLDER/CASE/RANK.json.
"""

import json
import os
import sys
import time
from pathlib import Path

import torch
import torch._dynamo  # optimisers load it when first used; here once, before the forks
import torch.nn.functional as F
from torch import nn

from lessonkit import Learner, augment, models
from lessonkit.__main__ import _end
from lessonkit.training import distributed, processes
from lessonkit.training.checkpoint import Checkpoint
from lessonkit.training.optimizers import adamw, sgd
from tests.tiny import coloured

N = 2


def learner(how="none", n=36, batch_size=10, **kwargs):
    images = coloured(n, 16, how=augment.PRESETS[how]())
    model = models.small_cnn(3, width=4)
    return Learner(model, images, batch_size=batch_size, device="cpu", **kwargs)


def weights(learn):
    return {name: tensor.tolist() for name, tensor in learn.model.state_dict().items()}


def gradients():
    """Of one step on a joint batch, with frozen BatchNorm: here, and what one process gets."""
    found = {}
    for rows in (8, 7):
        for trains in ("all", "late", "head", "precompute"):
            learn = learner()
            learn._bfloat16 = False
            torch.manual_seed(0)
            for parameter in learn.groups[-1].parameters():
                torch.nn.init.normal_(parameter, 0, 0.3)
            learn.freeze_to({"all": 0, "late": 1}.get(trains, 2))
            learn.precompute = trains == "precompute"
            source = learn.activations()["train"] if learn.precompute else learn.images.train.images
            order = torch.randperm(24, generator=torch.Generator().manual_seed(1))[:rows]
            labels = learn.images.train.labels
            learn.model.eval()
            network = learn.groups[-1] if learn.precompute else learn.model
            F.cross_entropy(network(source[order]), labels[order]).backward()
            alone = [p.grad.clone() for p in learn.model.parameters() if p.grad is not None]
            before = weights(learn)
            optimizer = learn._new_optimizer([0.1] * 3)
            mine = distributed.share(order)
            loss = learn._step(optimizer, source[mine], labels[mine]).item()
            together = [p.grad for p in learn.model.parameters() if p.grad is not None]
            errors = [(a - b).norm() / a.norm() for a, b in zip(alone, together, strict=True)]
            found[f"{trains} {rows}"] = {
                "rows": len(mine), "error": max(errors).item(), "loss": loss, "n": len(together),
                "moved": weights(learn) != before,
            }  # fmt: skip
    return found


def fits():
    """A recipe's worth of calls; what all processes must agree on, and what must differ."""
    learn = learner("side_on")
    found = learn.lr_find(steps=12)
    learn.fit(0.01, 2)
    learn.freeze()
    learn.optimizer = adamw
    learn.fit(0.01, 1)
    learn.precompute = True
    learn.fit(0.01, 1)
    learn.unfreeze()
    learn.fit([1e-3, 2e-3, 4e-3], 1, cycle_len=2)
    second = learn.lr_find(steps=12)
    processes.check_equal(learn.model.state_dict().values(), "other weights")
    measured = nn.BatchNorm1d(3)
    measured.running_mean += distributed.rank()
    distributed.same_buffers(measured)
    inputs, _ = next(learn.batches())
    rows = [{k: v for k, v in row.items() if k != "seconds"} for row in learn.history.epochs]
    return {
        "weights": weights(learn), "loss": learn.history.loss, "rows": rows,
        "found": [found.losses.tolist(), second.losses.tolist()],
        "inputs": inputs.sum((1, 2, 3)).tolist(), "statistics": measured.running_mean.tolist(),
    }  # fmt: skip


def like_one_process():
    """Without BatchNorm's batch statistics and augmentation, the history is one process's."""
    learn = learner(optimizer=sgd)
    learn.freeze()
    learn.precompute = True
    found = learn.lr_find(steps=20)
    learn.fit(0.01, 1, cycle_len=3)
    return {"loss": learn.history.loss, "found": found.losses.tolist(), "rows": [
        [row[key] for key in ("train_loss", "valid_loss", "accuracy")]
        for row in learn.history.epochs
    ]}  # fmt: skip


def resumed():
    """The first process has a checkpoint, the second none: both go on from it."""
    folder = (
        Path("checkpoint") if distributed.rank() == 0 else Path(f"elsewhere{distributed.rank()}")
    )
    learns = []
    for _ in range(2):
        learn = learner("side_on", checkpoint=Checkpoint(folder))
        learn.lr_find(steps=6)
        learn.fit(0.01, 3)
        learn.history.epochs = [{**row, "seconds": 0} for row in learn.history.epochs]
        learns.append([learn.history.loss, learn.history.epochs, weights(learn)])
    return {"same": learns[0] == learns[1], "written": sorted(p.name for p in folder.glob("*"))}


def one_makes_for_all():
    made = []
    value = distributed.first(lambda: made.append(1) or distributed.rank())
    seen = processes.in_turn(lambda: Path("made").exists() or bool(Path("made").touch()))
    return {"value": value, "made": len(made), "seen": seen}


def unequal():
    learn = learner()
    if distributed.rank() == 1:
        learn.groups[-1].bias.data += 1e-6
    processes.check_equal(learn.model.state_dict().values(), "other weights")


def too_small():
    learner(n=9, batch_size=1).fit(0.01, 1)


def one_raises():
    learn = learner()
    step, calls = learn._step, []

    def fails(*args):
        calls.append(1)
        if len(calls) == 3 and distributed.rank() == 1:
            raise RuntimeError("the second one\nran out of memory")
        return step(*args)

    learn._step = fails
    learn.fit(0.01, 50)


def one_dies():
    learn = learner()
    if distributed.rank() == 1:
        learn.fit(0.01, 1)
        os._exit(9)
    learn.fit(0.01, 50)


def process(rank: int, case: str) -> int:
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank))
    try:
        with processes.joined():
            result = globals()[case]()
            print(f"said by {distributed.rank()}", flush=True)
    except processes.Lost:
        return _end("lost", 1)
    except (RuntimeError, ValueError) as error:
        return _end(f"failed: {' '.join(str(error).split())}", 1)
    Path(f"{rank}.json").write_text(json.dumps(result))
    return 0


def together(case: str) -> None:
    """Run `case` in forked processes, in a folder of its own; what they print goes to `said`."""
    Path(case).mkdir()
    os.chdir(case)
    # As with torchrun, the launcher keeps the store by which the processes find each other.
    store = torch.distributed.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(store.port))
    os.environ.update(WORLD_SIZE=str(N), TORCHELASTIC_USE_AGENT_STORE="True")
    children, started = [], time.monotonic()
    for rank in range(N):
        if (child := os.fork()) == 0:
            said = os.open("said", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
            os.dup2(said, 1)
            os.dup2(said, 2)
            os._exit(process(rank, case))
        children.append(child)
    statuses = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    ended = {"statuses": statuses, "seconds": time.monotonic() - started}
    Path("ended.json").write_text(json.dumps(ended))
    os.chdir("..")


if __name__ == "__main__":
    os.chdir(sys.argv[1])
    torch.set_num_threads(1)
    for name in sys.argv[2:]:
        together(name)
