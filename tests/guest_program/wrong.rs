//! Wrong values of every flag and every key of a plan file: each answer repeats the input and shows the form it takes.

use super::failure;

/// Every flag that takes a value, a wrong one, what repeats it and what shows the form.
const FLAGS: [(&str, &str, &str, &str); 48] = [
    ("--memory", "lots", "'lots'", "<number>[K|M|G|T]"),
    ("--memory", "256", "--memory 256", "a number without a unit is bytes"),
    ("--memory", "99999999999T", "'99999999999T'", "less than 2^64 bytes"),
    ("--memory", "18446744073709551616", "'18446744073709551616'", "less than 2^64 bytes"),
    ("--pages", "huge", "'huge'", "4k, thp, 2M or 1G"),
    ("--backing", "disk", "'disk'", "anon, shared or file:PATH"),
    ("--backing", "file:/tmp", "file:/tmp", "name a file"),
    ("--numa", "left", "'left'", "a node's number or interleave"),
    ("--rate", "100", "'100'", "<number>p/s"),
    ("--rate", "99999999999G/s", "'99999999999G/s'", "at most 1000000000"),
    ("--pattern", "zigzag", "'zigzag'", "sequential, shuffle"),
    ("--pattern", "hotspot:100%/0%", "hotspot:100%/0%", "hotspot:10%/90%"),
    ("--pattern", "hotspot:10%/0%", "hotspot:10%/0%", "hotspot:10%/90%"),
    ("--pace", "brisk", "'brisk'", "burst:ON/OFF"),
    ("--backlog", "drop", "'drop'", "repay or shed"),
    ("--catch-up", "-1", "'-1'", "a whole number from 1 to 100"),
    ("--catch-up", "fast", "'fast'", "a whole number from 1 to 100"),
    ("--reads", "0.5", "'0.5'", "<number>%"),
    ("--write", "7", "'7'", "a multiple of 8"),
    ("--write", "8K", "'8K'", "a multiple of 8"),
    ("--content", "ones", "'ones'", "compress:PERCENT"),
    ("--dedup", "50", "'50'", "<number>%"),
    ("--verify", "yes", "'yes'", "on or off"),
    ("--clock", "hpet", "'hpet'", "auto, tsc or monotonic"),
    ("--canary", "often", "'often'", "off, or a time of 987us to 100ms"),
    ("--canary", "1s", "'1s'", "off, or a time of 987us to 100ms"),
    ("--cpus", "0,x", "'0,x'", "numbers from 0 to 1023 and ranges"),
    ("--dirty", "lots", "'lots'", "<number>[K|M|G|T]"),
    ("--threads", "-1", "'-1'", "a whole number from 1 to 1024"),
    ("--threads", "many", "'many'", "a whole number from 1 to 1024"),
    ("--threads", "5000000000", "'5000000000'", "a whole number from 1 to 1024"),
    ("--duration", "10", "'10'", "<number>(ns|us|ms|s|m|h)"),
    ("--duration", "99999999999h", "'99999999999h'", "less than 584 years"),
    ("--baseline", "soon", "'soon'", "<number>(ns|us|ms|s|m|h)"),
    ("--interval", "fast", "'fast'", "<number>(ns|us|ms|s|m|h)"),
    ("--seed", "abc", "'abc'", "a whole number from 0 to"),
    ("--seed", "-1", "'-1'", "a whole number from 0 to"),
    ("--seed", "18446744073709551616", "'18446744073709551616'", "a whole number from 0 to"),
    ("--report", "stdout", "'stdout'", "- | file:PATH | virtio[:NAME] | unix:PATH"),
    ("--report", "file:/tmp", "file:/tmp cannot be opened", "for example file:/tmp/records.ndjson"),
    ("--report", "file:/nonexistent/x", "file:/nonexistent/x", "name a file that may be written"),
    ("--report", "unix:", "'unix:'", "unix:PATH"),
    ("--report", "tcp:host:7007", "'tcp:host:7007'", "no name is looked up here"),
    ("--report", "listen:tcp:0.0.0.0:7007", "listen:tcp:0.0.0.0:7007", "--open-to-anyone"),
    ("--token-file", "/nonexistent", "--token-file /nonexistent", "it cannot be read"),
    ("--token-file", "/dev/null", "--token-file /dev/null", "chmod 600"),
    ("--label", "web-1", "'web-1'", "for example name=web-1"),
    ("--plan", "/nonexistent", "/nonexistent cannot be read", "name a file with --plan"),
];

#[test]
fn every_flag_answers_a_wrong_value_with_the_value_and_the_form() {
    for (flag, value, repeated, form) in FLAGS {
        let (code, said) = failure(&format!("run -d 100ms {flag} {value}"));
        assert!(matches!(code, Some(1 | 2)), "{flag} {value}: {code:?}\n{said}");
        assert!(said.contains(repeated) && said.contains(form), "{flag} {value}:\n{said}");
    }
    let (_, help) = (0, super::sully("run --help").output().unwrap().stdout);
    let help = String::from_utf8(help).unwrap();
    let flags = help.split_whitespace().filter_map(|word| word.strip_prefix("--"));
    for flag in flags.filter(|word| word.bytes().all(|letter| letter.is_ascii_lowercase() || letter == b'-'))
    {
        let is_switch = ["lock", "no-latency", "open-to-anyone", "help"].contains(&flag);
        let flag = format!("--{flag}");
        assert!(is_switch || FLAGS.iter().any(|(tried, ..)| *tried == flag), "{flag} was not tried");
    }
}

#[test]
fn every_key_of_a_plan_file_answers_a_wrong_value_with_the_value_and_the_form() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("plan.toml");
    let try_one = |text: &str, repeated: &str, form: &str| {
        std::fs::write(&path, text).unwrap();
        let (code, said) = failure(&format!("run -d 100ms --plan {}", path.display()));
        assert_eq!(code, Some(2), "{text}: {said}");
        assert!(said.contains(repeated) && said.contains(form), "{text}:\n{said}");
    };
    for (flag, value, repeated, form) in FLAGS {
        let key = flag.trim_start_matches("--").replace('-', "_");
        if !["plan", "report", "backing", "token_file", "label"].contains(&key.as_str()) {
            try_one(&format!("{key} = \"{value}\"\n"), repeated, form);
        }
    }
    for (text, repeated, form) in [
        ("memory = 256\n", "--memory 256", "a number without a unit is bytes"),
        ("reads = 0.5\n", "'0.5'", "<number>%"),
        ("threads = 1979-05-27\n", "threads is neither", "in quotes"),
        ("lock = 1\n", "lock: '1'", "true or false"),
        ("repeat = \"yes\"\n", "repeat: 'yes'", "true or false"),
        ("[[region]]\nname = \"a\"\nmemory = 256\n", "--memory 256", "a number without a unit is bytes"),
        ("[[region]]\nname = \"a\"\nmemory = \"8M\"\nshare = -15\n", "share: '-15'", "from 0 to 1000000"),
        ("[[region]]\nthreads = \"many\"\n", "threads: 'many'", "from 1 to 1024"),
        ("[[region]]\nlock = \"maybe\"\n", "lock: 'maybe'", "true or false"),
        ("[[region]]\npages = 4\n", "pages: '4'", "4k, thp, 2M or 1G"),
        ("[[region]]\nnuma = \"x\"\n", "numa: 'x'", "a node's number"),
        ("[[phase]]\nduration = 30\n", "duration: '30'", "1m30s"),
        ("[[phase]]\nrate = 5\n", "rate: '5'", "100M/s"),
        ("[[phase]]\nramp = \"5\"\n", "ramp = '5'", "0..200M/s"),
        ("[[phase]]\nramp = \"5..9\"\n", "ramp: '5'", "100M/s"),
        ("[[phase]]\nwrite = 7\n", "write: '7'", "a multiple of 8"),
        ("[[phase]]\npace = 1\n", "pace: '1'", "burst:ON/OFF"),
    ] {
        try_one(text, repeated, form);
    }
}
