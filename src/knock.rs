//! Whether a server accepts connections.
//!
//! A lost SYN is sent again by the kernel after 1, 3 and 7 s, so an attempt that began while the network
//! was dead may miss its return by seconds. So attempts are made one after the other without waiting for
//! those before, as clients with two address families do (RFC 8305), and the first answer counts.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::net::TcpStream;
use tokio::time::{MissedTickBehavior, interval, timeout};

/// One attempt after the other, each at the next address of the server. The delay of RFC 8305: it is what
/// a sensor loses when its network is back, and 60 bytes each time while it is not.
const INTERVAL: Duration = Duration::from_millis(250);
/// A server answers within this, or not at all. Bounds the attempts that are under way.
const DEADLINE: Duration = Duration::from_secs(3);
/// To look up a name takes less than this, or it is in vain. Longer than a knock, because a lookup goes on
/// by itself when nobody waits for it any more, and they must not pile up.
const LOOKUP_DEADLINE: Duration = Duration::from_secs(5);

/// Why it is not worth while to start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// Its name cannot be looked up.
    Unresolved,
    /// Every address has refused.
    Refused,
    /// Nothing has answered; the wait for it is over already.
    Silent,
}

impl Closed {
    /// Its name, for logs.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Unresolved => "unresolved",
            Self::Refused | Self::Silent => "unreachable",
        }
    }
}

/// Waits until `host` accepts a connection on `port`, for a few seconds at most.
pub async fn knock(host: &str, port: u16) -> Result<(), Closed> {
    let lookup = timeout(LOOKUP_DEADLINE, tokio::net::lookup_host((host, port)));
    let Ok(Ok(addresses)) = lookup.await else { return Err(Closed::Unresolved) };
    let addresses: Vec<_> = addresses.collect();
    if addresses.is_empty() {
        return Err(Closed::Unresolved);
    }
    timeout(DEADLINE, attempts(&addresses, TcpStream::connect::<SocketAddr>))
        .await
        .unwrap_or(Err(Closed::Silent))
}

/// Attempts for ever, until one succeeds or each of `addresses` has refused.
async fn attempts<T, Attempt>(
    addresses: &[SocketAddr],
    connect: impl Fn(SocketAddr) -> Attempt,
) -> Result<(), Closed>
where
    Attempt: Future<Output = std::io::Result<T>>,
{
    let mut ticks = interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut open: VecDeque<_> = addresses.iter().copied().collect();
    let mut under_way = FuturesUnordered::new();
    while !open.is_empty() {
        tokio::select! {
            Some((address, outcome)) = under_way.next() => match outcome {
                Ok(_) => return Ok(()),
                Err(_) => {
                    open.retain(|other| *other != address);
                    ticks.reset_immediately();
                }
            },
            _ = ticks.tick() => {
                open.rotate_left(1);
                under_way.extend(open.back().map(|address| {
                    let (address, attempt) = (*address, connect(*address));
                    async move { (address, attempt.await) }
                }));
            }
        }
    }
    Err(Closed::Refused)
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::io::{Error, ErrorKind};

    use tokio::time::{Instant, sleep};

    use super::*;

    fn address(port: u16) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 1], port))
    }

    #[tokio::test(start_paused = true)]
    async fn a_network_that_is_back_is_noticed_at_the_next_attempt() {
        for dead_ms in [0, 1, 249, 251, 900, 2200, 60_000] {
            let began = Instant::now();
            let dead = Duration::from_millis(dead_ms);
            let connect = async |_| {
                if began.elapsed() < dead {
                    pending::<()>().await;
                }
                sleep(Duration::from_millis(5)).await;
                Ok(())
            };
            assert_eq!(attempts(&[address(1)], connect).await, Ok(()));
            let late = began.elapsed() - dead;
            assert!(late <= INTERVAL + Duration::from_millis(10), "{late:?} after {dead:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_is_slow_to_answer_is_waited_for() {
        let connect = async |_| {
            sleep(Duration::from_millis(1400)).await;
            Ok(())
        };
        assert_eq!(attempts(&[address(1)], connect).await, Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn every_address_is_tried_and_one_that_refuses_does_not_speak_for_the_others() {
        let began = Instant::now();
        let connect = async |to: SocketAddr| match to.port() {
            1 => pending().await,
            2 => Err(Error::from(ErrorKind::ConnectionRefused)),
            _ => {
                sleep(Duration::from_millis(700)).await;
                Ok(())
            }
        };
        assert_eq!(attempts(&[address(1), address(2), address(3)], connect).await, Ok(()));
        assert!(began.elapsed() < 2 * INTERVAL + Duration::from_millis(700), "{:?}", began.elapsed());
        assert_eq!(attempts(&[address(2), address(2)], connect).await, Err(Closed::Refused));
    }

    #[tokio::test]
    async fn a_name_that_cannot_be_looked_up_is_told_from_a_server_that_refuses() {
        let name = format!("{}.invalid", "a".repeat(64));
        assert_eq!(knock(&name, 554).await, Err(Closed::Unresolved));
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        assert_eq!(knock("127.0.0.1", port).await, Ok(()));
        drop(listener);
        assert_eq!(knock("127.0.0.1", port).await, Err(Closed::Refused));
    }
}
