//! How much memory the cgroups of this process leave to it, version 1 and 2: ordinary memory, and huge pages.

use super::rows::value;
use std::{
    fs,
    path::{Path, PathBuf},
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

/// What is limited, and in which files of a cgroup.
struct Limited {
    controller: &'static str,
    /// The files that hold limits, in version 1 and in version 2.
    limits: [Vec<String>; 2],
    /// The files that hold the use.
    usages: [String; 2],
    /// The rows of `memory.stat` with what the kernel gives back first.
    caches: [&'static str; 2],
}

/// The bytes that can still be had within every memory cgroup above the process that `proc` (`/proc/self`)
/// describes; none where no cgroup limits it. Above `memory.high` the kernel lets nothing fail, but slows every page down
/// until something is swapped out or given back: nothing to be measured there.
pub(super) fn headroom_bytes(proc: &Path) -> Option<u64> {
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let memory = Limited {
        controller: "memory",
        limits: [names(&["memory.limit_in_bytes"]), names(&["memory.max", "memory.high"])],
        usages: ["memory.usage_in_bytes".into(), "memory.current".into()],
        caches: ["total_inactive_file ", "inactive_file "],
    };
    memory.headroom_bytes(proc)
}

/// The same for huge pages of a size that the kernel calls so (`2MB`, `1GB`).
pub(super) fn huge_headroom_bytes(proc: &Path, size: &str) -> Option<u64> {
    let name = |last: &str| format!("hugetlb.{size}.{last}");
    let huge = Limited {
        controller: "hugetlb",
        limits: [vec![name("limit_in_bytes")], vec![name("max")]],
        usages: [name("usage_in_bytes"), name("current")],
        // No cache takes huge pages.
        caches: ["none ", "none "],
    };
    huge.headroom_bytes(proc)
}

impl Limited {
    fn headroom_bytes(&self, proc: &Path) -> Option<u64> {
        let memberships = fs::read_to_string(proc.join("cgroup")).ok()?;
        let mounts = fs::read_to_string(proc.join("mountinfo")).ok()?;
        let limits = memberships.lines().filter_map(|line| {
            let (version, path) = membership(line, self.controller)?;
            self.chain_headroom_bytes(version, &mount_point(&mounts, version, self.controller)?, path)
        });
        limits.min()
    }

    /// The tightest of the cgroup at `path` and all those above it.
    fn chain_headroom_bytes(&self, version: Version, mount: &Path, path: &str) -> Option<u64> {
        let own = mount.join(path.trim_start_matches('/'));
        // In a container the path may be the host's, and the mount already the cgroup itself.
        let leaf = if own.is_dir() { own } else { mount.to_path_buf() };
        let chain = leaf.ancestors().take_while(|group| group.starts_with(mount));
        chain.filter_map(|group| self.group_headroom_bytes(version as usize, group)).min()
    }

    fn group_headroom_bytes(&self, version: usize, group: &Path) -> Option<u64> {
        let number = |name: &String| value::<u64>(group.join(name));
        // No limit reads `max` in version 2 and a number near 2^63 in version 1.
        let limit = self.limits[version].iter().filter_map(number).min()?;
        let stat = fs::read_to_string(group.join("memory.stat")).unwrap_or_default();
        let cache = stat
            .lines()
            .find_map(|line| line.strip_prefix(self.caches[version])?.trim().parse().ok())
            .unwrap_or(0);
        Some(limit.saturating_sub(number(&self.usages[version]).unwrap_or(0).saturating_sub(cache)))
    }
}

/// A line `id:controllers:path` of the unified hierarchy, or of the one that has the controller.
fn membership<'a>(line: &'a str, controller: &str) -> Option<(Version, &'a str)> {
    let mut fields = line.splitn(3, ':');
    let (id, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
    if id == "0" && controllers.is_empty() {
        return Some((Version::Two, path));
    }
    controllers.split(',').any(|name| name == controller).then_some((Version::One, path))
}

/// Where the hierarchy is mounted, from lines `.. root point options .. - type source options`.
fn mount_point(mounts: &str, version: Version, controller: &str) -> Option<PathBuf> {
    let line = mounts.lines().find(|line| {
        let Some((_, filesystem)) = line.split_once(" - ") else { return false };
        let mut words = filesystem.split_ascii_whitespace();
        let (kind, options) = (words.next(), words.nth(1).unwrap_or(""));
        match version {
            Version::One => kind == Some("cgroup") && options.split(',').any(|option| option == controller),
            Version::Two => kind == Some("cgroup2"),
        }
    });
    line?.split_ascii_whitespace().nth(4).map(PathBuf::from)
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
    fn memory_above_which_the_kernel_only_slows_down_is_not_to_be_had() {
        let tree = Tree::new("0::/job\n", "cgroup2 cgroup2 rw");
        tree.write("mount/job/memory.max", "max\n");
        tree.write("mount/job/memory.high", &format!("{}\n", 30 * MIB));
        tree.write("mount/job/memory.current", &format!("{}\n", 10 * MIB));
        assert_eq!(tree.headroom(), Some(20 * MIB));
    }

    #[test]
    fn huge_pages_have_limits_of_their_own_in_both_versions() {
        let tree = Tree::new("0::/job\n", "cgroup2 cgroup2 rw");
        tree.write("mount/job/hugetlb.2MB.max", &format!("{}\n", 8 * MIB));
        tree.write("mount/job/hugetlb.2MB.current", &format!("{}\n", 2 * MIB));
        assert_eq!(huge_headroom_bytes(tree.0.path(), "2MB"), Some(6 * MIB));
        assert_eq!((huge_headroom_bytes(tree.0.path(), "1GB"), tree.headroom()), (None, None));
        let tree = Tree::new("7:hugetlb:/job\n", "cgroup cgroup rw,hugetlb");
        tree.write("mount/job/hugetlb.2MB.limit_in_bytes", &format!("{}\n", 4 * MIB));
        tree.write("mount/job/hugetlb.2MB.usage_in_bytes", "0\n");
        assert_eq!(huge_headroom_bytes(tree.0.path(), "2MB"), Some(4 * MIB));
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
