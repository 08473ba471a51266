//! A port as QEMU's socket chardev offers it: the guest stays connected, one host at a time comes and goes, and what is
//! on its way to a host that goes is lost.

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

/// A port, until its guest goes.
pub struct Chardev {
    /// Where the guest program connects to.
    pub guest: PathBuf,
    /// Where hosts connect to.
    pub host: PathBuf,
}

impl Chardev {
    /// A port with its two sockets in `dir`.
    pub fn start(dir: &Path) -> Self {
        let port = Self { guest: dir.join("guest"), host: dir.join("host") };
        let (guests, hosts) =
            (UnixListener::bind(&port.guest).unwrap(), UnixListener::bind(&port.host).unwrap());
        std::thread::spawn(move || {
            let (mut guest, _) = guests.accept().unwrap();
            while let Ok((host, _)) = hosts.accept() {
                if !serve(&mut guest, host) {
                    return;
                }
            }
        });
        port
    }
}

/// Carries bytes both ways until the host goes; false when it is the guest that went.
fn serve(guest: &mut UnixStream, mut host: UnixStream) -> bool {
    let mut buffer = [0; 4096];
    loop {
        let mut fds = [guest.as_fd(), host.as_fd()].map(|fd| PollFd::new(fd, PollFlags::POLLIN));
        poll(&mut fds, PollTimeout::NONE).unwrap();
        let [from_guest, from_host] = fds.map(|fd| fd.any().unwrap_or(true));
        if from_host {
            match host.read(&mut buffer) {
                Ok(0) | Err(_) => return true,
                Ok(count) => guest.write_all(&buffer[..count]).unwrap_or(()),
            }
        }
        if from_guest {
            match guest.read(&mut buffer) {
                Ok(0) | Err(_) => return false,
                Ok(count) if host.write_all(&buffer[..count]).is_err() => return true,
                Ok(_) => {}
            }
        }
    }
}
