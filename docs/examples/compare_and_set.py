"""Compare-and-set with retry: four threads sell from one stock, and no sale is lost.

Each thread reads the stock with its version, and writes the new stock only if that version is still
the current one. Where another thread was faster it reads again.

Prints:

    sold: 20
    in stock: 22
"""

from concurrent.futures import ThreadPoolExecutor

from redrepl import Coordinator

KEY = "example:stock"
THREADS, SALES_EACH = 4, 5


def sell_one(store: Coordinator) -> int:
    """Take one piece from the stock; return how many attempts it took."""
    attempts = 0
    while True:
        attempts += 1
        record = store.get_record(KEY)
        if record is None or int(record.value) == 0:
            raise ValueError("sold out")

        left = b"%d" % (int(record.value) - 1)
        receipt = store.compare_and_set(KEY, left, expected=record.stamp)
        if receipt.applied:
            return attempts


def main() -> None:
    """Fill the stock, sell from four threads at once, and count what is left."""
    # A coordinator may be shared by all threads of a program.
    with Coordinator.from_config() as store, ThreadPoolExecutor(THREADS) as threads:
        store.set(KEY, b"42")
        sales = list(threads.map(lambda _: sell_one(store), range(THREADS * SALES_EACH)))
        print(f"attempts: {sum(sales)}")  # more than 20 where threads met
        print(f"sold: {len(sales)}")
        print(f"in stock: {int(store.get(KEY) or 0)}")


if __name__ == "__main__":
    main()
