//! How much memory the cgroups of this process leave to it, version 1 and 2.

use std::{
    fs,
    path::{Path, PathBuf},
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

impl Version {
    /// The files that hold limit and use, and the row of `memory.stat` with what the kernel gives back first.
    fn names(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::One => ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file "),
            Self::Two => ("memory.max", "memory.current", "inactive_file "),
        }
    }
}

/// The bytes that can still be had within every memory cgroup above the process that `proc` (`/proc/self`)
/// describes; none where no cgroup limits it.
pub(super) fn headroom_bytes(proc: &Path) -> Option<u64> {
    let memberships = fs::read_to_string(proc.join("cgroup")).ok()?;
    let mounts = fs::read_to_string(proc.join("mountinfo")).ok()?;
    let limits = memberships.lines().filter_map(|line| {
        let (version, path) = membership(line)?;
        chain_headroom_bytes(version, &mount_point(&mounts, version)?, path)
    });
    limits.min()
}

/// A line `id:controllers:path` of the unified hierarchy, or of the one that has the memory controller.
fn membership(line: &str) -> Option<(Version, &str)> {
    let mut fields = line.splitn(3, ':');
    let (id, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
    if id == "0" && controllers.is_empty() {
        return Some((Version::Two, path));
    }
    let memory = controllers.split(',').any(|controller| controller == "memory");
    memory.then_some((Version::One, path))
}

/// Where the hierarchy is mounted, from lines `.. root point options .. - type source options`.
fn mount_point(mounts: &str, version: Version) -> Option<PathBuf> {
    let line = mounts.lines().find(|line| {
        let Some((_, filesystem)) = line.split_once(" - ") else { return false };
        let mut words = filesystem.split_ascii_whitespace();
        let (kind, options) = (words.next(), words.nth(1).unwrap_or(""));
        match version {
            Version::One => kind == Some("cgroup") && options.split(',').any(|option| option == "memory"),
            Version::Two => kind == Some("cgroup2"),
        }
    });
    line?.split_ascii_whitespace().nth(4).map(PathBuf::from)
}

/// The tightest of the cgroup at `path` and all those above it.
fn chain_headroom_bytes(version: Version, mount: &Path, path: &str) -> Option<u64> {
    let own = mount.join(path.trim_start_matches('/'));
    // In a container the path may be the host's, and the mount already the cgroup itself.
    let leaf = if own.is_dir() { own } else { mount.to_path_buf() };
    let chain = leaf.ancestors().take_while(|group| group.starts_with(mount));
    chain.filter_map(|group| group_headroom_bytes(version, group)).min()
}

fn group_headroom_bytes(version: Version, group: &Path) -> Option<u64> {
    let (limit, usage, reclaimable) = version.names();
    let number = |name: &str| fs::read_to_string(group.join(name)).ok()?.trim().parse::<u64>().ok();
    // No limit reads `max` in version 2 and a number near 2^63 in version 1.
    let limit = number(limit)?;
    let stat = fs::read_to_string(group.join("memory.stat")).unwrap_or_default();
    let cache =
        stat.lines().find_map(|line| line.strip_prefix(reclaimable)?.trim().parse().ok()).unwrap_or(0);
    Some(limit.saturating_sub(number(usage).unwrap_or(0).saturating_sub(cache)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    struct Tree(tempfile::TempDir);

    impl Tree {
        /// A made-up `/proc/self` whose memory cgroups are mounted below it.
        fn new(cgroup: &str, kind: &str) -> Self {
            let tree = Self(tempfile::tempdir().unwrap());
            let mount = tree.0.path().join("mount").display().to_string();
            tree.write("cgroup", cgroup);
            tree.write(
                "mountinfo",
                &format!("31 23 0:28 / /sys rw - sysfs sysfs rw\n32 31 0:29 / {mount} rw - {kind}\n"),
            );
            tree
        }

        fn write(&self, name: &str, text: &str) {
            let file = self.0.path().join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }

        fn headroom(&self) -> Option<u64> {
            headroom_bytes(self.0.path())
        }
    }

    #[test]
    fn the_tightest_group_of_the_chain_decides_and_cache_can_be_had() {
        let tree = Tree::new("0::/outer/inner\n", "cgroup2 cgroup2 rw");
        tree.write("mount/outer/memory.max", &format!("{}\n", 100 * MIB));
        tree.write("mount/outer/memory.current", &format!("{}\n", 70 * MIB));
        tree.write("mount/outer/memory.stat", &format!("anon 5\ninactive_file {}\n", 20 * MIB));
        tree.write("mount/outer/inner/memory.max", "max\n");
        assert_eq!(tree.headroom(), Some(50 * MIB));
    }

    #[test]
    fn version_1_is_found_by_its_memory_controller() {
        let tree = Tree::new("5:devices:/\n4:cpu,memory:/job\n", "cgroup cgroup rw,cpu,memory");
        tree.write("mount/job/memory.limit_in_bytes", &format!("{}\n", 64 * MIB));
        tree.write("mount/job/memory.usage_in_bytes", &format!("{}\n", 4 * MIB));
        assert_eq!(tree.headroom(), Some(60 * MIB));
    }

    #[test]
    fn a_container_that_sees_the_hosts_path_is_limited_by_its_mount() {
        let tree = Tree::new("0::/docker/4711\n", "cgroup2 cgroup2 rw");
        tree.write("mount/memory.max", &format!("{}\n", 10 * MIB));
        assert_eq!(tree.headroom(), Some(10 * MIB));
    }

    #[test]
    fn no_limit_and_no_cgroup_limit_nothing() {
        let tree = Tree::new("0::/\n", "cgroup2 cgroup2 rw");
        tree.write("mount/memory.current", "5\n");
        assert_eq!(tree.headroom(), None);
        assert_eq!(headroom_bytes(Path::new("/proc/there/is/no/such/file")), None);
    }
}
