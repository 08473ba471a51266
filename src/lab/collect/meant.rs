//! Which VM a name means.

use super::called::is_called;
use super::view::View;
use std::path::{Path, PathBuf};

/// The most VMs a message names.
const NAMED_LIMIT: usize = 20;

/// The socket of the VM that `name` means: a session, a directory, a socket's path or file name, a domain of libvirt, a label, or a
/// guest's own name;
/// without one, the only VM there is. A socket that no guest has spoken on yet, such as a migration's destination, is then
/// none.
///
/// # Errors
/// When there is none, or several; says which there are.
pub fn meant<'a>(
    name: Option<&str>,
    vms: impl Iterator<Item = (&'a Path, &'a View)>,
) -> Result<PathBuf, String> {
    let connected: Vec<(&Path, &View)> = vms.filter(|(_, view)| view.connected).collect();
    let speaks = |view: &View| view.session.is_some();
    let silent = !connected.iter().any(|(_, view)| speaks(view));
    let is_meant = |path: &Path, view: &View| match name {
        None => silent || speaks(view),
        Some(name) => is_named(name, path, view),
    };
    let mut called = connected.clone();
    called.retain(|(path, view)| is_meant(path, view));
    // After a migration both sockets stand for one life: the one that spoke last is where the guest is.
    if called.windows(2).all(|pair| pair[0].1.life == pair[1].1.life)
        && let Some((path, _)) = called.iter().max_by_key(|(_, view)| view.seen_ns)
    {
        return Ok(path.to_path_buf());
    }
    Err(match (name, called.len()) {
        (Some(name), 0) => format!("'{name}' is not one VM. Connected are: {}", list(&connected)),
        (Some(name), _) => {
            format!("'{name}' is not one VM but several: {}. Give the socket of one of them", list(&called))
        }
        (None, _) => format!("which VM is meant? Connected are: {}", list(&connected)),
    })
}

/// Whether `name` is one of a VM's names.
pub fn is_named(name: &str, path: &Path, view: &View) -> bool {
    is_called(path, name)
        || view.life == name
        || view.name_of_vm() == name
        || view.session.is_some_and(|session| session.to_string() == name)
        || (!name.is_empty() && view.hostname == name)
}

fn list(vms: &[(&Path, &View)]) -> String {
    let names = vms.iter().take(NAMED_LIMIT).map(|(_, view)| match view.session {
        Some(_) => format!("{} ({})", view.life, view.socket),
        None => view.socket.clone(),
    });
    let names: Vec<String> = names.collect();
    if names.is_empty() { "none".into() } else { names.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::SessionId;

    fn vm(socket: &str, session: u64, life: &str, seen_ns: u64) -> View {
        let mut view = View::new(socket);
        (view.connected, view.session, view.life) = (true, Some(SessionId(session)), life.into());
        (view.seen_ns, view.hostname) = (Some(seen_ns), "guest".into());
        view
    }

    fn ask(name: Option<&str>, views: &[View]) -> Result<PathBuf, String> {
        meant(name, views.iter().map(|view| (Path::new(&view.socket), view)))
    }

    #[test]
    fn after_a_migration_the_socket_that_spoke_last_is_meant() {
        let moved = [vm("/a.sock", 1, "0000000000000001", 5), vm("/b.sock", 1, "0000000000000001", 9)];
        for name in [None, Some("0000000000000001"), Some("guest")] {
            assert_eq!(ask(name, &moved), Ok("/b.sock".into()));
        }
        assert_eq!(ask(Some("a.sock"), &moved), Ok("/a.sock".into()));
    }

    #[test]
    fn two_lives_of_one_session_are_two_and_a_sentence_names_both() {
        let clones = [vm("/a.sock", 1, "0000000000000001", 5), vm("/b.sock", 1, "0000000000000001-2", 9)];
        for name in [Some("0000000000000001"), Some("guest")] {
            let error = ask(name, &clones).unwrap_err();
            let both =
                ["0000000000000001 (/a.sock)", "0000000000000001-2 (/b.sock)", "is not one VM but several"];
            assert!(both.iter().all(|text| error.contains(text)), "{error}");
        }
        assert_eq!(ask(Some("0000000000000001-2"), &clones), Ok("/b.sock".into()));
        assert_eq!(ask(Some("/a.sock"), &clones), Ok("/a.sock".into()));
        assert!(ask(None, &clones).unwrap_err().contains("which VM is meant?"));
        assert!(
            ask(Some("nobody"), &clones).unwrap_err().contains("Connected are: 0000000000000001 (/a.sock)")
        );
    }
}
