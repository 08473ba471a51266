//! What runs run on: found and tried once, the same for every run of a command.

use super::destination::{DestinationHost, DestinationRequest};
use crate::files::read_text;
use crate::lab::image::{INITRAMFS_FILE, KERNEL_FILE, MANIFEST_FILE};
use crate::lab::qmp::QemuVersion;
use crate::lab::vm::{
    VmError,
    accel::{Chosen, Trial, Wanted, choose},
    locate,
};
use crate::lab::wrong::given;
use crate::record::{Accelerator, Provenance};
use crate::units::ByteSize;
use anyhow::{Context, ensure};
use std::{
    fs,
    path::{Path, PathBuf},
    thread,
};

/// Where images are looked for when none is named: where `sully-lab image` is told to put one, and where `make image` does.
pub const IMAGES: [&str; 2] = ["sully-image", "target/image"];

/// The largest account of an image that is read.
const LARGEST_MANIFEST_BYTES: u64 = 1 << 20;

/// What the user said about it.
#[derive(Debug, Clone)]
pub struct HostRequest {
    /// The image directory, where it is neither `sully-image` nor `target/image`.
    pub image: Option<PathBuf>,
    /// QEMU, where it is not the one on PATH.
    pub qemu: Option<PathBuf>,
    /// How the guest's CPUs are to be run.
    pub wanted: Wanted,
    /// The machine that guests go to, where that is another one.
    pub destination: Option<DestinationRequest>,
}

/// An image, a QEMU, and what it can run the guest's CPUs on.
#[derive(Debug, Clone)]
pub struct Host {
    /// The guest's kernel.
    pub kernel: PathBuf,
    /// Its initramfs.
    pub initramfs: PathBuf,
    /// The QEMU program.
    pub qemu: PathBuf,
    /// The machine that guests go to, where that is another one.
    pub destination: Option<DestinationHost>,
    version: QemuVersion,
    chosen: Chosen,
    guest_kernel: String,
}

/// The files of the image in `directory`, both readable.
fn files_of(directory: &Path) -> anyhow::Result<(PathBuf, PathBuf)> {
    let (kernel, initramfs) = (directory.join(KERNEL_FILE), directory.join(INITRAMFS_FILE));
    for file in [&kernel, &initramfs] {
        let dir = directory.display();
        ensure!(
            file.is_file(),
            "there is no guest image in {dir}: {file} is missing; build one with \
             `sully-lab image -o {dir} --kernel linux-image-*.deb`, or name another with --image DIR",
            file = file.display(),
        );
        fs::File::open(file).with_context(|| {
            format!(
                "the guest image in {dir} cannot be read: {}; name another with --image DIR",
                file.display()
            )
        })?;
    }
    Ok((kernel, initramfs))
}

/// The image that is named, or else the first there is.
fn image(named: Option<&Path>) -> anyhow::Result<PathBuf> {
    if let Some(named) = named {
        return Ok(named.to_owned());
    }
    let here = IMAGES.map(Path::new).into_iter().find(|image| image.join(KERNEL_FILE).is_file());
    here.map(Path::to_owned).with_context(|| {
        format!(
            "there is no guest image in {}: build one with `make image`, or with \
             `sully-lab image -o {} --kernel linux-image-*.deb`, or name one with --image DIR",
            IMAGES.join(" or "),
            IMAGES[0]
        )
    })
}

/// An error about QEMU is the user's to mend where the user named it.
fn about_qemu<T>(request: &HostRequest, result: Result<T, VmError>) -> anyhow::Result<T> {
    let result = result.map_err(anyhow::Error::from);
    if request.qemu.is_some() { given(result) } else { result }
}

/// The machine that guests are to go to, as it is; it is to have the same QEMU.
async fn destination(request: &HostRequest) -> anyhow::Result<Option<DestinationHost>> {
    let Some(wanted) = &request.destination else { return Ok(None) };
    let qemu = request.qemu.as_deref().unwrap_or(Path::new(locate::QEMU)).display().to_string();
    about_qemu(request, DestinationHost::survey(wanted, &qemu).await).map(Some)
}

/// What keeps guests from going there under KVM.
fn no_kvm_there(destination: &DestinationHost) -> Option<String> {
    destination.machine.no_kvm.as_ref().map(|reason| format!("on {}, {reason}", destination.address()))
}

impl Host {
    /// Looks for the image and QEMU and tries the accelerator, which may take some seconds.
    ///
    /// # Errors
    /// When one of them is missing or does not work; each says the way out.
    pub async fn prepare(request: &HostRequest) -> anyhow::Result<Self> {
        let image = given(image(request.image.as_deref()))?;
        let (kernel, initramfs) = given(files_of(&image))?;
        let qemu = about_qemu(request, locate::find(request.qemu.as_deref()))?;
        let version = about_qemu(request, locate::version(&qemu).await)?;
        let trial = Trial { qemu: qemu.clone(), kernel: kernel.clone(), initramfs: initramfs.clone() };
        let destination = destination(request).await?;
        let chosen = match destination.as_ref().and_then(no_kvm_there) {
            Some(reason) if request.wanted == Wanted::Kvm => return Err(VmError::NoKvm { reason }.into()),
            Some(reason) if request.wanted == Wanted::Auto => {
                Chosen { accelerator: Accelerator::Tcg, reason: Some(reason) }
            }
            _ => choose(request.wanted, &trial).await?,
        };
        let guest_kernel = guest_kernel(&image);
        Ok(Self { kernel, initramfs, qemu, destination, version, chosen, guest_kernel })
    }

    /// The processor as the kernel names it.
    pub fn cpu_model() -> String {
        cpu_model(&fs::read_to_string("/proc/cpuinfo").unwrap_or_default())
    }

    /// How the guest's CPUs are run.
    pub const fn accelerator(&self) -> Accelerator {
        self.chosen.accelerator
    }

    /// Why not KVM, where it was tried.
    pub fn accelerator_reason(&self) -> Option<&str> {
        self.chosen.reason.as_deref()
    }

    /// QEMU's version.
    pub const fn version(&self) -> &QemuVersion {
        &self.version
    }

    /// What `run.json` says about it.
    pub(super) fn provenance(
        &self,
        memory_bytes: u64,
        qemu_arguments: Vec<String>,
        notes: Vec<String>,
    ) -> Provenance {
        Provenance {
            qemu_version: self.version.text().to_owned(),
            accelerator: Some(self.chosen.accelerator),
            accelerator_reason: self.chosen.reason.clone(),
            guest_kernel: self.guest_kernel.clone(),
            guest_memory: ByteSize(memory_bytes).to_string(),
            qemu_arguments,
            other_machine: self.destination.as_ref().map(|there| Box::new(there.facts())),
            notes,
            ..this_machine()
        }
    }
}

/// What `run.json` says of the machine that the lab runs on.
pub(super) fn this_machine() -> Provenance {
    let uname = nix::sys::utsname::uname();
    let release = uname.map(|facts| facts.release().to_string_lossy().into_owned());
    Provenance {
        version: env!("CARGO_PKG_VERSION").into(),
        host_kernel: release.unwrap_or_default(),
        host_cpus: thread::available_parallelism().ok().and_then(|cpus| u32::try_from(cpus.get()).ok()),
        host_cpu_model: cpu_model(&fs::read_to_string("/proc/cpuinfo").unwrap_or_default()),
        ..Provenance::default()
    }
}

/// The processor as the kernel names it; empty where it does not.
fn cpu_model(cpuinfo: &str) -> String {
    let value = |line: &str| {
        line.split_once(':')
            .filter(|(key, _)| key.trim() == "model name")
            .map(|(_, value)| value.trim().to_owned())
    };
    cpuinfo.lines().find_map(value).unwrap_or_default()
}

/// The guest kernel's release as the image's account has it; else its file name.
fn guest_kernel(image: &Path) -> String {
    let account = read_text(&image.join(MANIFEST_FILE), LARGEST_MANIFEST_BYTES).unwrap_or_default();
    let account: serde_json::Value = serde_json::from_str(&account).unwrap_or_default();
    account.get("kernel_release").and_then(|release| release.as_str()).unwrap_or(KERNEL_FILE).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::wrong::WrongInput;

    #[test]
    fn the_processor_is_named_as_the_kernel_names_it() {
        assert_eq!(cpu_model("processor\t: 0\nmodel name\t: A Fine CPU @ 2 GHz\n"), "A Fine CPU @ 2 GHz");
        assert_eq!(cpu_model("processor: 0\n"), "");
    }

    fn refused(request: &HostRequest) -> anyhow::Error {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(Host::prepare(request)).unwrap_err()
    }

    #[test]
    fn what_was_named_and_is_not_there_is_the_users_to_mend_be_it_image_or_qemu() {
        let image = tempfile::tempdir().unwrap();
        let named = |qemu: &str| HostRequest {
            destination: None,
            image: Some(image.path().into()),
            qemu: Some(qemu.into()),
            wanted: Wanted::Tcg,
        };
        assert!(refused(&named("/nonexistent")).is::<WrongInput>(), "no image");
        for file in [KERNEL_FILE, INITRAMFS_FILE] {
            fs::write(image.path().join(file), "").unwrap();
        }
        for (qemu, said) in
            [("/nonexistent", "there is no program /nonexistent"), ("/bin/true", "is no QEMU that works")]
        {
            let error = refused(&named(qemu));
            assert!(error.is::<WrongInput>() && error.to_string().contains(said), "{error}");
        }
    }

    #[test]
    fn without_an_image_the_message_names_the_command_that_builds_one() {
        let empty = tempfile::tempdir().unwrap();
        let request = HostRequest {
            image: Some(empty.path().into()),
            qemu: None,
            wanted: Wanted::Tcg,
            destination: None,
        };
        let message = refused(&request).to_string();
        assert!(message.contains("vmlinuz") && message.contains("sully-lab image -o"), "{message}");
    }

    #[test]
    fn the_guest_kernel_is_named_by_the_images_own_account() {
        let image = tempfile::tempdir().unwrap();
        assert_eq!(guest_kernel(image.path()), "vmlinuz");
        fs::write(image.path().join(MANIFEST_FILE), r#"{"kernel_release":"6.1.0-cloud"}"#).unwrap();
        assert_eq!(guest_kernel(image.path()), "6.1.0-cloud");
    }
}
