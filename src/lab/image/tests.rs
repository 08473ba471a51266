//! Tests of the whole builder on small made inputs: every way to give a kernel, and every way to go wrong.

use super::bzimage::tests::bzimage;
use super::elf_tests::{module, program};
use super::*;

const RELEASE: &str = "6.1.0-9";

/// A directory with a guest program, and the request that uses it.
struct Ground {
    root: tempfile::TempDir,
}

impl Ground {
    fn new() -> Self {
        let ground = Self { root: tempfile::tempdir().unwrap() };
        let mut guest = program(false);
        guest.extend(b"guest program 0.1.0 runs as init");
        ground.put("sully", &guest);
        ground.put("vmlinuz", &bzimage("6.1.0-9 (someone) #1"));
        ground
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn put(&self, name: &str, contents: &[u8]) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, contents).unwrap();
    }

    /// The modules of a kernel that has the ring built in.
    fn put_modules(&self, release: &str) {
        let directory = format!("lib/modules/{release}");
        self.put(&format!("{directory}/modules.builtin"), b"kernel/virtio_ring.ko\n");
        self.put(&format!("{directory}/kernel/virtio.ko"), &module("virtio", &[], release));
        let pci = module("virtio_pci", &["virtio_ring", "virtio"], release);
        self.put(&format!("{directory}/kernel/virtio-pci.ko"), &pci);
        self.put(
            &format!("{directory}/kernel/char/virtio_console.ko"),
            &module("virtio_console", &["virtio"], release),
        );
    }

    fn build(&self, kernel: &str, modules: Option<&str>) -> anyhow::Result<Built> {
        build(&Request {
            out: self.path("image"),
            guest: Some(self.path("sully")),
            kernel: Some(self.path(kernel)),
            modules: modules.map(|name| self.path(name)),
        })
    }

    fn error(&self, kernel: &str, modules: Option<&str>) -> String {
        format!("{:#}", self.build(kernel, modules).unwrap_err())
    }
}

#[test]
fn a_kernel_and_its_modules_become_an_image_with_its_account() {
    let ground = Ground::new();
    ground.put_modules(RELEASE);
    let built = ground.build("vmlinuz", Some("lib/modules")).unwrap();
    assert_eq!(built.modules, ["virtio", "virtio_pci", "virtio_console"]);
    assert_eq!(built.warnings, Vec::<String>::new());
    assert_eq!(std::fs::read(&built.kernel).unwrap(), bzimage("6.1.0-9 (someone) #1"));
    let initramfs = std::fs::read(&built.initramfs).unwrap();
    assert_eq!(initramfs.len() as u64, built.initramfs_bytes);
    let account = std::fs::read(ground.path("image/image.json")).unwrap();
    let manifest: Manifest = serde_json::from_slice(&account).unwrap();
    assert_eq!(manifest.kernel_release.as_deref(), Some(RELEASE));
    assert_eq!((manifest.guest_version.as_deref(), manifest.modules), (Some("0.1.0"), built.modules));
}

#[test]
fn clocks_of_the_hypervisor_come_with_a_kernel_that_has_them() {
    let ground = Ground::new();
    ground.put_modules(RELEASE);
    let clock = module("ptp_kvm", &[], RELEASE);
    ground.put(&format!("lib/modules/{RELEASE}/kernel/drivers/ptp/ptp_kvm.ko"), &clock);
    let built = ground.build("vmlinuz", Some("lib/modules")).unwrap();
    assert_eq!(built.modules, ["virtio", "virtio_pci", "virtio_console", "ptp_kvm"]);
}

#[test]
fn a_package_becomes_the_same_initramfs_as_its_tree() {
    let ground = Ground::new();
    ground.put_modules(RELEASE);
    let kernel = bzimage(RELEASE);
    ground.put("boot/vmlinuz-6.1.0-9", &kernel);
    let tree = ground.build("", None).unwrap();
    let from_tree = std::fs::read(&tree.initramfs).unwrap();
    let names =
        ["modules.builtin", "kernel/virtio.ko", "kernel/virtio-pci.ko", "kernel/char/virtio_console.ko"];
    let paths = names.map(|name| format!("lib/modules/{RELEASE}/{name}"));
    let contents = paths.clone().map(|path| std::fs::read(ground.path(&path)).unwrap());
    let mut files: Vec<(&str, &[u8])> =
        paths.iter().map(String::as_str).zip(contents.iter().map(Vec::as_slice)).collect();
    files.push(("./boot/vmlinuz-6.1.0-9", &kernel));
    package::tests::write(ground.root.path(), "linux.deb", &files);
    let packed = ground.build("linux.deb", None).unwrap();
    assert_eq!(std::fs::read(&packed.initramfs).unwrap(), from_tree);
}

#[test]
fn kernel_and_modules_may_come_from_two_packages() {
    let ground = Ground::new();
    let modules =
        WANTED.map(|name| (format!("lib/modules/{RELEASE}/kernel/{name}.ko"), module(name, &[], RELEASE)));
    let files: Vec<(&str, &[u8])> =
        modules.iter().map(|(path, contents)| (path.as_str(), contents.as_slice())).collect();
    package::tests::write(ground.root.path(), "linux-modules.deb", &files);
    package::tests::write(
        ground.root.path(),
        "linux-image.deb",
        &[("boot/vmlinuz-6.1.0-9", &bzimage(RELEASE))],
    );
    assert_eq!(ground.build("linux-image.deb", Some("linux-modules.deb")).unwrap().modules, WANTED);
    let text = ground.error("linux-image.deb", None);
    assert!(text.contains("virtio_pci") && text.contains("--modules DIR"), "{text}");
    let text = ground.error("linux-modules.deb", None);
    assert!(text.contains("holds no kernel"), "{text}");
    let text = ground.error("linux-image.deb", Some("linux-image.deb"));
    assert!(text.contains("holds no kernel modules"), "{text}");
}

#[test]
fn a_bare_kernel_builds_with_a_warning() {
    let ground = Ground::new();
    let built = ground.build("vmlinuz", None).unwrap();
    assert!(built.modules.is_empty());
    assert!(built.warnings[0].contains("virtio_console") && built.warnings[0].contains("--modules"));
}

#[test]
fn a_wanted_module_that_is_nowhere_is_named_with_the_place_and_the_way_out() {
    let ground = Ground::new();
    ground.put_modules(RELEASE);
    std::fs::remove_file(ground.path("lib/modules/6.1.0-9/kernel/char/virtio_console.ko")).unwrap();
    let text = ground.error("vmlinuz", Some("lib/modules"));
    assert!(text.contains("virtio_console is neither there nor built in"), "{text}");
    assert!(text.contains("lib/modules/6.1.0-9") && text.contains("--modules DIR"), "{text}");
}

#[test]
fn modules_of_another_kernel_are_refused() {
    let ground = Ground::new();
    ground.put_modules("6.12.0");
    let text = ground.error("vmlinuz", Some("lib/modules"));
    assert!(text.contains("6.12.0") && text.contains(RELEASE), "{text}");
}

#[test]
fn compressed_modules_are_unpacked_while_building() {
    let ground = Ground::new();
    for name in WANTED {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut packed, &module(name, &[], RELEASE)).unwrap();
        ground.put(&format!("flat/{name}.ko.gz"), &packed.finish().unwrap());
        ground.put(&format!("plain/{name}.ko"), &module(name, &[], RELEASE));
    }
    let initramfs =
        |modules| std::fs::read(ground.build("vmlinuz", Some(modules)).unwrap().initramfs).unwrap();
    assert_eq!(initramfs("flat"), initramfs("plain"));
}

#[test]
fn a_failed_build_leaves_the_old_image() {
    let ground = Ground::new();
    ground.build("vmlinuz", None).unwrap();
    let before = std::fs::read(ground.path("image/initramfs")).unwrap();
    ground.put("sully", &program(true));
    assert!(ground.error("vmlinuz", None).contains("dynamically linked"));
    assert_eq!(std::fs::read(ground.path("image/initramfs")).unwrap(), before);
    assert_eq!(std::fs::read_dir(ground.path("image")).unwrap().count(), 3);
}

#[test]
fn a_program_that_is_not_ours_draws_a_warning() {
    let ground = Ground::new();
    ground.put("sully", &program(false));
    let built = ground.build("vmlinuz", None).unwrap();
    assert!(built.warnings.iter().any(|warning| warning.contains("does not say")), "{:?}", built.warnings);
}
