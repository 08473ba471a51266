//! What the image is built from: kernel packages and modules.

use super::{is_fit_to_print, steers_nothing};
use sully::lab::image::{survey_module, survey_package};

/// What an archive may unpack to here, in bytes: a bomb costs no more than this.
const UNPACKED_BYTES: u64 = 1 << 20;
/// A kernel package.
pub fn archives(bytes: &[u8]) {
    match survey_package(bytes, UNPACKED_BYTES) {
        Ok(survey) => {
            survey.kernel_release.iter().chain(&survey.modules_release).for_each(|text| steers_nothing(text));
        }
        Err(error) => is_fit_to_print(&format!("{error:#}")),
    }
}

/// A kernel module, compressed or not.
pub fn modinfo(bytes: &[u8]) {
    if let Ok(survey) = survey_module(bytes, UNPACKED_BYTES) {
        assert!(survey.depends.iter().all(|name| !name.is_empty() && !name.contains('-')));
        survey.depends.iter().chain(&survey.modules_release).for_each(|text| steers_nothing(text));
    }
}
