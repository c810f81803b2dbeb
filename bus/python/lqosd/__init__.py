"""Clients of lqosd's bus in Python, with nothing but its own library.

liblqos_python, beside this package, is the module that LibreQoS.py imports. This package has what it is made of:

    bus       frames, documents, errors: one connection to the daemon
    calls     the calls of the first generation
    batches   the second generation, and address mappings
    values    what may be sent
    siphash   the numbers of names
    budget    whether a batch fits
    launch    starts LibreQoS.py with liblqos_python in front of the compiled module
    process   a private daemon in file mode, for checks
"""
