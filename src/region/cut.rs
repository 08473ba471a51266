//! The end of a run whose backing file was cut under it: a sentence instead of a bare SIGBUS.
#![expect(unsafe_code, reason = "a signal handler, and what little may be called in one")]
// Law: the handler calls only what is async-signal-safe (write, _exit), and touches no memory but its own text.

use nix::{
    libc,
    sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction},
    unistd::write,
};
use std::io;

const TEXT: &[u8] =
    b"sully: a page of the --backing file is gone: somebody cut the file, or its memory is broken; \
    the run is over\n";

/// From now on a store into a page that its file no longer has ends the program with exit code 1 and says why.
pub(super) fn watch() {
    let action = SigAction::new(SigHandler::Handler(end), SaFlags::empty(), SigSet::empty());
    // SAFETY: the handler keeps to the law above. Where it cannot be set the signal ends the program as it always did.
    let _ = unsafe { sigaction(Signal::SIGBUS, &action) };
}

extern "C" fn end(_: libc::c_int) {
    let _ = write(io::stderr(), TEXT);
    // SAFETY: ends the process, whatever its threads are doing.
    unsafe { libc::_exit(1) };
}
