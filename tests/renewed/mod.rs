//! Files of docs that are made from the code: held against it, or renewed with SULLY_RENEW=1.

use std::path::Path;

/// Holds the file `name` of docs against what is `made` for it, or writes it where that is asked for; `renew` is the command.
pub fn is_current(name: &str, made: &str, renew: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(name);
    if std::env::var_os("SULLY_RENEW").is_some() {
        std::fs::write(&path, made).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    let differs = made.lines().zip(kept.lines()).position(|(made, kept)| made != kept);
    assert!(
        made == kept,
        "docs/{name} is not what the code makes of it any more (first at line {}); if the change is meant, renew it: {renew}",
        differs.unwrap_or_else(|| made.lines().count().min(kept.lines().count())) + 1
    );
}
