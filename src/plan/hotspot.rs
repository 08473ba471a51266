//! A hot set: few pages that get most of the visits, and may wander.

use super::Fault;
use crate::units::{Rate, Share};
use std::{fmt, str::FromStr};

/// The hot set of a pattern. Text: `10%/90%`, or `10%/90%/100p/s` when it drifts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Hotspot {
    /// The share of the pages that is hot; at least one page of every slice is.
    pub pages: Share,
    /// The share of the visits that falls on hot pages; the rest falls on the others.
    pub writes: Share,
    /// How many pages become hot (and as many cold) each second, all writers together; 0 for a set that stays.
    pub drift_pages_per_s: u64,
}

/// Not a hot set; [`super::PatternSpec`] says what one looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoHotspot;

impl FromStr for Hotspot {
    type Err = NoHotspot;

    fn from_str(text: &str) -> Result<Self, NoHotspot> {
        let mut parts = text.splitn(3, '/');
        let mut share = || parts.next()?.parse::<Share>().ok();
        let (pages, writes) = share().zip(share()).ok_or(NoHotspot)?;
        let drift_pages_per_s = parts.next().map_or(Some(0), drift).ok_or(NoHotspot)?;
        if pages == Share::default() {
            return Err(NoHotspot);
        }
        Ok(Self { pages, writes, drift_pages_per_s })
    }
}

impl Hotspot {
    /// What is senseless about it: a hot set that is all there is, or that nobody visits.
    pub(super) fn fault(self) -> Option<Fault> {
        let what = if self.pages == Share::from_millionths(Share::WHOLE) {
            "leaves no page that is not hot"
        } else if self.writes == Share::default() {
            "has hot pages that are never visited"
        } else {
            return None;
        };
        let remedy = "give the hot pages less than 100% of the pages and more than 0% of the visits, such as hotspot:10%/90%";
        Some(Fault { what: format!("--pattern hotspot:{self} {what}"), remedy: remedy.into() })
    }
}

fn drift(text: &str) -> Option<u64> {
    let digits = text.strip_suffix("p/s")?;
    let pages = digits.bytes().all(|digit| digit.is_ascii_digit()).then(|| digits.parse().ok())??;
    (pages <= Rate::LIMIT_PAGES_PER_S).then_some(pages)
}

impl fmt::Display for Hotspot {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}", self.pages, self.writes)?;
        match self.drift_pages_per_s {
            0 => Ok(()),
            pages => write!(out, "/{pages}p/s"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_and_drift_are_read() {
        let hotspot: Hotspot = "12.5%/90%/100p/s".parse().unwrap();
        assert_eq!((hotspot.pages.of(1000), hotspot.writes.of(1000)), (125, 900));
        assert_eq!(hotspot.drift_pages_per_s, 100);
        assert_eq!("10%/90%/0p/s".parse::<Hotspot>().unwrap().to_string(), "10%/90%");
    }

    #[test]
    fn what_is_no_hot_set_is_refused() {
        for text in ["", "10%", "10%/", "10/90", "0%/90%", "10%/101%", "10%/90%/", "10%/90%/5", "10%/90%/p/s"]
        {
            assert_eq!(text.parse::<Hotspot>(), Err(NoHotspot), "{text}");
        }
        for text in
            ["10%/90%/-1p/s", "10%/90%/+1p/s", "10%/90%/9999999999p/s", "10%/90%/5p/s/x", "10%/90%/1M/s"]
        {
            assert_eq!(text.parse::<Hotspot>(), Err(NoHotspot), "{text}");
        }
    }
}
