//! Guest memory that survives a migration: the size some versions of QEMU must not be given.

use crate::{record::Accelerator, units::ByteSize};

/// Sizes that are a multiple of this take the faulty fast path.
const FAULTY_MULTIPLE_BYTES: u64 = 256 << 10;
/// What QEMU aligns guest memory to on a PC: the smallest step away from a faulty size.
const STEP_BYTES: u64 = 8 << 10;
/// The first version without the fault.
const MENDED: (u32, u32, u32) = (9, 0, 0);

/// Whether guests under `accelerator` of this version of QEMU can lose writes while they are migrated, as [`ram_for`] says.
pub fn loses_pages(accelerator: Accelerator, version: (u32, u32, u32)) -> bool {
    accelerator == Accelerator::Tcg && version < MENDED
}

/// The memory to give a guest that should have `wanted_bytes`, and a sentence where that is not the same.
///
/// QEMU before 9.0 loses writes of an emulated guest while it migrates: syncing the dirty bitmap of memory whose
/// size is a multiple of 256 KiB clears dirty bits without watching those pages again, so what is written next is
/// never sent. A size 8 KiB larger takes another, sound path. `workaround` switched off gives the size as wanted.
pub fn ram_for(
    accelerator: Accelerator,
    version: (u32, u32, u32),
    wanted_bytes: u64,
    workaround: bool,
) -> (u64, Option<String>) {
    let faulty = loses_pages(accelerator, version) && wanted_bytes.is_multiple_of(FAULTY_MULTIPLE_BYTES);
    if !faulty {
        return (wanted_bytes, None);
    }
    let (major, minor, micro) = version;
    let wanted = ByteSize(wanted_bytes);
    let fault =
        format!("QEMU {major}.{minor}.{micro} corrupts emulated guests of {wanted} while it migrates them");
    if !workaround {
        return (wanted_bytes, Some(format!("{fault}; the workaround is switched off")));
    }
    let given_bytes = wanted_bytes.saturating_add(STEP_BYTES);
    (given_bytes, Some(format!("{fault}: the guest got {} instead", ByteSize(given_bytes))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use Accelerator::{Kvm, Tcg};

    #[test]
    fn an_emulated_guest_of_an_old_qemu_gets_eight_kib_more() {
        let (bytes, note) = ram_for(Tcg, (7, 2, 22), 256 << 20, true);
        assert_eq!(bytes, 262_152 << 10);
        assert_eq!(
            note.unwrap(),
            "QEMU 7.2.22 corrupts emulated guests of 256M while it migrates them: the guest got 262152K instead"
        );
    }

    #[test]
    fn kvm_newer_versions_and_other_sizes_get_what_was_wanted() {
        for (accelerator, version, bytes) in [
            (Kvm, (7, 2, 22), 256 << 20),
            (Tcg, (9, 0, 0), 256 << 20),
            (Tcg, (10, 1, 0), 256 << 20),
            (Tcg, (7, 2, 22), 262_152 << 10),
        ] {
            assert_eq!(ram_for(accelerator, version, bytes, true), (bytes, None));
        }
    }

    #[test]
    fn switched_off_the_guest_gets_the_faulty_size_and_the_note_says_so() {
        let (bytes, note) = ram_for(Tcg, (8, 2, 0), 512 << 20, false);
        assert_eq!(bytes, 512 << 20);
        assert!(note.unwrap().contains("switched off"));
    }
}
