"""Which task helps which: all transfers between tasks, beside what estimates say of them."""
