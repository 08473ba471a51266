//! Runs that are to show a fault of QEMU's: whether this QEMU has it, and whether a run showed it.

use super::Host;
use crate::lab::scenario::Scenario;
use crate::lab::vm::loses_pages;
use crate::record::{Accelerator, Outcome, Verdict};

/// Why there is nothing for `scenario` to prove on `host`, in a sentence; none for one that may be run.
///
/// A scenario that expects corrupt pages, and whose guest is given memory without the workaround, is about the pages that QEMU
/// before 9.0 loses of emulated guests.
pub fn inapplicable(scenario: &Scenario, host: &Host) -> Option<String> {
    unprovable(scenario, host.accelerator(), (host.version().text(), host.version().triple()))
}

fn unprovable(
    scenario: &Scenario,
    accelerator: Accelerator,
    (version, triple): (&str, (u32, u32, u32)),
) -> Option<String> {
    let is_about_it = scenario.expect.corruption == Some(true) && !scenario.vm.ram_workaround;
    if !is_about_it || loses_pages(accelerator, triple) {
        return None;
    }
    let why = match accelerator {
        Accelerator::Kvm => "the guest runs under KVM".to_owned(),
        Accelerator::Tcg => format!("this is QEMU {version}"),
    };
    Some(format!(
        "{} does not apply here: only QEMU before 9.0 loses pages, and only of emulated guests; {why} \
         (--qemu PATH and --accel tcg name another)",
        scenario.name
    ))
}

/// Whether a run that was to name corrupt pages named none.
pub fn proved_nothing(scenario: &Scenario, verdict: &Verdict) -> bool {
    scenario.expect.corruption == Some(true) && verdict.outcome == Outcome::Judged
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::scenario::find;

    #[test]
    fn a_proof_is_for_a_qemu_that_has_the_fault_and_others_are_told_so() {
        let proof = find("proof/lost-dirty-pages", &[]).unwrap().scenario;
        let said = |version: (u32, u32, u32), accelerator| {
            unprovable(&proof, accelerator, ("10.0.13 (Debian)", version)).unwrap_or_default()
        };
        assert_eq!(said((8, 2, 9), Accelerator::Tcg), "");
        assert!(said((10, 0, 13), Accelerator::Tcg).contains("does not apply here"));
        assert!(said((10, 0, 13), Accelerator::Tcg).contains("this is QEMU 10.0.13 (Debian)"));
        assert!(said((7, 2, 22), Accelerator::Kvm).contains("runs under KVM"));
        let mut other = proof.clone();
        other.vm.ram_workaround = true;
        assert_eq!(unprovable(&other, Accelerator::Tcg, ("10", (10, 0, 0))), None, "another fault is sought");
    }

    #[test]
    fn only_a_run_that_was_to_name_pages_and_named_none_is_made_again() {
        let proof = find("proof/lost-dirty-pages", &[]).unwrap().scenario;
        let verdict = |outcome| Verdict { outcome, reasons: vec!["why".into()] };
        assert!(proof.expect.tries > 1 && proved_nothing(&proof, &verdict(Outcome::Judged)));
        assert!(!proved_nothing(&proof, &verdict(Outcome::Passed)), "it named some");
        assert!(!proved_nothing(&proof, &verdict(Outcome::Interrupted)));
        assert!(!proved_nothing(&Scenario::default(), &verdict(Outcome::Judged)));
    }
}
