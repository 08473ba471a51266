//! The options of one QEMU: everything both sides of a migration must have alike, said once.

use super::HostOptions;
use super::sockets::{port_socket, qmp_socket, side_name};
use crate::port::DEFAULT_PORT_NAME;
use crate::record::{Accelerator, Side};
use std::path::{Path, PathBuf};

/// The machine: of the two common ones the one that boots a small guest sooner.
const MACHINE: &str = "pc";
/// The kernel's own arguments. A panic reboots at once, which `-no-reboot` makes the end of QEMU; the timer check is
/// skipped because on a busy host an emulated timer fails it, and the guest would panic for no fault of its own.
const KERNEL_ARGUMENTS: &str = "console=ttyS0 quiet panic=-1 no_timer_check";

/// What the kernel of an emulated guest is told besides. QEMU gives all emulated CPUs one counter, but without the
/// invariant-TSC bit, and a kernel with two of them then takes the HPET for its clock: each reading of it leaves the guest,
/// takes the emulator's one lock, and holds up the other CPU. Seen: 60 gaps a second of 3 ms in an idle guest, 3 with this.
const EMULATED_KERNEL_ARGUMENTS: &str = "tsc=reliable";

/// One virtual machine as it is to be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VmConfig {
    /// The QEMU program.
    pub qemu: PathBuf,
    /// How the guest's CPUs are run.
    pub accelerator: Accelerator,
    /// Guest memory, given in whole KiB, rounded up. See [`ram_for`](super::ram_for).
    pub memory_bytes: u64,
    /// vCPUs.
    pub cpus: u32,
    /// The guest's kernel.
    pub kernel: PathBuf,
    /// Its initramfs, with sully as init.
    pub initramfs: PathBuf,
    /// The guest kernel's arguments besides those that every guest gets, such as `tsc=unstable`; empty for none.
    pub kernel_arguments: String,
    /// QEMU's arguments besides those of the lab, the same on both sides; empty for none.
    pub qemu_arguments: Vec<String>,
    /// sully's arguments: what follows `--` on the kernel command line, such as `run -m 64M`.
    pub guest_arguments: String,
    /// Which side of a migration this is.
    pub side: Side,
    /// Whether it waits for a migration instead of booting.
    pub incoming: bool,
    /// The sockets directory.
    pub sockets: PathBuf,
    /// The file the guest's serial console is written to.
    pub console_log: PathBuf,
    /// What the host gives it besides.
    pub host_options: HostOptions,
}

impl VmConfig {
    /// QEMU's arguments, without the program.
    pub fn arguments(&self) -> Vec<String> {
        let mut arguments = self.machine();
        arguments.extend(self.guest());
        arguments.extend(self.channels());
        arguments.extend(self.qemu_arguments.iter().cloned());
        if self.incoming {
            arguments.extend(["-incoming", "defer"].map(String::from));
        }
        arguments
    }

    fn machine(&self) -> Vec<String> {
        let (accelerator, cpu) = match self.accelerator {
            Accelerator::Kvm => ("kvm", "host"),
            // One thread for all vCPUs would make one vCPU's work the other's stall.
            Accelerator::Tcg => ("tcg,thread=multi", "max"),
        };
        let accelerator = self.host_options.accelerator(accelerator);
        let name = format!("sully-{}", side_name(self.side));
        let cpus = self.cpus.to_string();
        let memory = format!("{}K", self.memory_bytes.div_ceil(1024));
        [
            ["-name", &name],
            ["-machine", MACHINE],
            ["-accel", &accelerator],
            ["-cpu", cpu],
            ["-smp", &cpus],
            ["-m", &memory],
            ["-display", "none"],
            ["-rtc", "base=utc,clock=host"],
        ]
        .concat()
        .into_iter()
        .chain(["-nodefaults", "-no-user-config", "-no-reboot"])
        .map(String::from)
        .chain(self.host_options.memory(&memory))
        .collect()
    }

    fn guest(&self) -> [String; 6] {
        let mut append = KERNEL_ARGUMENTS.to_owned();
        if self.accelerator == Accelerator::Tcg {
            append.push(' ');
            append.push_str(EMULATED_KERNEL_ARGUMENTS);
        }
        for (before, arguments) in [(" ", &self.kernel_arguments), (" -- ", &self.guest_arguments)] {
            if !arguments.trim().is_empty() {
                append.push_str(before);
                append.push_str(arguments.trim());
            }
        }
        [
            "-kernel".to_owned(),
            self.kernel.display().to_string(),
            "-initrd".to_owned(),
            self.initramfs.display().to_string(),
            "-append".to_owned(),
            append,
        ]
    }

    /// The console, the control channel, and the port the guest reports through.
    fn channels(&self) -> Vec<String> {
        // A side whose QEMU is renewed has one console.
        let console = format!("file,id=console,append=on,path={}", option_value(&self.console_log));
        let qmp = listening("qmp", &qmp_socket(&self.sockets, self.side));
        let port = listening("sully0", &port_socket(&self.sockets, self.side));
        // Without an id the port's opening and closing would not be announced.
        let device = format!("virtserialport,chardev=sully0,name={DEFAULT_PORT_NAME},id=sully0");
        [
            ["-chardev", &console],
            ["-serial", "chardev:console"],
            ["-chardev", &qmp],
            ["-mon", "chardev=qmp,mode=control"],
            ["-device", "virtio-serial-pci"],
            ["-chardev", &port],
            ["-device", &device],
        ]
        .concat()
        .into_iter()
        .map(String::from)
        .collect()
    }
}

/// A socket QEMU listens on without waiting for anybody.
fn listening(id: &str, path: &Path) -> String {
    format!("socket,id={id},path={},server=on,wait=off", option_value(path))
}

/// A path inside a list of options, where a comma is written twice.
fn option_value(path: &Path) -> String {
    path.display().to_string().replace(',', ",,")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> VmConfig {
        VmConfig {
            qemu: "qemu-system-x86_64".into(),
            accelerator: Accelerator::Tcg,
            memory_bytes: 262_152 << 10,
            cpus: 2,
            kernel: "image/vmlinuz".into(),
            initramfs: "image/initramfs".into(),
            kernel_arguments: String::new(),
            qemu_arguments: Vec::new(),
            guest_arguments: "run -m 64M --report virtio".into(),
            side: Side::Source,
            incoming: false,
            sockets: "/tmp/s".into(),
            console_log: "runs/a,b/console-source.log".into(),
            host_options: HostOptions::default(),
        }
    }

    #[test]
    fn the_source_boots_the_image() {
        let expected = "-name sully-source -machine pc -accel tcg,thread=multi -cpu max -smp 2 -m 262152K \
            -display none -rtc base=utc,clock=host -nodefaults -no-user-config -no-reboot \
            -kernel image/vmlinuz -initrd image/initramfs \
            -append console=ttyS0 quiet panic=-1 no_timer_check tsc=reliable -- run -m 64M --report virtio \
            -chardev file,id=console,append=on,path=runs/a,,b/console-source.log -serial chardev:console \
            -chardev socket,id=qmp,path=/tmp/s/source.qmp,server=on,wait=off -mon chardev=qmp,mode=control \
            -device virtio-serial-pci \
            -chardev socket,id=sully0,path=/tmp/s/source.port,server=on,wait=off \
            -device virtserialport,chardev=sully0,name=org.sully.0,id=sully0";
        assert_eq!(config().arguments().join(" "), expected);
    }

    #[test]
    fn the_destination_differs_from_the_source_only_in_names_and_in_waiting() {
        let source = config().arguments();
        let destination = VmConfig { side: Side::Destination, incoming: true, ..config() }.arguments();
        let different: Vec<_> = destination.iter().filter(|argument| !source.contains(argument)).collect();
        let expected = [
            "sully-destination",
            "socket,id=qmp,path=/tmp/s/destination.qmp,server=on,wait=off",
            "socket,id=sully0,path=/tmp/s/destination.port,server=on,wait=off",
            "-incoming",
            "defer",
        ];
        assert_eq!(different, expected);
    }

    #[test]
    fn kvm_runs_on_the_hosts_own_cpu_model() {
        let arguments = VmConfig { accelerator: Accelerator::Kvm, ..config() }.arguments().join(" ");
        assert!(arguments.contains("-accel kvm -cpu host"), "{arguments}");
        assert!(!arguments.contains("tsc="), "{arguments}");
    }

    #[test]
    fn without_guest_arguments_nothing_is_passed_to_init() {
        let arguments = VmConfig { guest_arguments: " ".into(), ..config() }.arguments();
        assert!(arguments.contains(&format!("{KERNEL_ARGUMENTS} {EMULATED_KERNEL_ARGUMENTS}")));
    }

    #[test]
    fn the_kernels_own_arguments_come_before_those_of_init() {
        let arguments = VmConfig { kernel_arguments: "tsc=unstable".into(), ..config() }.arguments();
        let expected = format!(
            "{KERNEL_ARGUMENTS} {EMULATED_KERNEL_ARGUMENTS} tsc=unstable -- run -m 64M --report virtio"
        );
        assert!(arguments.contains(&expected), "{arguments:?}");
    }

    #[test]
    fn what_a_scenario_gives_qemu_comes_after_what_the_lab_does() {
        let given = ["-object", "memory-backend-ram,id=a,size=64M"].map(String::from);
        let config = VmConfig { qemu_arguments: given.to_vec(), ..config() };
        for side in [config.clone(), VmConfig { side: Side::Destination, ..config }] {
            assert!(side.arguments().ends_with(&given), "{:?}", side.arguments());
        }
    }

    #[test]
    fn memory_is_given_in_whole_kib() {
        let arguments = VmConfig { memory_bytes: 1025, ..config() }.arguments().join(" ");
        assert!(arguments.contains("-m 2K"), "{arguments}");
    }
}
