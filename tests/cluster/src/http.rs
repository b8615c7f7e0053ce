//! As much of HTTP as it takes to ask a server of the harness whether it is ready.

use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::Duration;

use crate::process::Answer;

/// A server that runs answers within this; one that does not is asked again.
const PATIENCE: Duration = Duration::from_secs(2);

/// Status and body of a GET, without TLS.
pub(crate) fn get(address: IpAddr, port: u16, path: &str) -> io::Result<(u16, String)> {
    let mut stream = TcpStream::connect_timeout(&SocketAddr::new(address, port), PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    // 1.0: the body ends with the connection, in one piece.
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    parse(&answer).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "not an answer of HTTP"))
}

pub(crate) fn parse(answer: &str) -> Option<(u16, String)> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()?;
    Some((status, body.to_owned()))
}

/// Whether a GET is answered with 200.
pub(crate) fn answers(address: IpAddr, port: u16, path: &str) -> Answer {
    match get(address, port, path) {
        Ok((200, _)) => Answer::Yes,
        Ok((status, _)) => Answer::NotYet(format!("HTTP status {status} from port {port}")),
        Err(error) => Answer::NotYet(format!("port {port}: {error}")),
    }
}

/// Whether somebody listens.
pub(crate) fn listens(address: IpAddr, port: u16) -> Answer {
    match TcpStream::connect_timeout(&SocketAddr::new(address, port), PATIENCE) {
        Ok(_) => Answer::Yes,
        Err(error) => Answer::NotYet(format!("port {port}: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_told_from_noise() {
        assert_eq!(parse("HTTP/1.1 503 Busy\r\nA: b\r\n\r\nbody"), Some((503, "body".to_owned())));
        assert_eq!(parse("SSH-2.0-x\r\n\r\n"), None);
        assert_eq!(parse("HTTP/1.1 200 OK\r\n"), None);
    }
}
