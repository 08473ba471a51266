//! A CPU quota on one process, by cgroup version 1 or 2.

use nix::unistd::Pid;
use std::fs;
use std::path::PathBuf;

/// A group with a quota; gone when dropped, once its process has ended.
pub struct Quota(PathBuf);

impl Quota {
    /// Lets `pid` run `quota_us` of every `period_us`, all its threads together.
    ///
    /// # Errors
    /// Why that cannot be had here.
    pub fn limit(pid: Pid, quota_us: u64, period_us: u64) -> Result<Self, String> {
        let mounts = fs::read_to_string("/proc/self/mounts").map_err(|error| error.to_string())?;
        let found = mounts.lines().find_map(|line| {
            let mut words = line.split_ascii_whitespace().skip(1);
            let (point, kind, options) = (words.next()?, words.next()?, words.next()?);
            let first = kind == "cgroup" && options.split(',').any(|option| option == "cpu");
            let second = kind == "cgroup2"
                && fs::read_to_string(format!("{point}/cgroup.subtree_control"))
                    .is_ok_and(|on| on.split_ascii_whitespace().any(|controller| controller == "cpu"));
            (first || second).then(|| (PathBuf::from(point), second))
        });
        let (mount, is_second) = found.ok_or("no cgroup hierarchy has the cpu controller")?;
        let group = Self(mount.join(format!("sully-fidelity-{pid}")));
        fs::create_dir(&group.0).map_err(|error| format!("{}: {error}", group.0.display()))?;
        let write = |name: &str, text: String| {
            fs::write(group.0.join(name), text).map_err(|error| format!("{name}: {error}"))
        };
        if is_second {
            write("cpu.max", format!("{quota_us} {period_us}"))?;
        } else {
            write("cpu.cfs_period_us", period_us.to_string())?;
            write("cpu.cfs_quota_us", quota_us.to_string())?;
        }
        write("cgroup.procs", pid.to_string())?;
        Ok(group)
    }
}

impl Drop for Quota {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}
