"""A transaction between two accounts: both change, or neither does.

What the function reads through the transaction is an expectation. If another program has changed
one of these keys by the time of the commit, nothing is written, and the function is called again
with a new transaction.

Prints:

    after the transfer: ada 60, bob 65
    refused: ada has 60, not 1000
    after the refusal: ada 60, bob 65
"""

from redrepl import Coordinator, Transaction

ADA, BOB = "example:account:ada", "example:account:bob"


def transfer(transaction: Transaction, amount: int) -> None:
    """Move money from Ada to Bob. It may be called several times, so it does nothing but this."""
    ada = int(transaction.get(ADA) or 0)
    bob = int(transaction.get(BOB) or 0)
    if ada < amount:
        raise ValueError(f"ada has {ada}, not {amount}")  # ends the transaction; nothing was sent
    transaction.set(ADA, b"%d" % (ada - amount)).set(BOB, b"%d" % (bob + amount))


def balances(store: Coordinator) -> str:
    """Both accounts, as a majority of the copies has them."""
    values = store.get_many([ADA, BOB], level="quorum")
    return f"ada {int(values[ADA] or 0)}, bob {int(values[BOB] or 0)}"


def main() -> None:
    """One transfer that succeeds and one that cannot."""
    with Coordinator.from_config() as store:
        store.set_many({ADA: b"100", BOB: b"25"})
        store.transact(lambda transaction: transfer(transaction, 40))
        print(f"after the transfer: {balances(store)}")

        try:
            store.transact(lambda transaction: transfer(transaction, 1000))
        except ValueError as error:
            print(f"refused: {error}")
        print(f"after the refusal: {balances(store)}")


if __name__ == "__main__":
    main()
