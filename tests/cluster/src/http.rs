//! A GET without TLS, for the readiness of the harness's own servers.

use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::Duration;

use crate::readiness::Readiness;

/// A running server answers within this; a wait repeats the request.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Status and body of a GET, without TLS.
pub(crate) fn get(address: IpAddr, port: u16, path: &str) -> io::Result<(u16, String)> {
    let mut stream = TcpStream::connect_timeout(&SocketAddr::new(address, port), TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    // HTTP 1.0, so that the end of the connection ends the body.
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    parse(&answer).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "not a valid HTTP answer"))
}

pub(crate) fn parse(answer: &str) -> Option<(u16, String)> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()?;
    Some((status, body.to_owned()))
}

/// Whether a GET is answered with 200.
pub(crate) fn readiness(address: IpAddr, port: u16, path: &str) -> Readiness {
    match get(address, port, path) {
        Ok((200, _)) => Readiness::Ready,
        Ok((status, _)) => Readiness::NotReady(format!("HTTP status {status} from port {port}")),
        Err(error) => Readiness::NotReady(format!("port {port}: {error}")),
    }
}

/// Whether a server listens.
pub(crate) fn listens(address: IpAddr, port: u16) -> Readiness {
    match TcpStream::connect_timeout(&SocketAddr::new(address, port), TIMEOUT) {
        Ok(_) => Readiness::Ready,
        Err(error) => Readiness::NotReady(format!("port {port}: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_http_answer_is_parsed() {
        assert_eq!(parse("HTTP/1.1 503 Busy\r\nA: b\r\n\r\nbody"), Some((503, "body".to_owned())));
        assert_eq!(parse("SSH-2.0-x\r\n\r\n"), None);
        assert_eq!(parse("HTTP/1.1 200 OK\r\n"), None);
    }
}
