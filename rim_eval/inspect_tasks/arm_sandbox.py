"""A sandbox for each arm of a sample, so that no arm sees the files that another wrote.

Inspect starts one sandbox a sample, which the first arm uses; the others get their own from the same
description, with the sample's files and its setup script.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import anyio
from inspect_ai.dataset import Sample
from inspect_ai.util import SandboxEnvironment, SandboxEnvironmentSpec

from rim_eval.inspect_tasks.compat import (
    PrerequisiteError,
    cleanup_sandbox_environments_sample,
    init_sandbox_environments_sample,
    read_sandboxenv_file,
    registry_find_sandboxenv,
    resolve_sample_files,
    resolve_sandbox,
    sandbox_types,
)


async def refuse_other_sandbox(spec: SandboxEnvironmentSpec | None, sample: Sample) -> None:
    """Refuse a sandbox that was chosen over the task's own by an option that tasks are not told of.

    Args:
        spec: The task's sandbox.
        sample: The sample.

    Raises:
        PrerequisiteError: The sample runs in another sandbox than the arms would.
    """
    resolved = await resolve_sandbox(spec, sample)
    expected = {registry_find_sandboxenv(resolved.type)} if resolved else set()
    if sandbox_types() - expected:
        raise PrerequisiteError(
            "--sandbox would hold for one of the two modes only. Leave it out, and say it to this task: "
            "`-T sandbox=local` (or `-T sandbox=docker:compose.yaml`)."
        )


@asynccontextmanager
async def own_sandbox(
    task: str, spec: SandboxEnvironmentSpec | None, sample: Sample
) -> AsyncIterator[None]:
    """Run a block in a sandbox of its own; where the task has none, nothing is started.

    It takes no place among `--max-sandboxes`: a sample that holds one place and waits for a second would
    wait for ever where all samples do.

    Args:
        task: Name of the task.
        spec: The task's sandbox.
        sample: The sample, with its files and setup.
    """
    resolved = await resolve_sandbox(spec, sample, task)
    if resolved is None:
        yield
        return
    environments = await init_sandbox_environments_sample(
        sandboxenv_type=registry_find_sandboxenv(resolved.type),
        task_name=task,
        config=resolved.config,
        files=await _files(sample),
        setup=await _setup(sample),
        metadata=dict(sample.metadata or {}) | {"__sample_id__": sample.id},
    )
    interrupted = False
    try:
        yield
    except anyio.get_cancelled_exc_class():
        interrupted = True
        raise
    finally:
        with anyio.CancelScope(shield=interrupted):
            await _clean_up(task, resolved, environments, interrupted=interrupted)


async def _files(sample: Sample) -> dict[str, bytes]:
    files = resolve_sample_files(sample.files or {})
    return {path: await read_sandboxenv_file(content) for path, content in files.items()}


async def _setup(sample: Sample) -> bytes | None:
    if not sample.setup:
        return None
    script = await read_sandboxenv_file(sample.setup)
    return script if script.lstrip().startswith(b"#!") else b"#!/usr/bin/env bash\n\n" + script


async def _clean_up(
    task: str,
    spec: SandboxEnvironmentSpec,
    environments: Mapping[str, SandboxEnvironment],
    *,
    interrupted: bool,
) -> None:
    await cleanup_sandbox_environments_sample(
        type=spec.type,
        task_name=task,
        config=spec.config,
        environments=dict(environments),
        interrupted=interrupted,
    )
