//! Tests of the whole builder on small made inputs: every way to give a kernel, and every way to go wrong.

use super::bzimage::tests::bzimage;
use super::choose::WANTED;
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
            kernel: kernel.split(' ').map(|name| self.path(name)).collect(),
            modules: modules.into_iter().map(|name| self.path(name)).collect(),
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
    assert_eq!(ground.build("linux-image.deb linux-modules.deb", None).unwrap().modules, WANTED);
    let built = ground.build("linux-image.deb", None).unwrap();
    assert!(built.warnings[0].contains("cannot tell whether 'linux-image.deb' has virtio_pci"), "{built:?}");
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
    assert!(
        text.contains("no port for its records")
            && text.contains("lib/modules/6.1.0-9")
            && text.contains("--modules DIR"),
        "{text}"
    );
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

#[test]
fn the_packages_of_debian_14_make_an_image_together_and_alone_say_what_is_missing() {
    let ground = Ground::new();
    let root = ground.root.path();
    let control = |name: &str, depends: &str| {
        format!("Package: linux-{name}-{RELEASE}\nArchitecture: amd64\nDepends: {depends}\n")
    };
    let place = |name: &str| format!("./usr/lib/modules/{RELEASE}/{name}");
    let depends = format!(
        "dracut | x, linux-base-{RELEASE} (= 1), linux-binary-{RELEASE} (= 1), linux-modules-{RELEASE}"
    );
    package::tests::write_with(root, "image.deb", &control("image", &depends), &[("./usr/share/doc/x", b"")]);
    let kernel = drivers::tests::kernel(RELEASE, &["virtio-pci", "virtio_console"]);
    let base = control("binary", &format!("linux-base-{RELEASE}"));
    package::tests::write_with(root, "binary.deb", &base, &[(&place("vmlinuz"), &kernel)]);
    let modules = [("kernel/ptp_kvm.ko", module("ptp_kvm", &[], RELEASE))];
    let files = modules.each_ref().map(|(name, bytes)| (place(name), bytes.as_slice()));
    let files: Vec<(&str, &[u8])> = files.iter().map(|(path, bytes)| (path.as_str(), *bytes)).collect();
    package::tests::write_with(root, "modules.deb", &control("modules", "kmod"), &files);
    let list: &[u8] = b"kernel/virtio_pci.ko\nkernel/virtio_console.ko\n";
    package::tests::write_with(root, "base.deb", &control("base", ""), &[(&place("modules.builtin"), list)]);

    let text = ground.error("image.deb", None);
    assert!(
        text.contains("holds no kernel") && text.contains(&format!("linux-binary-{RELEASE} linux-mod")),
        "{text}"
    );
    let text = ground.error("modules.deb base.deb", None);
    assert!(text.contains(&format!("from Debian 14 on in linux-binary-{RELEASE}")), "{text}");
    // With the list, and without it: the kernel itself says what it has built in.
    for packages in ["image.deb binary.deb modules.deb base.deb", "binary.deb modules.deb"] {
        let built = ground.build(packages, None).unwrap();
        assert_eq!((built.modules.as_slice(), built.warnings.len()), (["ptp_kvm".to_owned()].as_slice(), 0));
    }
    assert_eq!(ground.build("binary.deb", None).unwrap().warnings, Vec::<String>::new());
    let directory = ground.path("debs");
    std::fs::create_dir(&directory).unwrap();
    for name in ["image.deb", "binary.deb", "modules.deb", "base.deb"] {
        std::fs::rename(ground.path(name), directory.join(name)).unwrap();
    }
    assert_eq!(ground.build("debs", None).unwrap().modules, ["ptp_kvm"]);
    let text = ground.error("debs vmlinuz", None);
    assert!(text.contains("each is a package"), "{text}");
}

#[test]
fn a_kernel_that_has_no_port_built_in_makes_no_image() {
    let ground = Ground::new();
    ground.put("bare", &drivers::tests::kernel(RELEASE, &["virtio-pci"]));
    let text = ground.error("bare", None);
    assert!(
        text.contains("virtio_console is neither there nor built in") && text.contains("no modules"),
        "{text}"
    );
    assert!(!ground.path("image").exists());
    ground.put("bare", &drivers::tests::kernel(RELEASE, &["virtio-pci", "virtio_console"]));
    assert_eq!(ground.build("bare", None).unwrap().warnings, Vec::<String>::new());
}

#[test]
fn the_kernel_of_fedora_arch_and_suse_brings_the_modules_beside_it() {
    let ground = Ground::new();
    std::fs::remove_file(ground.path("vmlinuz")).unwrap();
    let place = format!("usr/lib/modules/{RELEASE}");
    ground.put(&format!("{place}/vmlinuz"), &bzimage(RELEASE));
    ground.put(&format!("{place}/modules.order"), b"");
    for name in WANTED {
        ground.put(&format!("{place}/kernel/drivers/{name}.ko"), &module(name, &[], RELEASE));
    }
    let mmio = module("virtio_mmio", &[], RELEASE);
    ground.put(&format!("{place}/kernel/drivers/virtio_mmio.ko"), &mmio);
    // The kernel itself, the directory of its release, and the tree without a `boot`.
    for kernel in [format!("{place}/vmlinuz"), place, String::new()] {
        let built = ground.build(&kernel, None).unwrap();
        assert_eq!(built.modules, ["virtio_pci", "virtio_console", "virtio_mmio"], "{kernel}");
        assert_eq!(built.warnings, Vec::<String>::new(), "{kernel}");
    }
}

#[test]
fn a_kernel_for_machines_without_pci_is_taken_with_a_warning() {
    let ground = Ground::new();
    ground.put("bare", &drivers::tests::kernel(RELEASE, &["virtio-mmio", "virtio_console"]));
    let built = ground.build("bare", None).unwrap();
    assert!(built.warnings[0].contains("virtio_mmio") && built.warnings.len() == 1, "{built:?}");
}
