//! The main series of every VM for Prometheus, made anew each time they are asked for.

use super::desk::Desk;
use super::view::View;
use crate::lab::hostclock;
use crate::units::PAGE_BYTES;
use axum::{Router, extract::State, http::header::CONTENT_TYPE, response::IntoResponse, routing::get};
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};
use std::sync::{Arc, atomic::AtomicU64};
use tokio::net::TcpListener;

/// Whose figure it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct VmLabels {
    vm: String,
    socket: String,
    session: String,
    hostname: String,
}

/// Whose stalls, and of which class.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Stall {
    vm: String,
    socket: String,
    session: String,
    hostname: String,
    class: String,
}

type Figure = Gauge<f64, AtomicU64>;
type Total = Counter<f64, AtomicU64>;

/// What one series shows: its name, its help, and its figure where there is one.
type Row = (&'static str, &'static str, fn(&View) -> Option<f64>);

/// What may go up and down.
const GAUGES: [Row; 10] = [
    ("sully_connected", "1 while the VM's socket is connected", |view| {
        Some(f64::from(u8::from(view.connected)))
    }),
    ("sully_dirty_bytes_per_second", "bytes of pages the guest dirties, in its last interval", |view| {
        view.pages_per_s.map(|pages| pages as f64 * PAGE_BYTES as f64)
    }),
    ("sully_target_bytes_per_second", "bytes of pages the guest was asked to dirty", |view| {
        view.target_pages_per_s.map(|pages| pages as f64 * PAGE_BYTES as f64)
    }),
    (
        "sully_service_p99_seconds",
        "99 percent of the last interval's visits took at most this long, from their start to their end",
        |view| view.service_p99_ns.map(seconds),
    ),
    ("sully_throttle_ratio", "share of time the guest finds its vCPUs throttled", |view| {
        view.throttle_percent.map(|percent| percent / 100.0)
    }),
    (
        "sully_silence_seconds",
        "longest time between two heartbeats on one connection, as they arrived, beyond their period: whatever held them up",
        |view| view.silence_ns.map(seconds),
    ),
    (
        "sully_blackout_seconds",
        "time between the last heartbeat on one socket and the first on another, beyond their period; the longest of the \
         session's moves",
        |view| view.blackout_ns.map(seconds),
    ),
    (
        "sully_reconnect_seconds",
        "time from the last record on a connection that broke to the first on the next; the longest of the session",
        |view| view.reconnect_ns.map(seconds),
    ),
    ("sully_last_seen_seconds", "time since the VM's last record", |view| {
        view.seen_ns.map(|seen_ns| seconds(hostclock::mono_ns().saturating_sub(seen_ns)))
    }),
    ("sully_records_missing", "records of this session that have not come", |view| {
        view.session.map(|_| view.stream.holes as f64)
    }),
];

/// What only grows while a session lasts.
const TOTALS: [Row; 4] = [
    ("sully_corrupt_pages", "pages that did not hold what was last written there", |view| {
        view.losses.corrupt_pages().map(|pages| pages as f64)
    }),
    (
        "sully_records_given_up",
        "records the guest gave up for want of room, as its last record says",
        |view| view.losses.records_given_up().map(|records| records as f64),
    ),
    ("sully_records", "records that came of this session", |view| {
        view.session.map(|_| view.stream.records as f64)
    }),
    ("sully_lines_torn", "lines of this VM that were no record", |view| {
        view.session.map(|_| view.stream.torn as f64)
    }),
];

/// Serves `/metrics`, for ever.
pub async fn serve(listener: TcpListener, desk: Arc<Desk>) {
    let page = async |State(desk): State<Arc<Desk>>| {
        let text = exposition(&desk.views());
        ([(CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text).into_response()
    };
    let router = Router::new().route("/metrics", get(page)).with_state(desk);
    // It ends only when the collector does.
    let _ = axum::serve(listener, router).await;
}

fn exposition(views: &[View]) -> String {
    let mut registry = Registry::default();
    for (name, help, figure) in GAUGES {
        let family = Family::<VmLabels, Figure>::default();
        for (view, value) in views.iter().filter_map(|view| Some((view, figure(view)?))) {
            family.get_or_create(&vm(view)).set(value);
        }
        registry.register(name, help, family);
    }
    for (name, help, figure) in TOTALS {
        let family = Family::<VmLabels, Total>::default();
        for (view, value) in views.iter().filter_map(|view| Some((view, figure(view)?))) {
            family.get_or_create(&vm(view)).inc_by(value);
        }
        registry.register(name, help, family);
    }
    let stalls = Family::<Stall, Total>::default();
    for view in views {
        for (class, ms) in &view.stall_ms {
            let VmLabels { vm, socket, session, hostname } = vm(view);
            let stall = Stall { vm, socket, session, hostname, class: class.clone() };
            stalls.get_or_create(&stall).inc_by(ms / 1e3);
        }
    }
    let infos = Family::<Vec<(String, String)>, Figure>::default();
    for view in views.iter().filter(|view| !view.labels.is_empty()) {
        let own = [("vm", view.name_of_vm()), ("session", view.life.clone())];
        let own = own.map(|(key, value)| (key.to_owned(), value)).into_iter();
        let labels = view.labels.iter().map(|(key, value)| (format!("label_{key}"), value.clone()));
        infos.get_or_create(&own.chain(labels).collect()).set(1.0);
    }
    registry.register("sully_vm_info", "1 for each VM with labels, which it shows", infos);
    registry.register("sully_stall_seconds", "stalls of this session so far, by class", stalls);
    let mut text = String::new();
    // Writing into a string cannot fail.
    let _ = encode(&mut text, &registry);
    text
}

fn vm(view: &View) -> VmLabels {
    VmLabels {
        vm: view.name_of_vm(),
        socket: view.socket.clone(),
        session: view.life.clone(),
        hostname: view.hostname.clone(),
    }
}

fn seconds(ns: u64) -> f64 {
    ns as f64 / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Body, SweepEnd};

    #[test]
    fn a_figure_that_is_not_known_is_left_out_and_no_name_breaks_out_of_its_label() {
        let mut view = View::new("a.sock");
        view.hostname = "evil\"} 1\\".into();
        view.pages_per_s = Some(10);
        view.stall_ms.insert("unknown".into(), 2500.0);
        let text = exposition(&[view]);
        assert!(text.contains(r#"hostname="evil\"} 1\\"} 40960"#), "{text}");
        assert!(text.contains(r#"class="unknown"} 2.5"#), "{text}");
        for absent in [
            "throttle_ratio",
            "silence_seconds",
            "blackout_seconds",
            "reconnect_seconds",
            "vm_info",
            "corrupt_pages_total",
            "records_total",
            "records_given_up_total",
        ] {
            assert!(!text.contains(&format!("sully_{absent}{{")), "{absent}: {text}");
        }
    }

    #[test]
    fn a_vm_is_called_by_its_label_and_shows_all_of_them() {
        let mut view = View::new("tcp:192.0.2.7");
        view.life = "0000000000000001".into();
        view.reconnect_ns = Some(1_500_000_000);
        let text = exposition(&[view.clone()]);
        assert!(text.contains(r#"sully_connected{vm="tcp:192.0.2.7",socket="#), "{text}");
        view.labels =
            [("name", "web-1"), ("rack", "r2")].map(|(key, value)| (key.into(), value.into())).into();
        let text = exposition(&[view]);
        assert!(text.contains(r#"sully_reconnect_seconds{vm="web-1",socket="tcp:192.0.2.7","#), "{text}");
        assert!(text.contains(r#"label_name="web-1",label_rack="r2"} 1"#), "{text}");
    }

    #[test]
    fn what_only_grows_is_a_counter_and_zero_is_a_figure() {
        let mut view = View::new("a.sock");
        (view.session, view.life) = (Some(crate::record::SessionId(1)), "0000000000000001-2".into());
        view.losses.on(&Body::Sweep(SweepEnd { sweeps: 1, pages: 1, corrupt_pages: Some(0) }));
        view.silence_ns = Some(0);
        view.stall_ms.insert("unknown".into(), 2500.0);
        let text = exposition(&[view]);
        for family in ["corrupt_pages", "records", "lines_torn", "stall_seconds"] {
            assert!(text.contains(&format!("# TYPE sully_{family} counter")), "{family}: {text}");
            assert!(text.contains(&format!("sully_{family}_total{{")), "{family}: {text}");
        }
        assert!(text.contains(r#"session="0000000000000001-2",hostname=""} 0"#), "{text}");
        assert!(
            text.contains("sully_silence_seconds{") && text.contains("# TYPE sully_silence_seconds gauge"),
            "{text}"
        );
    }
}
