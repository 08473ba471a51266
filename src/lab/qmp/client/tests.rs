//! A client against a QEMU made of a script.
