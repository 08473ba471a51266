//! The client against a QEMU made of a script.

use super::*;
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    net::UnixListener,
};

const GREETING: &str = r#"{"QMP": {"version": {"qemu": {"micro": 0, "minor": 1, "major": 10}, "package": ""}, "capabilities": []}}"#;

/// The other end of the connection.
struct Script {
    commands: Lines<BufReader<OwnedReadHalf>>,
    output: OwnedWriteHalf,
}

impl Script {
    /// Accepts one client, greets it and lets it negotiate.
    async fn accept(listener: &UnixListener) -> Self {
        Self::accept_as(listener, true).await
    }

    /// The same as a QEMU that has commands out of band, or has none.
    async fn accept_as(listener: &UnixListener, out_of_band: bool) -> Self {
        let (stream, _) = listener.accept().await.unwrap();
        let (input, output) = stream.into_split();
        let mut script = Self { commands: BufReader::new(input).lines(), output };
        script.say(GREETING).await;
        let negotiation = script.next().await;
        assert_eq!(negotiation["execute"], "qmp_capabilities");
        assert_eq!(negotiation["arguments"], json!({"enable": ["oob"]}));
        let mut negotiation = negotiation;
        if !out_of_band {
            let refusal =
                json!({"class": "GenericError", "desc": "This monitor does not support Out-Of-Band (OOB)"});
            script.say(&json!({"error": refusal, "id": negotiation["id"]}).to_string()).await;
            negotiation = script.next().await;
            assert!(negotiation["execute"] == "qmp_capabilities" && negotiation.get("arguments").is_none());
        }
        script.say(&json!({"return": {}, "id": negotiation["id"]}).to_string()).await;
        script
    }

    async fn next(&mut self) -> Value {
        serde_json::from_str(&self.commands.next_line().await.unwrap().unwrap()).unwrap()
    }

    async fn say(&mut self, line: &str) {
        self.output.write_all(format!("{line}\r\n").as_bytes()).await.unwrap();
    }
}

async fn pair() -> (Qmp, mpsc::UnboundedReceiver<QmpEvent>, Script) {
    pair_as(true).await
}

async fn pair_as(out_of_band: bool) -> (Qmp, mpsc::UnboundedReceiver<QmpEvent>, Script) {
    let directory = tempfile::tempdir_in("/tmp").unwrap();
    let path = directory.path().join("qmp");
    let listener = UnixListener::bind(&path).unwrap();
    let (connected, script) =
        tokio::join!(Qmp::connect(&path, Duration::from_mins(1)), Script::accept_as(&listener, out_of_band));
    let (qmp, events) = connected.unwrap();
    (qmp, events, script)
}

#[tokio::test]
async fn answers_out_of_order_reach_their_callers() {
    let (qmp, _events, mut script) = pair().await;
    assert_eq!((qmp.version(), qmp.version_triple()), ("10.1.0", (10, 1, 0)));
    let answering = async {
        let (first, second) = (script.next().await, script.next().await);
        assert_eq!(first["arguments"], json!({"uri": "unix:/s"}));
        script.say(&json!({"return": "second", "id": second["id"]}).to_string()).await;
        script.say(&json!({"return": "first", "id": first["id"]}).to_string()).await;
    };
    let (first, second, ()) = tokio::join!(
        qmp.execute("migrate", json!({"uri": "unix:/s"})),
        qmp.execute("query-migrate", Value::Null),
        answering
    );
    assert_eq!((first.unwrap(), second.unwrap()), (json!("first"), json!("second")));
}

#[tokio::test]
async fn events_between_answers_are_stamped_and_nobody_need_want_them() {
    let (qmp, mut events, mut script) = pair().await;
    let before = hostclock::mono_ns();
    let stop = r#"{"timestamp": {"seconds": 2, "microseconds": 1}, "event": "STOP"}"#;
    script.say(stop).await;
    let event = events.recv().await.unwrap();
    assert_eq!((event.name.as_str(), event.qemu_real_us), ("STOP", Some(2_000_001)));
    assert!((before..=hostclock::mono_ns()).contains(&event.host_ns));

    drop(events);
    let answering = async {
        let command = script.next().await;
        script.say(stop).await;
        script.say(&json!({"return": 1, "id": command["id"]}).to_string()).await;
    };
    let (answer, ()) = tokio::join!(qmp.execute("cont", Value::Null), answering);
    assert_eq!(answer, Ok(json!(1)));
}

#[tokio::test]
async fn an_answer_that_does_not_come_is_not_waited_for_and_a_late_one_is_dropped() {
    let (qmp, _events, mut script) = pair().await;
    let limit = Duration::from_millis(20);
    let error = qmp.execute_within("query-status", Value::Null, limit).await.unwrap_err();
    assert_eq!(error, QmpError::TimedOut { command: "query-status".into(), limit });
    let answering = async {
        let (late, command) = (script.next().await, script.next().await);
        script.say(&json!({"return": "late", "id": late["id"]}).to_string()).await;
        script.say(&json!({"return": "in time", "id": command["id"]}).to_string()).await;
    };
    let (answer, ()) = tokio::join!(qmp.execute("query-status", Value::Null), answering);
    assert_eq!(answer, Ok(json!("in time")));
}

#[tokio::test]
async fn a_closed_connection_is_told_to_all_who_wait_and_all_who_come() {
    let (qmp, mut events, mut script) = pair().await;
    let closing = async {
        script.next().await;
        script.next().await;
        drop(script);
    };
    let clone = qmp.clone();
    let (one, other, ()) =
        tokio::join!(qmp.execute("stop", Value::Null), clone.execute("cont", Value::Null), closing);
    assert_eq!((one, other), (Err(QmpError::Closed), Err(QmpError::Closed)));
    assert_eq!(qmp.execute("quit", Value::Null).await, Err(QmpError::Closed));
    assert_eq!(events.recv().await, None);
}

#[tokio::test]
async fn nonsense_ends_the_connection_and_is_shown() {
    let (qmp, _events, mut script) = pair().await;
    let answering = async {
        script.next().await;
        script.say("(qemu) ").await;
    };
    let (answer, ()) = tokio::join!(qmp.execute("stop", Value::Null), answering);
    let error = answer.unwrap_err().to_string();
    assert!(error.contains("(qemu)"), "{error}");
}

#[tokio::test]
async fn the_last_client_dropped_closes_the_connection() {
    let (qmp, _events, mut script) = pair().await;
    let clone = qmp.clone();
    drop(qmp);
    let answering = async {
        let command = script.next().await;
        script.say(&json!({"return": 1, "id": command["id"]}).to_string()).await;
    };
    let (answer, ()) = tokio::join!(clone.execute("cont", Value::Null), answering);
    assert_eq!(answer, Ok(json!(1)));
    drop(clone);
    assert_eq!(script.commands.next_line().await.unwrap(), None);
}

#[tokio::test]
async fn a_socket_that_comes_late_is_waited_for() {
    let directory = tempfile::tempdir_in("/tmp").unwrap();
    let path = directory.path().join("qmp");
    let late = async {
        time::sleep(Duration::from_millis(50)).await;
        let listener = UnixListener::bind(&path).unwrap();
        Script::accept(&listener).await
    };
    let (connected, _script) = tokio::join!(Qmp::connect(&path, Duration::from_mins(1)), late);
    assert!(connected.is_ok(), "{:?}", connected.err());
}

#[tokio::test]
async fn who_never_comes_and_who_never_greets_are_told_apart() {
    let directory = tempfile::tempdir_in("/tmp").unwrap();
    let path = directory.path().join("qmp");
    let limit = Duration::from_millis(50);
    let absent = Qmp::connect(&path, limit).await.unwrap_err().to_string();
    assert!(absent.contains("No such file") && absent.contains("within 0.05 s"), "{absent}");
    let _listener = UnixListener::bind(&path).unwrap();
    let mute = Qmp::connect(&path, limit).await.unwrap_err().to_string();
    assert!(mute.contains("no greeting came"), "{mute}");
}

#[tokio::test]
async fn what_must_not_wait_for_a_hanging_guest_goes_out_of_band_where_qemu_can() {
    for (out_of_band, how) in [(true, "exec-oob"), (false, "execute")] {
        let (qmp, _events, mut script) = pair_as(out_of_band).await;
        let answering = async {
            for how in [how, "execute"] {
                let command = script.next().await;
                assert!(command.get(how).is_some(), "{command}");
                script.say(&json!({"return": {}, "id": command["id"]}).to_string()).await;
            }
        };
        let asking = async {
            qmp.execute("migrate-recover", json!({"uri": "unix:/s"})).await.unwrap();
            qmp.execute("query-migrate", Value::Null).await.unwrap();
        };
        tokio::join!(asking, answering);
    }
}
