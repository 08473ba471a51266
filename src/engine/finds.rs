//! What writers found as records. Of a corrupt page, what a stamp should have said and what it said, in words.

use crate::{
    content::Stamp,
    record::{Corruption, CorruptionKind, Stall},
    tally::{Find, LongWait},
};

/// The record of a corrupt page.
pub(super) fn corruption(find: &Find) -> Corruption {
    let Find { page, kind, generation, found } = find;
    let stamp = Stamp::of(found);
    // Of the fill, and of what a note tells, nobody knows the time.
    let at = if stamp.visited_ns == 0 { String::new() } else { format!(", at {} ns", stamp.visited_ns) };
    let said = format!("page {}, visit {}{at}", stamp.page, stamp.generation);
    let found = match kind {
        CorruptionKind::Zeroed => "zeros".into(),
        CorruptionKind::Torn => format!("{said}, with a wrong checksum"),
        CorruptionKind::Foreign => format!("{said}, of session tag {:016x}", stamp.tag),
        CorruptionKind::Stale | CorruptionKind::Unknown => said,
    };
    Corruption { page: *page, kind: *kind, expected: format!("page {page}, visit {generation}"), found }
}

/// The record of a visit that waited too long for its page, of a writer on this CPU.
pub(super) fn stall(cpu: u32, wait: &LongWait) -> Stall {
    let LongWait { page, earlier, start_ns, len_ns } = *wait;
    Stall { cpu, start_ns, len_ns, page, earlier }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_expected_and_what_was_found_is_said_in_words() {
        let found = Stamp { page: 7, generation: 3, epoch: 1, tag: 0xabc, visited_ns: 55 }.words();
        let said = |kind| corruption(&Find { page: 8, kind, generation: 4, found });
        let stale = said(CorruptionKind::Stale);
        assert_eq!((stale.page, stale.expected.as_str()), (8, "page 8, visit 4"));
        assert_eq!(stale.found, "page 7, visit 3, at 55 ns");
        assert!(said(CorruptionKind::Foreign).found.ends_with("tag 0000000000000abc"));
        assert!(said(CorruptionKind::Torn).found.contains("wrong checksum"));
        assert_eq!(said(CorruptionKind::Zeroed).found, "zeros");
    }
}
