//! A control group for one guest program or one of its threads: a CPU quota, a freezer, memory that can be reclaimed.

use nix::unistd::Pid;
use std::fs;
use std::path::{Path, PathBuf};

/// A group; gone when dropped, once nothing is in it.
pub struct Group {
    dir: PathBuf,
    /// Version 2 of the interface.
    second: bool,
}

impl Group {
    /// A new group with this controller (`cpu`, `freezer`, `memory`), called after `name`.
    ///
    /// # Errors
    /// Why that cannot be had here.
    pub fn create(controller: &str, name: &str) -> Result<Self, String> {
        let mounts = fs::read_to_string("/proc/self/mounts").map_err(|error| error.to_string())?;
        let found = mounts.lines().find_map(|line| {
            let mut words = line.split_ascii_whitespace().skip(1);
            let (point, kind, options) = (words.next()?, words.next()?, words.next()?);
            let first = kind == "cgroup" && options.split(',').any(|option| option == controller);
            let second = kind == "cgroup2"
                && fs::read_to_string(format!("{point}/cgroup.subtree_control"))
                    .is_ok_and(|on| on.split_ascii_whitespace().any(|one| one == controller));
            (first || second).then(|| (PathBuf::from(point), second))
        });
        let (mount, second) = found.ok_or(format!("no control groups have the {controller} controller"))?;
        let dir = mount.join(format!("sully-fidelity-{name}"));
        fs::create_dir(&dir).map_err(|error| format!("{}: {error}", dir.display()))?;
        Ok(Self { dir, second })
    }

    /// Lets all in it run `quota_us` of every `period_us`, together.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn limit_cpu(&self, quota_us: u64, period_us: u64) -> Result<(), String> {
        if self.second {
            self.write("cpu.max", &format!("{quota_us} {period_us}"))
        } else {
            self.write("cpu.cfs_period_us", &period_us.to_string())?;
            self.write("cpu.cfs_quota_us", &quota_us.to_string())
        }
    }

    /// Takes a whole process in.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn take(&self, process: Pid) -> Result<(), String> {
        self.write("cgroup.procs", &process.to_string())
    }

    /// Takes one thread in, which version 2 cannot.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn take_thread(&self, thread: u32) -> Result<(), String> {
        self.write("tasks", &thread.to_string())
    }

    /// Freezes all in it, or lets it go on.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn freeze(&self, frozen: bool) -> Result<(), String> {
        self.write("freezer.state", if frozen { "FROZEN" } else { "THAWED" })
    }

    /// Reclaims as much of its memory as there is to reclaim.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn reclaim(&self) -> Result<(), String> {
        // What could not be reclaimed is no error: something is always locked or in use.
        let _ = if self.second {
            self.write("memory.reclaim", "1G")
        } else {
            self.write("memory.force_empty", "0")
        };
        let name = if self.second { "memory.reclaim" } else { "memory.force_empty" };
        if self.dir.join(name).exists() { Ok(()) } else { Err(format!("there is no {name}")) }
    }

    /// Where it is.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    fn write(&self, name: &str, text: &str) -> Result<(), String> {
        fs::write(self.dir.join(name), text).map_err(|error| format!("{name}: {error}"))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Threads of its own go with the process; a directory that stays is empty.
        let _ = fs::remove_dir(&self.dir);
    }
}
