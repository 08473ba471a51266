//! What a test of fidelity has to say: rows of the table and cells of the matrix, which `make fidelity` gathers.

/// What was injected, and what is demanded of the guest's word about it.
pub struct Row<'a> {
    pub test: &'a str,
    pub injection: String,
    pub demand: &'a str,
}

impl Row<'_> {
    /// What came of it: a figure in `unit`, and the rest in words.
    pub fn got(&self, figure: f64, unit: &str, note: &str, holds: bool) {
        let verdict = if holds { "holds" } else { "falls short" };
        println!(
            "\nFIDELITY\t{}\t{}\t{}\t{figure:.3}\t{unit}\t{note}\t{verdict}",
            self.test, self.injection, self.demand
        );
    }

    /// There is no figure.
    pub fn none(&self, why: &str) {
        println!("\nFIDELITY\t{}\t{}\t{}\t\t\t{why}\tfalls short", self.test, self.injection, self.demand);
    }

    /// It could not be tried here.
    pub fn skipped(&self, reason: &str) {
        println!("\nFIDELITY\t{}\t{}\t{}\t\t\t\tskipped: {reason}", self.test, self.injection, self.demand);
        println!("SKIPPED: {} {}: {reason}", self.test, self.injection);
    }
}

/// So many ms of `injected`, sum over canaries, were told as `told`. `form` is `quiet` or `loaded`.
pub fn cell(form: &str, injected: &str, told: &str, ms: u64) {
    println!("\nMATRIX\t{form}\t{injected}\t{told}\t{ms}");
}

/// The middle one.
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied()
}
