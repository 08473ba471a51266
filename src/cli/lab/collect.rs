//! `sully-lab collect`.

mod table;

use super::interrupt::interruptions;
use crate::cli::say::say;
use crate::lab::collect::{Options, collect};
use crate::lab::wrong::given;
use crate::port::Token;
use crate::units::{ByteSize, Nanos, UnitError};
use crate::wire::RECORD_LIMIT_BYTES;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    process::ExitCode,
};
use table::Live;
use tokio::runtime;

/// Collect the records of running VMs from their virtio-serial sockets and over networks, until ^C
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = AFTER)]
pub struct CollectArgs {
    /// Sockets, or patterns such as '/run/vms/*.sock'; they may appear later. tcp:HOST:PORT is a guest that listens,
    /// vsock-unix:PATH:PORT one that listens on vsock behind the socket of Cloud Hypervisor or Firecracker
    #[arg(required_unless_present = "listen", value_name = "SOCKET")]
    pub sockets: Vec<String>,
    /// Where guests come by themselves: tcp:ADDRESS:PORT, vsock:PORT, or unix:PATH (PATH_PORT of Cloud Hypervisor and
    /// Firecracker); may be repeated
    #[arg(long, value_name = "PLACE")]
    pub listen: Vec<String>,
    /// The word that both ends of a network connection know: demanded of guests that come, said first to those that
    /// listen. It and the records travel in the clear
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Listen without a token on an address that others than this machine can reach
    #[arg(long)]
    pub open_to_anyone: bool,
    /// Where the sessions' directories go; a collector that starts again here goes on where the last one stopped
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Serve metrics for Prometheus on ADDR:PORT, for example 127.0.0.1:9469; a port alone is one of 127.0.0.1
    #[arg(long, value_name = "ADDR", value_parser = address)]
    pub prometheus: Option<SocketAddr>,
    /// End after this time [default: at ^C]
    #[arg(long, value_name = "TIME")]
    pub duration: Option<Nanos>,
    /// The most that is kept of one session, and a fourth of what is kept of all those of one socket; what comes beyond is
    /// counted, and the exit code is 3
    #[arg(long, value_name = "SIZE", default_value = "1G", value_parser = limit)]
    pub limit: ByteSize,
    /// Show nothing
    #[arg(short, long)]
    pub quiet: bool,
}

/// A limit that holds at least one record, however long.
fn limit(text: &str) -> Result<ByteSize, String> {
    let size: ByteSize = text.parse().map_err(|error: UnitError| error.to_string())?;
    let least = ByteSize(RECORD_LIMIT_BYTES as u64);
    if size < least {
        return Err(format!(
            "no more than {} bytes would be kept, and one record may take {least}: give at least that, \
             for example 1G; a number without a unit is bytes",
            size.0
        ));
    }
    Ok(size)
}

fn address(text: &str) -> Result<SocketAddr, String> {
    let port = text.parse().map(|port: u16| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    port.or_else(|_| text.parse()).map_err(|_| {
        "expected an address and a port such as 127.0.0.1:9469 or [::1]:9469, or a port alone".to_owned()
    })
}

const AFTER: &str = "\
Each session gets a directory DIR/<16 hex digits> with records.ndjson and session.json. While the collector holds the \
sockets, commands go through it: sully-lab ctl DIR/<16 hex digits> ping

A VM that went back to an earlier state (a snapshot restored again, a clone, loadvm) goes on in a directory of its own; \
session.json there says where it came from.

Exit codes: 0 everything that came is kept; 1 it cannot be kept (the disk is full); 2 the command line is wrong; 3 records \
were lost, given up by a guest or not kept, pages were corrupt by the guests' own sums, or nothing came at all.";

/// Exit code when not everything is kept, a guest lost something, or nothing came at all.
const UNSOUND: u8 = 3;

/// Collects until it is told to stop. The exit code is 3 when records were lost or not kept, a guest lost something, or none came.
///
/// # Errors
/// When the directory or the address cannot be used, or the disk does not take the records any more.
pub fn run(args: &CollectArgs) -> anyhow::Result<ExitCode> {
    raise_file_limit();
    let token = args.token_file.as_deref().map(Token::read).transpose();
    let token = given(token.map_err(anyhow::Error::msg))?;
    let options = Options {
        sockets: args.sockets.clone(),
        listen: args.listen.clone(),
        token,
        open_to_anyone: args.open_to_anyone,
        out: args.out.clone(),
        limit_bytes: args.limit.0,
        prometheus: args.prometheus,
        duration: args.duration.map(Into::into),
    };
    let mut live = Live::new(args.quiet);
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let (views, findings) = runtime.block_on(async {
        let interrupt = interruptions()?;
        collect(&options, &mut |views, news| live.show(views, news), interrupt).await
    })?;
    live.finish(&views);
    if !args.quiet {
        findings.notes.iter().for_each(say);
    }
    findings.faults.iter().for_each(say);
    if findings.records == 0 {
        say("no record was collected");
    }
    Ok(ExitCode::from(if findings.is_whole() { 0 } else { UNSOUND }))
}

/// Hundreds of sockets need more descriptors than a shell usually allows; as many as may be had are taken.
fn raise_file_limit() {
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        // Where that is refused, fewer sockets can be connected at once.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_that_holds_no_record_is_refused_with_what_a_bare_number_means() {
        for wrong in ["1", "0", "100K", "262143"] {
            let said = limit(wrong).unwrap_err();
            assert!(said.contains("may take 256K") && said.contains("without a unit is bytes"), "{said}");
        }
        assert!(limit("lots").unwrap_err().contains("'lots' is not a size"));
        assert_eq!((limit("256K"), limit("1G")), (Ok(ByteSize(256 << 10)), Ok(ByteSize(1 << 30))));
    }

    #[test]
    fn a_port_alone_is_one_of_this_machine_and_what_is_none_is_shown_one() {
        assert_eq!(address("9469").unwrap().to_string(), "127.0.0.1:9469");
        assert_eq!(address("[::1]:9469").unwrap().to_string(), "[::1]:9469");
        for wrong in ["here", "127.0.0.1", "70000"] {
            assert!(address(wrong).unwrap_err().contains("127.0.0.1:9469"), "{wrong}");
        }
    }
}
