//! Guests that report over networks, and the collector that hears them: the real programs, over loopback.
#![cfg(feature = "host")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod network;

use network::{
    Collector, Guest, Place, TOKEN_LINE, free_port, kept, pause, peak_kib, proxy, session, token_file,
    wait_until,
};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Duration;
use sully::lab::hostclock;

#[test]
fn a_guest_reports_over_tcp_of_either_kind_and_its_label_names_it() {
    for host in ["127.0.0.1", "[::1]"] {
        let place = Place::new();
        let (address, token) = (format!("tcp:{host}:{}", free_port()), token_file(&place, TOKEN_LINE));
        let collector = Collector::start(&place, &["--listen", &address, "--token-file", &token]);
        let guest = Guest::start(
            "-d 2s",
            &["--report", &address, "--token-file", &token, "--label", "name=web-1", "--label", "rack=r2"],
        );
        guest.ends_well();
        let (code, said) = collector.end();
        assert_eq!(code, Some(0), "{host}: {said}");
        let about = session(&place);
        assert_eq!(about["labels"]["name"], "web-1");
        assert_eq!((&about["stream"]["holes"], &about["reconnects"]), (&0.into(), &0.into()), "{about}");
        assert!(about["reconnect_ms"].is_null() && about["reconnect_reason"].is_string(), "{about}");
        kept(&place).assert_whole();
    }
}

#[test]
fn who_does_not_say_the_token_gets_nothing_and_brings_nothing() {
    let place = Place::new();
    let address = format!("tcp:127.0.0.1:{}", free_port());
    let (right, wrong) = (token_file(&place, TOKEN_LINE), token_file(&place, "fedcba9876543210"));
    let collector = Collector::start(&place, &["--listen", &address, "--token-file", &right]);
    let absent = Guest::start("-d 1s", &["--report", &address]);
    let wrong = Guest::start("-d 1s", &["--report", &address, "--token-file", &wrong]);
    for guest in [absent, wrong] {
        let (code, said) = guest.end();
        assert_eq!(code, Some(1), "nobody took its records: {said}");
    }
    let mut silent = TcpStream::connect(&address["tcp:".len()..]).unwrap();
    silent.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let began_ns = hostclock::mono_ns();
    assert_eq!(silent.read(&mut [0; 64]).unwrap_or(0), 0, "not a byte");
    assert!(hostclock::mono_ns() - began_ns < 15_000_000_000, "and it is let go");
    let (code, said) = collector.end();
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("no record was collected"), "{said}");
}

#[test]
fn a_guest_that_listens_serves_one_host_and_tells_the_others() {
    let place = Place::new();
    let port = free_port();
    let (address, token) = (format!("tcp:127.0.0.1:{port}"), token_file(&place, TOKEN_LINE));
    let guest = Guest::start("-d 8s", &["--report", &format!("listen:{address}"), "--token-file", &token]);
    let dial = || {
        (0..200).find_map(|_| {
            pause(Duration::from_millis(50));
            TcpStream::connect(("127.0.0.1", port)).ok()
        })
    };
    let mut stranger = dial().unwrap();
    stranger.write_all(b"{\"type\":\"attach\"}\n").unwrap();
    let collector = Collector::start(&place, &[&address, "--token-file", &token]);
    wait_until("the collector has records", || place.bytes() > 0);
    let mut second = dial().unwrap();
    writeln!(second, "{{\"type\":\"token\",\"token\":\"{TOKEN_LINE}\"}}").unwrap();
    let mut told = String::new();
    second.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    second.read_to_string(&mut told).unwrap();
    assert!(told.contains(r#""type":"refused""#) && told.contains("one at a time"), "{told}");
    stranger.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    assert_eq!(stranger.read(&mut [0; 64]).unwrap_or(0), 0, "who does not say the token gets nothing");
    guest.ends_well();
    let (code, said) = collector.end();
    assert_eq!(code, Some(0), "{said}");
    kept(&place).assert_whole();
}

#[test]
fn what_strangers_can_reach_is_refused_without_a_token_or_plain_words() {
    let place = Place::new();
    let report = format!("listen:tcp:0.0.0.0:{}", free_port());
    let (code, said) = Guest::start("-d 100ms", &["--report", &report]).end();
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("--token-file") && said.contains("--open-to-anyone"), "{said}");
    let (code, said) = Guest::start("-d 100ms", &["--report", &report, "--open-to-anyone"]).end();
    assert!(code == Some(1) && said.contains("nobody reads there"), "{code:?} {said}");
    let collector = Collector::start(&place, &["--listen", &format!("tcp:0.0.0.0:{}", free_port())]);
    let (code, said) = collector.end_by_itself();
    assert!(code == Some(2) && said.contains("--open-to-anyone"), "{code:?} {said}");
}

#[test]
fn a_connection_that_is_cut_again_and_again_loses_no_record_and_tells_how_long_it_was_away() {
    let place = Place::new();
    let (own, port) = (free_port(), free_port());
    let proxy = proxy(own, port);
    let collector = Collector::start(&place, &["--listen", &format!("tcp:127.0.0.1:{port}")]);
    let guest = Guest::start("-d 6s", &["--report", &format!("tcp:127.0.0.1:{own}")]);
    for _ in 0..3 {
        pause(Duration::from_millis(1300));
        proxy.cut();
    }
    guest.ends_well();
    let (code, said) = collector.end();
    assert_eq!(code, Some(0), "{said}");
    kept(&place).assert_whole();
    let about = session(&place);
    let away_ms = about["reconnect_ms"].as_u64().unwrap();
    assert!(about["reconnects"].as_u64().unwrap() >= 2 && away_ms < 3000, "{about}");
}

#[test]
fn a_collector_that_is_killed_and_started_again_has_every_record_once() {
    let place = Place::new();
    let address = format!("tcp:127.0.0.1:{}", free_port());
    let mut collector = Collector::start(&place, &["--listen", &address]);
    let guest = Guest::start("-d 6s", &["--report", &address]);
    for _ in 0..3 {
        pause(Duration::from_millis(1300));
        collector.kill();
        collector = Collector::start(&place, &["--listen", &address]);
    }
    guest.ends_well();
    let (code, said) = collector.end();
    assert_eq!(code, Some(0), "{said}");
    kept(&place).assert_whole();
}

#[test]
fn a_guest_whose_run_is_over_waits_for_a_host_that_lacks_records() {
    let place = Place::new();
    let address = format!("tcp:127.0.0.1:{}", free_port());
    let collector = Collector::start(&place, &["--listen", &address]);
    let guest = Guest::start("-d 3s", &["--report", &address]);
    wait_until("the collector has records", || place.bytes() > 0);
    pause(Duration::from_secs(1));
    collector.kill();
    pause(Duration::from_secs(5));
    let collector = Collector::start(&place, &["--listen", &address]);
    guest.ends_well();
    let (code, said) = collector.end();
    kept(&place).assert_whole();
    assert_eq!(code, Some(0), "{said}");
}

/// A VMM's vsock socket by a script: that of Cloud Hypervisor and Firecracker themselves was not run here.
#[test]
fn a_guest_behind_a_hybrid_vsock_socket_is_reached_either_way() {
    let place = Place::new();
    let port = free_port();
    let vmm = UnixListener::bind(place.path("v.sock")).unwrap();
    std::thread::spawn(move || {
        for host in vmm.incoming() {
            let mut host = host.unwrap();
            let mut asked = [0; "CONNECT 7007\n".len()];
            host.read_exact(&mut asked).unwrap();
            assert_eq!(&asked, b"CONNECT 7007\n");
            if let Ok(guest) = TcpStream::connect(("127.0.0.1", port)) {
                host.write_all(b"OK 1073741824\n").unwrap();
                network::join(host, guest);
            }
        }
    });
    let source = format!("vsock-unix:{}:7007", place.path("v.sock").display());
    let own = format!("unix:{}", place.path("v.sock_7008").display());
    let collector = Collector::start(&place, &[&source, "--listen", &own]);
    wait_until("the collector listens", || place.path("v.sock_7008").exists());
    let listening = Guest::start("-d 2s", &["--report", &format!("listen:tcp:127.0.0.1:{port}")]);
    let dialling = Guest::start("-d 2s", &["--report", &own]);
    for guest in [listening, dialling] {
        guest.ends_well();
    }
    let (code, said) = collector.end();
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(kept(&place).assert_whole(), 2);
}

#[test]
fn a_guest_reports_over_vsock() {
    let place = Place::new();
    let port = free_port();
    let collector = Collector::start(&place, &["--listen", &format!("vsock:{port}")]);
    let (code, said) = Guest::start("-d 2s", &["--report", &format!("vsock:1:{port}")]).end();
    let (_, told) = collector.end();
    if told.contains("cannot be used") || said.contains("took 0 of") {
        return println!("SKIPPED: vsock: this kernel has no vsock loopback (vsock_loopback): {told}{said}");
    }
    assert_eq!(code, Some(0), "{said}{told}");
    kept(&place).assert_whole();
}

#[test]
fn hostile_peers_of_every_listener_cost_little_and_hold_up_nobody() {
    let place = Place::new();
    let (port, token) = (free_port(), token_file(&place, TOKEN_LINE));
    let (address, path) = (format!("tcp:127.0.0.1:{port}"), place.path("vsock_7007"));
    let unix = format!("unix:{}", path.display());
    let guarded = Collector::start(&place, &["--listen", &address, "--token-file", &token]);
    let other = Place::new();
    let open = Collector::start(&other, &["--listen", &unix]);
    wait_until("both listen", || path.exists() && TcpStream::connect(("127.0.0.1", port)).is_ok());
    let mut silent: Vec<TcpStream> =
        (0..600).map(|_| TcpStream::connect(("127.0.0.1", port)).unwrap()).collect();
    for stream in silent.iter_mut().step_by(2) {
        let _ = stream.write_all(&[b'x'; 70]);
    }
    let muted: Vec<UnixStream> = (0..300).map(|_| UnixStream::connect(&path).unwrap()).collect();
    let flooding = path.clone();
    let flood = std::thread::spawn(move || {
        for number in 0..40u32 {
            let Ok(mut stream) = UnixStream::connect(&flooding) else { break };
            let _ = stream.set_write_timeout(Some(Duration::from_secs(2)));
            let _ = stream.write_all(&vec![b'{'; 1 << 20]);
            let mark = format!(
                "\n{{\"type\":\"mark\",\"session\":\"{number:016x}\",\"seq\":0,\"mono_ns\":1,\"text\":\"x\"}}\n"
            );
            let _ = stream.write_all(mark.as_bytes());
        }
    });
    let guests = [
        Guest::start("-d 3s", &["--report", &address, "--token-file", &token]),
        Guest::start("-d 3s", &["--report", &unix]),
    ];
    for guest in guests {
        guest.ends_well();
    }
    flood.join().unwrap();
    for collector in [&guarded, &open] {
        let peak = peak_kib(collector.id());
        assert!(peak < 100 << 10, "{peak} KiB");
    }
    drop((silent, muted));
    let (code, said) = guarded.end();
    assert_eq!(code, Some(0), "strangers are nobody's loss: {said}");
    kept(&place).assert_whole();
    open.end();
}

/// 200 guests, the collector killed and started again: about 20 s; five minutes and ten times with SULLY_TEST_LONG=1.
#[test]
fn two_hundred_guests_lose_nothing_to_a_collector_that_is_killed_again_and_again() {
    let is_long = std::env::var("SULLY_TEST_LONG").is_ok_and(|value| value == "1");
    let (seconds, kills) = if is_long { (300, 10) } else { (14, 3) };
    let place = Place::new();
    let address = format!("tcp:127.0.0.1:{}", free_port());
    let mut collector = Collector::start(&place, &["--listen", &address]);
    let plan = format!("-m 1M -r 20p/s --canary off --verify off -i 500ms -d {seconds}s");
    let guests: Vec<Guest> = (0..200)
        .map(|number| Guest::start(&plan, &["--report", &address, "--label", &format!("name=g{number}")]))
        .collect();
    for _ in 0..kills {
        pause(Duration::from_secs(seconds) / (kills + 1));
        collector.kill();
        collector = Collector::start(&place, &["--listen", &address]);
    }
    for guest in guests {
        guest.ends_well();
    }
    let (code, said) = collector.end();
    assert_eq!(kept(&place).assert_whole(), 200, "{said}");
    assert_eq!(code, Some(0), "{said}");
}

#[test]
fn a_reader_that_is_no_collector_hears_a_guest_over_tcp() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("tcp:{}", listener.local_addr().unwrap());
    let guest = Guest::start("-d 500ms", &["--report", &address]);
    let (mut stream, _) = listener.accept().unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    drop(stream);
    guest.ends_well();
    let ends = [text.lines().next().unwrap(), text.lines().last().unwrap()];
    assert!(ends[0].contains(r#""type":"hello""#) && ends[1].contains(r#""type":"end""#), "{ends:?}");
}
