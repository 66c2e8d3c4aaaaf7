"""asyncio: a thousand writes from a thousand tasks, over one connection per copy.

The names, arguments, receipts and errors are those of the blocking coordinator, with `await`.

Prints:

    committed: 1000 of 1000
    read back: 1000
"""

import asyncio

from redrepl import AsyncCoordinator, Outcome, WriteReceipt

COUNT = 1000


async def main() -> None:
    """Write with one task for each key, and read everything back in few round trips."""
    # One coordinator for the whole program: what its tasks send in one turn leaves together.
    async with AsyncCoordinator.from_config() as store:
        tasks: list[asyncio.Task[WriteReceipt]] = []
        async with asyncio.TaskGroup() as group:
            for number in range(COUNT):
                writing = store.set(f"example:n:{number}", b"%d" % number, ttl=600)
                tasks.append(group.create_task(writing))

        committed = sum(task.result().outcome is Outcome.COMMITTED for task in tasks)
        print(f"committed: {committed} of {COUNT}")

        values = await store.get_many([f"example:n:{number}" for number in range(COUNT)])
        right = sum(values[f"example:n:{number}"] == b"%d" % number for number in range(COUNT))
        print(f"read back: {right}")


if __name__ == "__main__":
    asyncio.run(main())
