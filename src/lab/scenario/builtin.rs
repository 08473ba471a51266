//! The scenarios that come with the program.

/// A scenario that comes with the program.
#[derive(Debug, Clone, Copy)]
pub struct Builtin {
    /// Its name.
    pub name: &'static str,
    /// Its text.
    pub toml: &'static str,
}

/// All of them, in the order they are listed.
pub const BUILTIN: [Builtin; 4] = [
    Builtin { name: "smoke/precopy", toml: include_str!("builtin/smoke/precopy.toml") },
    Builtin { name: "smoke/auto-converge", toml: include_str!("builtin/smoke/auto-converge.toml") },
    Builtin { name: "smoke/post-copy", toml: include_str!("builtin/smoke/post-copy.toml") },
    Builtin { name: "proof/lost-dirty-pages", toml: include_str!("builtin/proof/lost-dirty-pages.toml") },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::scenario::parse;

    #[test]
    fn every_built_in_scenario_is_sound_and_bears_its_name() {
        for builtin in BUILTIN {
            let scenario = parse(builtin.toml, builtin.name).unwrap();
            assert_eq!(scenario.name, builtin.name);
            assert!(!scenario.summary.is_empty(), "{} says what it is for", builtin.name);
        }
    }

    #[test]
    fn what_is_printed_of_a_built_in_scenario_loads_back() {
        for builtin in BUILTIN {
            let scenario = parse(builtin.toml, builtin.name).unwrap();
            assert_eq!(parse(&scenario.to_toml(), builtin.name).unwrap(), scenario);
        }
    }
}
