//! The flags of `sully run` that say what is asked, made from the table of parameters.
//!
//! To the parser they are one type: each type of its own would be up to 5 KB of the guest program.

use crate::plan::{Parameter, Plan, Scope, Setting};
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};

/// What was said by flags.
#[derive(Debug, Clone, Default)]
pub(super) struct PlanFlags {
    /// In the order of the table.
    pub(super) settings: Vec<Setting>,
}

impl Args for PlanFlags {
    fn augment_args(command: Command) -> Command {
        let usual = Plan::default();
        command.args(Parameter::all_in(Scope::Flag).map(|parameter| flag(parameter, &usual)))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for PlanFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let said = |parameter: &'static Parameter| match parameter.value {
            Some(_) => matches.get_one::<Setting>(parameter.name).cloned(),
            None if matches.get_flag(parameter.name) => Setting::new(parameter, "true").ok(),
            None => None,
        };
        Ok(Self { settings: Parameter::all_in(Scope::Flag).filter_map(said).collect() })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

fn flag(parameter: &'static Parameter, usual: &Plan) -> Arg {
    let arg = Arg::new(parameter.name).long(parameter.name).short(parameter.short);
    let Some(value) = parameter.value else {
        return arg.help(parameter.help).action(ArgAction::SetTrue);
    };
    let default = usual.text(parameter.name).unwrap_or_else(|| parameter.absent.to_owned());
    arg.help(format!("{} [default: {default}]", parameter.help))
        .value_name(value)
        .allow_hyphen_values(true)
        .value_parser(move |text: &str| Setting::new(parameter, text))
}
