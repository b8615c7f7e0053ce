//! Leads git, buildah and podman to servers whose addresses only the host's options know: these programs take a proxy, but no
//! address for a host name.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

/// Connections at once. A push opens some per layer.
const MAX_TUNNELS: usize = 64;
/// Bytes of a request.
const MAX_HEAD_BYTES: usize = 8 << 10;
/// To read the request, and to connect to the server.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

const SET_VARIABLES: [&str; 2] = ["HTTPS_PROXY", "https_proxy"];
const REMOVED_VARIABLES: [&str; 4] = ["NO_PROXY", "no_proxy", "ALL_PROXY", "all_proxy"];

/// A proxy on loopback that knows addresses of host names; it stops when it is dropped. It only tunnels: TLS is between the
/// program and the server, so the proxy can read nothing, and the program verifies the certificate.
pub(super) struct ConnectProxy {
    address: SocketAddr,
    serving: JoinHandle<()>,
}

impl ConnectProxy {
    pub(super) async fn start(names: BTreeMap<String, IpAddr>) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        Ok(Self { address, serving: tokio::spawn(serve(listener, Arc::new(names))) })
    }

    /// Makes a program use the proxy.
    pub(super) fn configure(&self, command: &mut Command) {
        for name in SET_VARIABLES {
            command.env(name, format!("http://{}", self.address));
        }
        for name in REMOVED_VARIABLES {
            command.env_remove(name);
        }
    }
}

impl Drop for ConnectProxy {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(listener: TcpListener, names: Arc<BTreeMap<String, IpAddr>>) {
    // Dropping the set stops all tunnels.
    let mut tunnels = JoinSet::new();
    while let Ok((program, _)) = listener.accept().await {
        while tunnels.len() >= MAX_TUNNELS && tunnels.join_next().await.is_some() {}
        let names = names.clone();
        tunnels.spawn(async move {
            // The program reports the closed connection.
            tunnel(program, &names).await.ok();
        });
        while tunnels.try_join_next().is_some() {}
    }
}

async fn tunnel(mut program: TcpStream, names: &BTreeMap<String, IpAddr>) -> io::Result<()> {
    let asked = timeout(CONNECT_TIMEOUT, head(&mut program)).await??;
    let Some((host, port)) = target(&asked) else {
        return program.write_all(b"HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\n\r\n").await;
    };
    let connecting = async {
        match names.get(host) {
            Some(address) => TcpStream::connect((*address, port)).await,
            None => TcpStream::connect((host, port)).await,
        }
    };
    let Ok(Ok(mut server)) = timeout(CONNECT_TIMEOUT, connecting).await else {
        return program.write_all(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n").await;
    };
    program.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?;
    copy_bidirectional(&mut program, &mut server).await.map(drop)
}

/// Reads a request without a body to its last byte, and no byte of the tunnel.
async fn head(program: &mut TcpStream) -> io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() == MAX_HEAD_BYTES {
            return Err(io::ErrorKind::InvalidData.into());
        }
        head.push(program.read_u8().await?);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

/// The server of a CONNECT request (RFC 9110 section 9.3.6). None: another request.
fn target(head: &str) -> Option<(&str, u16)> {
    let (host, port) = head.strip_prefix("CONNECT ")?.split_once(' ')?.0.rsplit_once(':')?;
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    Some((host, port.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_connect_request_has_a_target() {
        assert_eq!(target("CONNECT a.b:5000 HTTP/1.1\r\n\r\n"), Some(("a.b", 5000)));
        assert_eq!(target("CONNECT [::1]:443 HTTP/1.1\r\n\r\n"), Some(("::1", 443)));
        for none in ["GET http://a.b/ HTTP/1.1\r\n\r\n", "CONNECT a.b HTTP/1.1", "CONNECT a.b:x HTTP/1.1", ""]
        {
            assert_eq!(target(none), None, "{none}");
        }
    }
}
