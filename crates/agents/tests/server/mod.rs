//! A server on a free port of this machine that says byte for byte what it is told to say.
#![allow(dead_code, reason = "each test file uses its part")]

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// A request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) path: String,
    /// By name in small letters.
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: String,
}

/// What is said to a request: pieces of bytes, each after a while.
pub(crate) type Said = Vec<(Duration, Vec<u8>)>;

pub(crate) struct Server {
    pub(crate) address: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Server {
    /// A server that answers what `say` says to a request, and to the how-manieth it is; then it closes the connection.
    pub(crate) async fn start(say: impl Fn(&Asked, usize) -> Said + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (say, seen) = (Arc::new(say), asked.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, say.clone(), seen.clone()));
            }
        });
        Server { address, asked }
    }

    /// What was asked so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

async fn serve(mut stream: TcpStream, say: Arc<impl Fn(&Asked, usize) -> Said>, seen: Arc<Mutex<Vec<Asked>>>) {
    let Some(asked) = read(&mut stream).await else { return };
    let count = {
        let mut seen = seen.lock().unwrap();
        seen.push(asked.clone());
        seen.len()
    };
    for (wait, piece) in say(&asked, count) {
        tokio::time::sleep(wait).await;
        if stream.write_all(&piece).await.is_err() {
            return;
        }
        let _ = stream.flush().await;
    }
}

async fn read(stream: &mut TcpStream) -> Option<Asked> {
    let mut read = Vec::new();
    let mut piece = [0; 4_096];
    loop {
        let count = stream.read(&mut piece).await.ok().filter(|count| *count > 0)?;
        read.extend_from_slice(&piece[..count]);
        let text = String::from_utf8_lossy(&read).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let mut lines = head.lines();
        let path = lines.next()?.split(' ').nth(1)?.to_owned();
        let headers: HashMap<String, String> =
            lines.filter_map(|line| line.split_once(": ")).map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect();
        let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        if body.len() >= length {
            return Some(Asked { path, headers, body: body.to_owned() });
        }
    }
}

/// An answer with a body.
pub(crate) fn answer(status: &str, headers: &str, body: &str) -> Said {
    let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n{headers}\r\n", body.len());
    vec![(Duration::ZERO, (head + body).into_bytes())]
}

/// An answer that is JSON.
pub(crate) fn json(body: &str) -> Said {
    answer("200 OK", "content-type: application/json\r\n", body)
}
