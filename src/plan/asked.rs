//! What is asked of a run, whichever way it was said.

use super::table::{of_plan, parameters, read, written};
use super::{
    BacklogPolicy, CanaryPeriod, ClockChoice, ContentSpec, CpuList, Load, MemoryAmount, MemoryKind, PaceSpec,
    PatternSpec, PhaseAsked, RegionAsked, Setting,
};
use crate::units::{ByteSize, Nanos, Rate, Share, UnitError};

macro_rules! fields {
    (
        amount { $(
            #[doc = $size_doc:tt] $size:ident $size_name:tt: $size_type:ty = $size_usual:expr, $size_how:tt $size_where:tt $size_column:tt
        )* }
        kind $kind:tt
        $( $block:ident { $(
            #[doc = $doc:tt] $field:ident $name:tt: $type:ty = $usual:expr, $how:tt $where:tt $column:tt
        )* } )*
    ) => {
        /// What is asked: flags, a plan file, a scenario and a host command all make one of these.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct Plan {
            $( #[doc = $size_doc] pub $size: $size_type, )*
            /// What kind of memory.
            pub kind: MemoryKind,
            $( $( #[doc = $doc] pub $field: $type, )* )*
            /// What the load does after the baseline, one after the other; none is one phase that changes nothing.
            pub phases: Vec<PhaseAsked>,
            /// Regions of memory; none is one, of the memory and kind above.
            pub regions: Vec<RegionAsked>,
        }

        impl Default for Plan {
            fn default() -> Self {
                Self {
                    $( $size: $size_usual, )*
                    kind: MemoryKind::default(),
                    $( $( $field: $usual, )* )*
                    phases: Vec::new(),
                    regions: Vec::new(),
                }
            }
        }
    };
}
parameters!(fields);

macro_rules! load {
    (amount $amount:tt kind $kind:tt load { $(
        #[doc = $doc:tt] $field:ident $name:tt: $type:ty = $usual:expr, $how:tt $where:tt $column:tt
    )* } $($other:tt)*) => {
        impl Plan {
            /// The load that the run begins with, and that phases begin from.
            pub const fn load(&self) -> Load {
                Load { $( $field: self.$field, )* ramp: None }
            }
        }
    };
}
parameters!(load);

macro_rules! texts {
    ($( $block:ident { $(
        #[doc = $doc:tt] $field:ident $name:tt: $type:ty = $usual:expr, [$(by $read:expr,)? $(as $write:ident,)?]
        $where:tt $column:tt
    )* } )*) => {
        impl Plan {
            /// Gives the parameter called `name` the value that `text` stands for.
            ///
            /// # Errors
            /// When it does not take the text, or there is none.
            pub fn set(&mut self, name: &str, text: &str) -> Result<(), UnitError> {
                match name {
                    $( $( $name => of_plan!($block self $field) = read!(text $(, $read)?)?, )* )*
                    _ => return Err(UnitError::new(name, "a parameter", "the name of a flag", "rate")),
                }
                Ok(())
            }

            /// The value of the parameter called `name`, as a plan file may say it; none for what is said by leaving it out.
            pub fn text(&self, name: &str) -> Option<String> {
                match name {
                    $( $( $name => written!(of_plan!($block self $field) $(, $write)?), )* )*
                    _ => None,
                }
            }
        }
    };
}
parameters!(texts);

impl Plan {
    /// Gives it every value of `settings`. Their texts are known to be good.
    pub fn take<'a>(&mut self, settings: impl IntoIterator<Item = &'a Setting>) {
        for setting in settings {
            let taken = self.set(setting.name(), setting.text());
            debug_assert_eq!(taken, Ok(()), "a setting is made of a text that is taken");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{PARAMETERS, Parameter, Scope};
    use super::*;

    /// A text for each parameter that is not the usual one.
    fn unusual(parameter: &Parameter) -> &'static str {
        match parameter.name {
            "memory" => "40M",
            "pages" => "thp",
            "backing" => "shared",
            "numa" => "1",
            "rate" => "9M/s",
            "pattern" => "random",
            "pace" => "poisson",
            "backlog" => "shed",
            "catch-up" | "threads" | "cpus" | "seed" => "7",
            "reads" | "dedup" => "5%",
            "write" => "64",
            "content" => "zero",
            "verify" => "off",
            "clock" => "tsc",
            "canary" => "10ms",
            "dirty" => "20M",
            "duration" | "baseline" | "interval" => "3s",
            _ => "true",
        }
    }

    #[test]
    fn what_is_set_is_what_is_written_and_changes_nothing_else() {
        let usual = Plan::default();
        for parameter in PARAMETERS {
            let text = unusual(parameter);
            let mut plan = usual.clone();
            plan.take(&[Setting::new(parameter, text).unwrap()]);
            for other in PARAMETERS {
                let (was, is) = (usual.text(other.name), plan.text(other.name));
                assert_eq!(
                    was != is,
                    other.name == parameter.name,
                    "{parameter:?}, then {other:?} is {is:?}"
                );
            }
            assert_eq!(plan.text(parameter.name).as_deref(), Some(text));
        }
    }

    #[test]
    fn a_usual_value_is_one_that_can_be_given_and_where_there_is_none_it_is_said_what_is_done() {
        let usual = Plan::default();
        for parameter in PARAMETERS.iter().filter(|parameter| parameter.value.is_some()) {
            let text = usual.text(parameter.name);
            assert_eq!(text.is_none(), !parameter.absent.is_empty(), "{parameter:?}");
            let mut plan = usual.clone();
            if let Some(text) = text {
                plan.set(parameter.name, &text).unwrap();
            }
            assert_eq!(plan, usual);
        }
    }

    #[test]
    fn what_a_phase_may_have_is_a_part_of_a_load_and_reaches_it_as_it_reaches_a_plan() {
        for parameter in Parameter::all_in(Scope::Phase) {
            let (mut plan, mut load) = (Plan::default(), Plan::default().load());
            plan.set(parameter.name, unusual(parameter)).unwrap();
            load.set(parameter.name, unusual(parameter)).unwrap();
            assert_eq!(load, plan.load(), "{parameter:?}");
            assert_ne!(load, Plan::default().load(), "{parameter:?}");
        }
        assert!(Plan::default().load().set("seed", "7").unwrap_err().to_string().contains("'seed'"));
        assert!(Plan::default().set("sed", "7").unwrap_err().to_string().contains("'sed'"));
    }
}
