//! A libvirt of the test's own: the machine's libvirtd and virtlogd, hidden from everything else that runs there.
//!
//! They see their own `/etc/libvirt`, `/var/lib/libvirt` and `/run`, no network, no D-Bus and no KVM, and they and their domains are
//! ended by the kernel when the test ends, however it does.

pub mod pair;

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{fs, thread};

/// How long the daemons may take until they answer, and a command of virsh.
const START_LIMIT: Duration = Duration::from_secs(40);
const VIRSH_LIMIT_S: &str = "30";

/// Hides the system's directories under those of `$1` and starts the daemons. A shell is their first process: the QEMU that libvirt
/// asks for its abilities detaches itself, and libvirt waits until someone reaps it. `/dev/kvm` is hidden: where QEMU cannot use
/// it, libvirt asks a QEMU for its abilities again at every look.
const HOST: &str = r#"
set -eu
mount --make-rprivate /
hostname "$2"
cd "$1"
mkdir dev etc cache log run
mount -t tmpfs none dev
for node in null zero full random urandom tty; do
    : >"dev/$node"
    mount --bind "/dev/$node" "dev/$node"
done
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=0666 none dev/pts
ln -s pts/ptmx dev/ptmx
mount --rbind dev /dev
mount -t tmpfs none /run
printf '127.0.0.1 localhost\n%s\n' "$3" >hosts
mount --bind hosts /etc/hosts
printf '%s\n' 'namespaces = []' 'security_driver = "none"' >etc/qemu.conf
id -u libvirt-qemu >/dev/null 2>&1 || printf '%s\n' 'user = "root"' 'group = "root"' >>etc/qemu.conf
printf 'host_uuid = "%s"\n' "$4" >etc/libvirtd.conf
mkdir -p lib/qemu /etc/libvirt /var/lib/libvirt /var/log/libvirt /var/cache/libvirt /run/libvirt
mount --bind run /run/libvirt
mount --bind etc /etc/libvirt
mount --bind lib /var/lib/libvirt
mount --bind log /var/log/libvirt
mount --bind cache /var/cache/libvirt
exec >daemons.log 2>&1
setpriv --pdeathsig KILL unshare --pid --fork --kill-child=KILL --mount-proc sh -c 'virtlogd & libvirtd & wait'
"#;

/// What a host is called, by itself and by libvirt, and whom it knows.
pub struct Host<'a> {
    pub name: &'a str,
    pub hosts: &'a str,
    pub uuid: &'a str,
}

/// The only host there is.
const ALONE: Host<'_> = Host {
    name: "sully-libvirt",
    hosts: "127.0.0.1 sully-libvirt",
    uuid: "6d7c4f4e-0000-4000-8000-000000000001",
};

/// The daemons; they end with it.
pub struct Libvirt {
    host: Child,
    directory: tempfile::TempDir,
}

impl Libvirt {
    /// Starts the daemons and waits until they answer. The image is where docs/INSTALLING.md says.
    ///
    /// # Errors
    /// Why this machine cannot: the reason for a skip.
    pub fn start(image: &Path) -> Result<Self, String> {
        let mut libvirt = Self::begin(image, &ALONE)?;
        libvirt.wait_for_answer()?;
        Ok(libvirt)
    }

    /// Starts the daemons of a host.
    ///
    /// # Errors
    /// Why this machine cannot.
    pub fn begin(image: &Path, host: &Host<'_>) -> Result<Self, String> {
        if fs::metadata("/proc/self").unwrap().uid() != 0 {
            return Err("libvirt's system daemons need root".into());
        }
        for program in ["libvirtd", "virtlogd", "virsh", "setpriv", "nsenter"] {
            if !succeeds(Command::new(program).arg("--version")) {
                return Err(format!(
                    "{program} is not installed (make test asks for libvirt-daemon and libvirt-clients)"
                ));
            }
        }
        if !succeeds(Command::new("unshare").args([
            "-m",
            "-u",
            "-i",
            "-n",
            "-p",
            "--fork",
            "--mount-proc",
            "true",
        ])) {
            return Err("unshare is not allowed here".into());
        }
        let directory = tempfile::tempdir().unwrap();
        let images = directory.path().join("lib/images/sully");
        fs::create_dir_all(&images).unwrap();
        for name in ["vmlinuz", "initramfs"] {
            fs::copy(image.join(name), images.join(name)).unwrap();
        }
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "unshare", "-m", "-u", "-i", "-n", "sh", "-c", HOST, "sh"]);
        command.arg(directory.path()).args([host.name, host.hosts, host.uuid]);
        let host = command.stdin(Stdio::null()).spawn().unwrap();
        Ok(Self { host, directory })
    }

    /// Waits until they answer.
    ///
    /// # Errors
    /// They cannot be started here.
    pub fn wait_for_answer(&mut self) -> Result<(), String> {
        let begun = Instant::now();
        while let Err(why) = self.virsh(&["version"]) {
            let said = fs::read_to_string(self.path("daemons.log"));
            if said.is_err() && self.host.try_wait().unwrap().is_some() {
                return Err("the system's directories cannot be hidden here".into());
            }
            assert!(
                begun.elapsed() < START_LIMIT,
                "libvirt does not answer: {why}\n{}",
                said.unwrap_or_default()
            );
            thread::sleep(Duration::from_millis(200));
        }
        Ok(())
    }

    /// Its first process.
    pub fn id(&self) -> u32 {
        self.host.id()
    }

    /// A file of the test.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A command that sees what the daemons see. It becomes the program: signals reach it.
    pub fn inside(&self, program: &Path) -> Command {
        let mut command = Command::new("nsenter");
        command
            .args(["--target", &self.host.id().to_string(), "--mount", "--net", "--uts", "--"])
            .arg(program);
        command
    }

    /// What virsh prints.
    ///
    /// # Errors
    /// What it complains about.
    pub fn virsh(&self, words: &[&str]) -> Result<String, String> {
        let mut command = self.inside(Path::new("timeout"));
        command.args([VIRSH_LIMIT_S, "virsh", "--quiet", "--connect", "qemu:///system"]).args(words);
        let output = command.stdin(Stdio::null()).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
    }
}

impl Drop for Libvirt {
    fn drop(&mut self) {
        let _ = self.host.kill();
        let _ = self.host.wait();
    }
}

fn succeeds(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}
