"""The servers that the demo and the tests need, as children of the process that asks for them."""
