//! How a guest program ended, for whoever waits for it.

use super::losses::GuestLosses;
use super::meant::is_named;
use super::view::View;
use crate::record::{Body, EndReason};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// How a guest program ended, and what it says it lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionEnd {
    /// Why.
    pub reason: EndReason,
    /// Pages that did not hold what was last written there; absent where pages carry no stamps.
    #[serde(default)]
    pub corrupt_pages: Option<u64>,
    /// Records that it gave up because the reader was slow.
    #[serde(default)]
    pub records_given_up: Option<u64>,
}

impl SessionEnd {
    /// Of a session that ended for this reason.
    pub fn new(reason: EndReason, losses: &GuestLosses) -> Self {
        let (corrupt_pages, records_given_up) = (losses.corrupt_pages(), losses.records_given_up());
        Self { reason, corrupt_pages, records_given_up }
    }

    /// What a session's last record says; none of any other.
    pub fn of(body: &Body) -> Option<Self> {
        let Body::End(end) = body else { return None };
        let mut losses = GuestLosses::default();
        losses.on(body);
        Some(Self::new(end.reason, &losses))
    }

    /// Whether it ran to its end, and nothing was lost.
    pub fn is_good(&self) -> bool {
        let lost = self.corrupt_pages.unwrap_or(0) > 0 || self.records_given_up.unwrap_or(0) > 0;
        !lost && !matches!(self.reason, EndReason::Failed | EndReason::ReportFailed)
    }
}

/// How the VM that `name` means ended, or without a name the only one that spoke; none while one goes on.
///
/// # Errors
/// No VM of that name has spoken, or without a name several have.
pub fn session_end(name: Option<&str>, views: &[View]) -> Result<Option<SessionEnd>, String> {
    let is_meant = |view: &&View| name.is_none_or(|name| is_named(name, Path::new(&view.socket), view));
    let spoke: Vec<&View> = views.iter().filter(|view| view.session.is_some()).filter(is_meant).collect();
    let Some(last) = spoke.iter().max_by_key(|view| view.seen_ns) else {
        return Err(match name {
            Some(name) => format!("no guest called '{name}' has spoken to this collector"),
            None => "no guest has spoken to this collector yet".into(),
        });
    };
    if spoke.iter().any(|view| view.life != last.life) && name.is_none() {
        return Err("which VM is meant? Several have spoken: give DIR/VM".into());
    }
    Ok(last.ended.map(|reason| SessionEnd::new(reason, &last.losses)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::SessionId;

    fn view(socket: &str, session: u64, seen_ns: u64, ended: Option<EndReason>) -> View {
        let mut view = View::new(socket);
        let session = SessionId(session);
        (view.session, view.life) = (Some(session), session.to_string());
        (view.seen_ns, view.ended) = (Some(seen_ns), ended);
        view
    }

    #[test]
    fn the_end_is_that_of_the_vm_that_is_meant_wherever_it_went() {
        let reason = |name: Option<&str>, views: &[View]| {
            session_end(name, views).map(|end| end.map(|end| end.reason))
        };
        let moved = [view("/a", 7, 10, None), view("/b", 7, 20, Some(EndReason::Duration))];
        assert_eq!(reason(None, &moved), Ok(Some(EndReason::Duration)));
        assert_eq!(reason(None, &moved[..1]), Ok(None), "it goes on");
        let two = [view("/a", 7, 10, Some(EndReason::Stop)), view("/b", 8, 20, None)];
        assert_eq!(reason(Some("0000000000000007"), &two), Ok(Some(EndReason::Stop)));
        assert_eq!(reason(Some("b"), &two), Ok(None));
        assert!(reason(None, &two).unwrap_err().contains("which VM"));
        assert!(reason(Some("c"), &two).unwrap_err().contains("'c'"));
        assert!(reason(None, &[View::new("/a")]).unwrap_err().contains("no guest has spoken"));
    }

    #[test]
    fn an_end_with_losses_is_no_good_one() {
        let end =
            |reason, corrupt_pages, records_given_up| SessionEnd { reason, corrupt_pages, records_given_up };
        assert!(
            end(EndReason::Duration, Some(0), Some(0)).is_good()
                && end(EndReason::Stop, None, None).is_good()
        );
        assert!(!end(EndReason::Duration, Some(1), Some(0)).is_good());
        assert!(!end(EndReason::Duration, None, Some(1)).is_good());
        assert!(!end(EndReason::ReportFailed, None, None).is_good());
    }
}
