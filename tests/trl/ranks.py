"""The same training on 1, 2 and 4 processes, and what becomes of a process whose neighbour stops.

    python tests/trl/ranks.py FOLDER 1 2 4 [--setups NAME ...]    every rank writes FOLDER/WORLD-RANK.json
    python tests/trl/ranks.py FOLDER --faults                     FOLDER/faults.json: how the other process ended

Everything is imported once, and the ranks are forks. What the rewards read is drawn from the question, the place in the
group and the step, so it is the same however many processes there are; the model is trained on what it wrote itself.
"""

import argparse
import json
import os
import signal
import socket
import time
import zlib
from collections.abc import Callable
from datetime import timedelta
from multiprocessing import get_context
from pathlib import Path

import torch
import torch.distributed as dist
from rsreward_trl import SpatialConsistencyMixin, as_reward_func
from tiny_grpo import build_trainer
from trl import GRPOTrainer

from rsreward import format_reward, positional_reward
from rsreward.watch import NAMES

SETUPS = {
    "groups whole": {"num_generations": 2},
    "groups split": {"num_generations": 8},
    "groups whole on two, split on four": {"num_generations": 4, "scale_rewards": "batch"},
    "7 questions, 4 a step": {"num_generations": 2, "max_steps": 3, "rows": 7},
    "gradients accumulated": {"num_generations": 4, "gradient_accumulation_steps": 2, "max_steps": 2},
    "rollouts of four batches, used twice": {
        "num_generations": 8, "gradient_accumulation_steps": 2, "steps_per_generation": 4, "num_iterations": 2,
        "max_steps": 5,
    },
    "questions without a target": {"num_generations": 2, "without_target": (0, 2, 3), "max_steps": 2},
    "other groups in evaluation": {"num_generations": 4, "num_generations_eval": 2, "evaluate": 7},
    "a last batch that is cut": {"num_generations": 4, "batch": 12, "num_generations_eval": 4, "evaluate": 7},
    "resumed": {
        "num_generations": 4, "max_steps": 3, "save_strategy": "steps", "save_steps": 1, "save_only_model": True,
        "resume_from": 2,
    },
}  # fmt: skip
PLACES = ("in a reward", "between the two gathers")
FAULTS = [(fault, place) for fault in ("is killed", "raises", "stands still") for place in PLACES]
TIMEOUT = 20  # seconds that gloo waits for another rank, where one has a fault
LIMIT = 120  # seconds after which a rank counts as hanging
COLLECTIVES = (
    "all_gather", "all_gather_into_tensor", "all_gather_object", "all_reduce", "all_to_all", "barrier", "broadcast",
    "broadcast_object_list", "gather", "gather_object", "monitored_barrier", "reduce", "reduce_scatter", "scatter",
)  # fmt: skip


def answer(row: dict, k: int, step: int) -> str:
    """The true box, shifted to the right by a share of its width; one answer in seven holds no box."""
    drawn = zlib.crc32(f"{row['prompt']} {k} {step}".encode())
    if drawn % 7 == 0:
        return "<think>It is hard to see.</think><answer>none</answer>"
    x1, y1, x2, y2 = row["target"] or (10, 10, 20, 20)
    shift = drawn // 7 % 100 / 100 * (x2 - x1)
    return f"<think>It is there.</think><answer>[{x1 + shift:.2f}, {y1}, {x2 + shift:.2f}, {y2}]</answer>"


class Plain(GRPOTrainer):
    """Writes down the advantages of this process as TRL computes them."""

    def _generate_and_score_completions(self, inputs):
        output = super()._generate_and_score_completions(inputs)
        self.seen.append({"step": self.state.global_step, "plain": output["advantages"].tolist()})
        return output


class Answered:
    """Hands the rewards the answers above, and writes down the advantages that reach the loss."""

    def __init__(self, *args, **options):
        self.seen = []
        super().__init__(*args, **options)

    def _calculate_rewards(self, inputs, prompts, completions, completion_ids_list):
        self.size = self.num_generations if self.model.training else self.num_generations_eval
        first, step = self.accelerator.process_index * len(inputs), self.state.global_step
        self.texts = [answer(row, (first + i) % self.size, step) for i, row in enumerate(inputs)]
        completions = [[{"role": "assistant", "content": text}] for text in self.texts]
        return super()._calculate_rewards(inputs, prompts, completions, completion_ids_list)

    def _generate_and_score_completions(self, inputs):
        output = super()._generate_and_score_completions(inputs)
        of_all = list(self._logs["advantages"])[-len(inputs) * self.accelerator.num_processes :]
        told = {"weighted": output["advantages"].tolist(), "texts": self.texts, "logged": of_all, "size": self.size}
        self.seen[-1] |= told | {"targets": [row["target"] for row in inputs]}
        return output


class Weighted(Answered, SpatialConsistencyMixin, Plain):
    pass


class Unweighted(Answered, Plain):
    pass


def build(folder: Path, world: int, kind: type = Weighted, rewards=None, batch=8, rows=8, without_target=(), **options):
    """A trainer whose batches are of so many rollouts, over all processes."""
    each, rewards = batch // world, rewards or [as_reward_func(positional_reward), as_reward_func(format_reward)]
    trainer = build_trainer(
        folder, trainer=kind, reward_funcs=rewards,
        per_device_train_batch_size=each, per_device_eval_batch_size=each, max_completion_length=2,
        **({} if world == 1 else {"ddp_backend": "gloo"}), **options,
    )  # fmt: skip
    data = trainer.train_dataset
    kept = [row | {"target": None if i in without_target else row["target"]} for i, row in enumerate(data.to_list())]
    trainer.train_dataset = type(data).from_list(kept[:rows], features=data.features)
    return trainer


def train_all(folder: Path, rank: int, world: int, setups: list[str]) -> None:
    called, told = record_collectives(), {}
    for name in setups:
        options, own = dict(SETUPS[name]), folder / f"{name} {world}"
        questions, checkpoint = options.pop("evaluate", 0), options.pop("resume_from", None)
        trainer = build(own, world, **options)
        trainer.train()
        if questions:
            trainer.evaluate(trainer.train_dataset.select(range(questions)))
        logs = trainer.state.log_history[0]
        told[name] = {"seen": trainer.seen, "logs": {key: value for key, value in logs.items() if "time" not in key}}
        names = {f"positional_reward/watch/{each}" for each in NAMES}
        told[name]["watched"] = names <= logs.keys() | set(trainer._metrics["train"])
        if checkpoint:
            again = build(own, world, **options)
            again.train(resume_from_checkpoint=str(own / f"checkpoint-{checkpoint}"))
            told[name]["resumed"] = again.seen
    calls = {"all": list(called)}
    for kind in (Unweighted, Weighted):
        called.clear()
        build(folder / f"{kind.__name__} {world}", world, kind, num_generations=4).train()
        calls[kind.__name__] = list(called)
    (folder / f"{world}-{rank}.json").write_text(json.dumps({"setups": told, "calls": calls}))


def record_collectives() -> list[str]:
    """What this process calls of torch.distributed from now on, with the shapes of tensors."""
    called: list[str] = []

    def recorded(name: str, plain: Callable) -> Callable:
        def call(*args, **options):
            called.append(f"{name} {[tuple(each.shape) for each in args if isinstance(each, torch.Tensor)]}")
            return plain(*args, **options)

        return call

    for name in COLLECTIVES:
        setattr(dist, name, recorded(name, getattr(dist, name)))
    return called


def meet_fault(folder: Path, rank: int, world: int, fault: str, place: str) -> None:
    """Train; the second rank has the fault, and the first writes down how it ends."""

    def stop() -> None:
        if rank == 1:
            (folder / f"{fault} {place} reached").touch()
            if fault == "is killed":
                os.kill(os.getpid(), signal.SIGKILL)
            if fault == "raises":
                raise ValueError("this reward has a fault")
            time.sleep(10 * LIMIT)

    def faulty(completions, **columns):
        stop()
        return [0.0] * len(completions)

    rewards = [as_reward_func(positional_reward)]
    if place == PLACES[0]:
        rewards.append(faulty)
    else:
        ious = rewards[0].ious
        rewards[0].ious = lambda completions, **columns: stop() or ious(completions, **columns)
    trainer = build(folder / f"{fault} {place}", world, rewards=rewards, num_generations=4)
    try:
        trainer.train()
    except Exception as error:
        (folder / f"{fault} {place} {rank}").write_text(f"{type(error).__name__}: {error}")
        os._exit(1)


def launch(world: int, target: Callable, *args, timeout: int = 600) -> list:
    """The ranks, forked. A world of one does not know of the others' protocol."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    def one(rank: int) -> None:
        if world > 1:
            of_group = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": world, "LOCAL_WORLD_SIZE": world}
            address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
            os.environ |= {name: str(value) for name, value in (of_group | address).items()}
            dist.init_process_group("gloo", timeout=timedelta(seconds=timeout))
        target(args[0], rank, world, *args[1:])
        if world > 1:
            dist.destroy_process_group()

    ranks = [get_context("fork").Process(target=one, args=(rank,)) for rank in range(world)]
    for each in ranks:
        each.start()
    return ranks


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("worlds", type=int, nargs="*")
    parser.add_argument("--setups", nargs="+", default=list(SETUPS), choices=list(SETUPS))
    parser.add_argument("--faults", action="store_true")
    told = parser.parse_args()
    torch.set_num_threads(1)
    for world in told.worlds:
        for each in launch(world, train_all, told.folder, told.setups):
            each.join()
            if each.exitcode:
                raise SystemExit(f"a rank of {world} ended with {each.exitcode}")
    ends = {}
    for fault, place in FAULTS if told.faults else ():
        first, second = launch(2, meet_fault, told.folder, fault, place, timeout=TIMEOUT)
        first.join(LIMIT)
        ends[f"{fault} {place}"] = first.exitcode  # None: it hangs
        for each in (first, second):
            each.kill()
            each.join()
    if told.faults:
        (told.folder / "faults.json").write_text(json.dumps(ends))


if __name__ == "__main__":
    main()
