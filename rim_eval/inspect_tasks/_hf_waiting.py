"""How a request waits for its batch on the `hf/` provider: until it is done, without polling.

Inspect 0.3.285 lets every waiting request block the event loop for ten milliseconds and then sleep
for a second, again and again. With 440 requests waiting the loop does little else: the demo took
minutes. Here the request sleeps until its batch is decoded. Inspect's queue and its batching stay.
"""

import asyncio
import sys
from concurrent.futures import Future
from threading import Thread
from types import ModuleType
from typing import Any, Final

import sniffio

__all__ = ["wait_without_polling"]

_NEEDED: Final = ("batch_queue", "batch_thread", "process_batches", "_QueueItem", "_batch_key")


def wait_without_polling(api: Any) -> bool:
    """Replace the provider's waiting by ours, once for the process.

    Args:
        api: An instance of Inspect's `hf/` provider.

    Returns:
        Whether this provider's module is the one we know; if not, nothing is changed.
    """
    module = sys.modules[type(api).__module__]
    if not all(hasattr(module, name) for name in _NEEDED):
        return False
    if not hasattr(module, "_rim_eval_polling"):
        module._rim_eval_polling = module.batched_generate  # type: ignore[attr-defined]
        module.batched_generate = _waiter(module)  # type: ignore[attr-defined]
    return True


def _waiter(module: ModuleType) -> Any:
    hf: Any = module

    async def batched_generate(input: Any) -> Any:
        if sniffio.current_async_library() != "asyncio":
            return await hf._rim_eval_polling(input)
        if hf.batch_thread is None:
            hf.batch_thread = Thread(target=hf.process_batches, daemon=True)
            hf.batch_thread.start()
        future: Future[Any] = Future()
        hf.batch_queue.put(hf._QueueItem(input=input, future=future, key=hf._batch_key(input)))
        return await asyncio.wrap_future(future)

    return batched_generate
