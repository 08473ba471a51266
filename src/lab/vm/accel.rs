//! KVM or emulation: found out by trying, because a KVM that opens is not yet a KVM that boots.

use super::{HostOptions, Qemu, Sockets, VmConfig, VmError, console, port_socket};
use crate::record::{Accelerator, Side};
use crate::units::shown;
use std::{
    fs::OpenOptions,
    io,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};
use tokio::{io::AsyncReadExt, net::UnixStream, time};

/// The door to hardware virtualisation.
const KVM_DEVICE: &str = "/dev/kvm";
/// How long a guest under KVM may take to its first record.
const TRIAL_LIMIT: Duration = Duration::from_secs(10);
/// What the guest of a trial is asked to do: next to nothing, but to report it.
const TRIAL_ARGUMENTS: &str = "run -m 16M -r 0 -d 1s --baseline 0s --report virtio";
/// Guest memory of a trial.
const TRIAL_MEMORY_BYTES: u64 = 256 << 20;

/// What the user wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Wanted {
    /// KVM where it works, else emulation.
    #[default]
    Auto,
    /// KVM or nothing.
    Kvm,
    /// Emulation.
    Tcg,
}

/// A text that names no accelerator.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no accelerator: expected auto, kvm or tcg, for example auto")]
pub struct UnknownAccelerator(String);

impl FromStr for Wanted {
    type Err = UnknownAccelerator;

    fn from_str(text: &str) -> Result<Self, UnknownAccelerator> {
        match text {
            "auto" => Ok(Self::Auto),
            "kvm" => Ok(Self::Kvm),
            "tcg" => Ok(Self::Tcg),
            other => Err(UnknownAccelerator(shown(other, 60))),
        }
    }
}

/// What is tried under KVM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trial {
    /// The QEMU program.
    pub qemu: PathBuf,
    /// The image's kernel.
    pub kernel: PathBuf,
    /// The image's initramfs.
    pub initramfs: PathBuf,
}

impl Trial {
    fn config(&self, sockets: &Path) -> VmConfig {
        VmConfig {
            qemu: self.qemu.clone(),
            accelerator: Accelerator::Kvm,
            memory_bytes: TRIAL_MEMORY_BYTES,
            cpus: 1,
            kernel: self.kernel.clone(),
            initramfs: self.initramfs.clone(),
            kernel_arguments: String::new(),
            qemu_arguments: Vec::new(),
            guest_arguments: TRIAL_ARGUMENTS.to_owned(),
            side: Side::Source,
            incoming: false,
            sockets: sockets.to_owned(),
            console_log: sockets.join("console.log"),
            host_options: HostOptions::default(),
        }
    }
}

/// What the guests will run on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chosen {
    /// How their CPUs are run.
    pub accelerator: Accelerator,
    /// Why not KVM, where it was wanted or would have been taken.
    pub reason: Option<String>,
}

/// Chooses. Takes up to about 12 s where KVM is there but does not work.
///
/// # Errors
/// KVM was asked for and does not work, or there is no QEMU.
pub async fn choose(wanted: Wanted, trial: &Trial) -> Result<Chosen, VmError> {
    if wanted == Wanted::Tcg {
        return Ok(Chosen { accelerator: Accelerator::Tcg, reason: None });
    }
    let obstacle = match device_obstacle(Path::new(KVM_DEVICE)) {
        Some(obstacle) => Some(obstacle),
        None => trial_obstacle(trial, TRIAL_LIMIT).await?,
    };
    match (obstacle, wanted) {
        (None, _) => Ok(Chosen { accelerator: Accelerator::Kvm, reason: None }),
        (Some(reason), Wanted::Kvm) => Err(VmError::NoKvm { reason }),
        (reason, _) => Ok(Chosen { accelerator: Accelerator::Tcg, reason }),
    }
}

/// What keeps this user from the device, if anything.
fn device_obstacle(device: &Path) -> Option<String> {
    let error = OpenOptions::new().read(true).write(true).open(device).err()?;
    let shown = device.display();
    Some(match error.kind() {
        io::ErrorKind::NotFound => {
            format!("{shown} does not exist (no hardware virtualisation, or the module kvm is not loaded)")
        }
        io::ErrorKind::PermissionDenied => {
            format!("{shown}: permission denied (join the group kvm: sudo usermod -aG kvm $USER)")
        }
        _ => format!("{shown} cannot be opened: {error}"),
    })
}

/// Boots the image under KVM and waits for its first record; what kept it from coming, if anything did.
async fn trial_obstacle(trial: &Trial, limit: Duration) -> Result<Option<String>, VmError> {
    let sockets = Sockets::create()?;
    let config = trial.config(sockets.path());
    let vm = match Qemu::start(&config).await {
        Ok(vm) => vm,
        Err(VmError::DiedAtOnce { exit }) => {
            return Ok(Some(format!("QEMU does not start with KVM: {exit}")));
        }
        Err(error) => return Err(error),
    };
    let port = port_socket(sockets.path(), Side::Source);
    let heard = time::timeout(limit, async {
        tokio::select! {
            heard = first_bytes(&port) => heard,
            _ = vm.wait() => false,
        }
    });
    let heard = heard.await;
    vm.kill().await?;
    let obstacle = match heard {
        Ok(true) => return Ok(None),
        Ok(false) => "the guest ended without a record under KVM".to_owned(),
        Err(_) => format!(
            "no record within {} s under KVM (nested virtualisation without hardware support?)",
            limit.as_secs_f64()
        ),
    };
    let words = console::find_panic(&config.console_log).map(|words| format!("; the guest said: {words}"));
    Ok(Some(obstacle + &words.unwrap_or_default()))
}

/// Whether the guest sent anything before its port was closed.
async fn first_bytes(port: &Path) -> bool {
    let Ok(mut stream) = UnixStream::connect(port).await else { return false };
    stream.read(&mut [0; 64]).await.is_ok_and(|count| count > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::vm::made_kernel::{self, Guest};

    #[test]
    fn accelerators_are_named_and_strangers_are_repeated() {
        assert_eq!("auto".parse(), Ok(Wanted::Auto));
        assert_eq!("kvm".parse(), Ok(Wanted::Kvm));
        assert_eq!("tcg".parse(), Ok(Wanted::Tcg));
        let message = "xen".parse::<Wanted>().unwrap_err().to_string();
        assert_eq!(message, "'xen' is no accelerator: expected auto, kvm or tcg, for example auto");
    }

    #[test]
    fn a_door_that_is_not_there_and_one_that_is_are_told_apart() {
        let reason = device_obstacle(Path::new("/dev/no-such-kvm")).unwrap();
        assert!(reason.contains("/dev/no-such-kvm does not exist"), "{reason}");
        assert_eq!(device_obstacle(Path::new("/dev/null")), None);
    }

    #[tokio::test]
    async fn emulation_needs_no_trial() {
        let trial = Trial { qemu: "/none".into(), kernel: "/none".into(), initramfs: "/none".into() };
        let chosen = choose(Wanted::Tcg, &trial).await.unwrap();
        assert_eq!(chosen, Chosen { accelerator: Accelerator::Tcg, reason: None });
    }

    #[tokio::test]
    async fn a_guest_that_never_reports_speaks_against_kvm() {
        let Some(qemu) = made_kernel::qemu() else { return };
        if let Some(obstacle) = device_obstacle(Path::new(KVM_DEVICE)) {
            println!("SKIPPED: {obstacle}");
            return;
        }
        let files = made_kernel::write(&Guest::Silent);
        let trial = Trial { qemu, kernel: files.kernel(), initramfs: files.initramfs() };
        let obstacle = trial_obstacle(&trial, Duration::from_secs(1)).await.unwrap().unwrap();
        assert!(obstacle.contains("KVM"), "{obstacle}");
    }
}
