"""What the processes of one run say to each other; with a single process, nothing."""

from __future__ import annotations

import torch
import torch.distributed as dist


def all_sum(values: torch.Tensor) -> torch.Tensor:
    """The sum over all processes, in place."""
    if dist.is_initialized() and dist.get_world_size() > 1:
        dist.all_reduce(values)
    return values


def barrier() -> None:
    """Wait until every process is here."""
    if dist.is_initialized() and dist.get_world_size() > 1:
        dist.barrier()


def from_main(flags: list[bool], device: torch.device) -> list[bool]:
    """What the first process says: all must stop and save at the same step."""
    if not (dist.is_initialized() and dist.get_world_size() > 1):
        return flags
    said = torch.tensor([int(flag) for flag in flags], device=device)
    dist.broadcast(said, 0)
    return [bool(flag) for flag in said.tolist()]


def part() -> None:
    """Leave the others in good order, when all are done; a process that just ends can take its peers down with it."""
    if dist.is_initialized():
        dist.barrier()
        dist.destroy_process_group()
