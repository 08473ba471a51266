//! The scenarios that come with the program.

mod guestperf;

use std::sync::LazyLock;

/// A scenario that comes with the program.
#[derive(Debug, Clone, Copy)]
pub struct Builtin {
    /// Its name.
    pub name: &'static str,
    /// Its text.
    pub toml: &'static str,
}

macro_rules! builtin {
    ($($name:literal)*) => {
        &[$( Builtin { name: $name, toml: include_str!(concat!("builtin/", $name, ".toml")) } ),*]
    };
}

/// Those that have a file of their own.
const WRITTEN: &[Builtin] = builtin! {
    "smoke/precopy" "smoke/auto-converge" "smoke/post-copy"
    "nova-2016/1" "nova-2016/2" "nova-2016/3" "nova-2016/4" "nova-2016/5" "nova-2016/6"
    "nova-2016/7" "nova-2016/8" "nova-2016/9" "nova-2016/10" "nova-2016/11" "nova-2016/12"
    "policy/nova" "policy/kubevirt" "policy/harvester"
    "qemu/xbzrle" "qemu/multifd" "qemu/multifd-zlib" "qemu/multifd-zstd" "qemu/preempt" "qemu/pause" "qemu/recover"
    "qemu/zero-page" "qemu/dirty-limit" "qemu/switchover" "qemu/postcopy-latency" "qemu/postcopy-latency-preempt"
    "cycle/plain" "cycle/mapped-ram" "cycle/fork"
    "bystander/auto-converge" "bystander/post-copy"
    "proof/lost-dirty-pages"
};

/// All of them, in the order they are listed.
pub static BUILTIN: LazyLock<Vec<Builtin>> = LazyLock::new(|| {
    let guestperf = guestperf::GUESTPERF.iter().map(|(name, toml)| Builtin { name, toml });
    WRITTEN.iter().copied().chain(guestperf).collect()
});

/// The names that `wanted` stands for: itself, or with a `*` every built-in name that begins and ends as it does.
pub fn expand(wanted: &str) -> Vec<&str> {
    let Some((head, tail)) = wanted.split_once('*') else { return vec![wanted] };
    let fits =
        |name: &&str| name.len() >= head.len() + tail.len() && name.starts_with(head) && name.ends_with(tail);
    let found: Vec<&str> = BUILTIN.iter().map(|builtin| builtin.name).filter(fits).collect();
    if found.is_empty() { vec![wanted] } else { found }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::scenario::{find_scaled, parse};

    #[test]
    fn every_built_in_scenario_is_sound_and_bears_its_name() {
        for builtin in BUILTIN.iter() {
            let scenario = parse(builtin.toml, builtin.name).unwrap();
            assert_eq!(scenario.name, builtin.name);
            assert!(!scenario.summary.is_empty(), "{} says what it is for", builtin.name);
        }
    }

    #[test]
    fn a_star_stands_for_every_name_that_fits() {
        assert_eq!(expand("smoke/*"), ["smoke/precopy", "smoke/auto-converge", "smoke/post-copy"]);
        assert_eq!(expand("*copy"), ["smoke/precopy", "smoke/post-copy", "bystander/post-copy"]);
        assert_eq!((expand("nova-2016/*").len(), expand("*").len()), (12, BUILTIN.len()));
        assert_eq!((expand("smoke/precopy"), expand("nosuch/*")), (vec!["smoke/precopy"], vec!["nosuch/*"]));
    }

    #[test]
    fn guestperf_is_there_whole_and_its_post_copy_keeps_to_the_link() {
        let found = |name: &str| find_scaled(name, None, &[]).unwrap().scenario;
        assert_eq!(expand("guestperf/*").len(), 38);
        let post_copy = found("guestperf/post-copy-bandwidth/300mbs");
        assert!(post_copy.migration.may_postcopy());
        assert_eq!(post_copy.migration.bandwidth.to_string(), "37M/s");
        assert_eq!(found("guestperf/auto-converge-iters/20").migration.throttle_increment, 20);
        let cache = &found("guestperf/compr-xbzrle/50").migration.parameters["xbzrle-cache-size"];
        assert_eq!(cache, &serde_json::json!(512 << 20));
        for name in expand("guestperf/*") {
            let scenario = found(name);
            let last = scenario.migration.when.last().unwrap();
            assert_eq!(
                (last.pass, scenario.migration.timeout.to_string().as_str()),
                (Some(31), "5m"),
                "{name}"
            );
        }
    }

    #[test]
    fn every_scenario_of_2016_fits_a_small_machine_at_an_eighth() {
        for name in expand("nova-2016/*") {
            let scenario = find_scaled(name, "1/8".parse().ok(), &[]).unwrap().scenario;
            assert!(scenario.vm.memory <= "288M".parse().unwrap() && scenario.vm.cpus == 1, "{name}");
        }
    }

    #[test]
    fn what_is_printed_of_a_built_in_scenario_loads_back() {
        for builtin in BUILTIN.iter() {
            let scenario = parse(builtin.toml, builtin.name).unwrap();
            assert_eq!(parse(&scenario.to_toml(), builtin.name).unwrap(), scenario);
        }
    }
}
