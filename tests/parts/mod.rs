//! What `make test` and `make fidelity` have just built, for tests that boot VMs.

use std::path::PathBuf;

/// The program and the image; the reason for a skip where nobody built them. `SULLY_TEST_REQUIRE` says that they are there: a
/// test that does not find them then has failed.
pub fn lab_and_image() -> Result<(PathBuf, PathBuf), &'static str> {
    let variable = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.exists());
    let both = variable("SULLY_TEST_LAB").zip(variable("SULLY_TEST_IMAGE"));
    let is_required = std::env::var_os("SULLY_TEST_REQUIRE").is_some();
    assert!(both.is_some() || !is_required, "SULLY_TEST_LAB and SULLY_TEST_IMAGE name nothing that is there");
    both.ok_or("set SULLY_TEST_LAB and SULLY_TEST_IMAGE (make test does)")
}
