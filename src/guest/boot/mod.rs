//! The duties of PID 1 in our image: mounts, console, modules, and a power-off at every end.
//!
//! A guest that fails must say so on the console and switch its VM off; it must never hang silently, because
//! whoever waits for it on the host sees nothing but the console.

mod console;
mod error;
mod modules;
mod mounts;
mod power;

pub use console::announce;
pub use error::BootError;
pub use power::{install_panic_hook, power_off};

use crate::probe::host_facts;

/// What PID 1 says first. The image builder looks for this text in the guest program to learn its version.
const BANNER: &str = concat!("guest program ", env!("CARGO_PKG_VERSION"), " runs as init");

/// The kernel's own host name.
const NAMELESS: &str = "(none)";
/// As much of a boot's id as tells it from others.
const ID_CHARS: usize = 8;

/// Whether this process is the init of its machine.
pub fn is_init() -> bool {
    std::process::id() == 1
}

/// Makes the environment of the workload: file systems, console, host name, and the image's modules loaded in
/// the order of their names.
///
/// # Errors
/// A file system that cannot be mounted, or a module that the kernel refuses; what is there already is fine.
pub fn prepare() -> Result<(), BootError> {
    mounts::mount_all()?;
    console::attach();
    announce(BANNER);
    let facts = host_facts();
    if let Some(name) = host_name(&facts.hostname, &facts.boot_id)
        && let Err(errno) = nix::unistd::sethostname(name)
    {
        announce(&format!("the host name stays as it is: {errno}"));
    }
    modules::load_all()
}

/// The host name to take, by which records say where they come from: that of this boot alone, for many VMs may have one image.
/// None where the kernel command line gives one (`hostname=NAME`, Linux 6.0).
fn host_name(given: &str, boot_id: &str) -> Option<String> {
    let id: String = boot_id.chars().take(ID_CHARS).collect();
    matches!(given, "" | NAMELESS).then(|| if id.is_empty() { "sully".into() } else { format!("sully-{id}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_guests_of_one_image_have_two_names_unless_they_were_given_one() {
        let name = |given, id| host_name(given, id).unwrap_or_default();
        assert_eq!(name("(none)", "1b2c3d4e-0000-4000-8000-000000000000"), "sully-1b2c3d4e");
        assert_ne!(name("(none)", "1b2c3d4e-"), name("(none)", "2b2c3d4e-"));
        assert_eq!(name("(none)", ""), "sully");
        assert_eq!(host_name("vm7", "1b2c3d4e"), None);
    }

    #[test]
    fn a_test_process_is_not_init() {
        assert!(!is_init());
    }
}
