//! Services as agents, and services that do everything that services do.
#![allow(clippy::unwrap_used, reason = "this is a test")]

mod server;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use insta::assert_snapshot;
use quorate_agents::{Agent, Call, Cancel, Doing, Outcome, Reach, Secret, Service};
use quorate_core::{Payload, Request, RunId};
use server::{Said, Server, answer, json};

fn secret(text: &str) -> Secret {
    Secret::parse(text, Path::new("."))
}

fn service(urls: &[&str]) -> Service {
    Service { urls: urls.iter().map(|url| secret(url)).collect(), reach: Reach::Private, ..Service::default() }
}

fn request() -> Request {
    Request {
        run: RunId(7),
        task: "ask".into(),
        attempt: 1,
        deadline: None,
        input: Payload::parse(r#"{"n": 3}"#.into()).unwrap(),
        params: Payload::null(),
        outputs: Vec::new(),
        skills: Vec::new(),
        session: None,
    }
}

async fn call(agent: &Agent, call: Call) -> Outcome {
    match agent.doing() {
        Doing::Async(function) => function(call).await,
        Doing::Blocking(_) | Doing::Quick(_) => unreachable!("services are async"),
    }
}

/// What comes of a call, without the port of the server.
async fn told(service: Service) -> String {
    let address = service.urls.first().map(Secret::to_string).unwrap_or_default();
    let outcome = call(&Agent::from_service("it", service), Call::new(request())).await;
    match outcome {
        Ok(reply) => reply.output.json().to_owned(),
        Err(failure) => {
            let rest = failure.retry_after.map(|rest| format!(" [again after {} ms]", rest.0)).unwrap_or_default();
            let unsent = if failure.unsent { " [not reached]" } else { "" };
            format!("{failure}{rest}{unsent}").replace(&address, "URL")
        }
    }
}

fn cut(mut said: Said, bytes: usize) -> Said {
    said[0].1.truncate(bytes);
    said
}

#[tokio::test]
async fn what_services_do_is_told_apart() {
    let server = Server::start(|asked, _| match asked.path.as_str() {
        "/well" => json(r#"{"output": {"n": 4}, "confidence": 0.9}"#),
        "/plain" => json("[1, 2]"),
        "/empty" => answer("204 No Content", "", ""),
        "/500" => answer("500 Internal Server Error", "", "the database is gone"),
        "/503" => answer("503 Service Unavailable", "retry-after: 2\r\n", ""),
        "/429" => answer("429 Too Many Requests", "retry-after: 3\r\n", "slow down"),
        "/404" => answer("404 Not Found", "", "no such thing"),
        "/401" => answer("401 Unauthorized", "", ""),
        "/own" => {
            answer("503 Service Unavailable", "", r#"{"error": {"class": "rate_limited", "message": "two at a time", "retry_after": 50}}"#)
        }
        "/html" => answer("200 OK", "content-type: text/html\r\n", "<html>Welcome to the proxy</html>"),
        "/redirect" => answer("302 Found", "location: http://169.254.169.254/latest/meta-data\r\n", ""),
        "/half" => cut(answer("200 OK", "content-type: application/json\r\n", &format!("{{\"output\": \"{}\"}}", "x".repeat(500))), 300),
        "/huge" => answer("200 OK", "content-type: application/json\r\n", &format!("\"{}\"", "x".repeat(20 << 20))),
        "/endless" => {
            let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_owned().into_bytes();
            let chunk = format!("100000\r\n{}\r\n", "1".repeat(1 << 20)).into_bytes();
            std::iter::once(head).chain(std::iter::repeat_n(chunk, 20)).map(|piece| (Duration::ZERO, piece)).collect()
        }
        "/gone" => Vec::new(),
        "/noise" => vec![(Duration::ZERO, b"\x16\x03\x01 this is no HTTP\r\n\r\n".to_vec())],
        "/binary" => vec![(Duration::ZERO, b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n\xff\xfe\x00".to_vec())],
        other => panic!("{other}"),
    })
    .await;
    let mut shown = String::new();
    let paths = [
        "well", "plain", "empty", "500", "503", "429", "404", "401", "own", "html", "redirect", "half", "huge", "endless", "gone", "noise",
        "binary",
    ];
    for path in paths {
        let url = format!("{}/{path}", server.address);
        shown += &format!("{path}: {}\n", told(service(&[&url])).await);
    }
    assert_snapshot!(shown, @r#"
    well: {"n": 4}
    plain: [1, 2]
    empty: null
    500: internal: `URL` answered 500 Internal Server Error: the database is gone
    503: unavailable: `URL` answered 503 Service Unavailable [again after 2000 ms]
    429: rate_limited: `URL` answered 429 Too Many Requests: slow down [again after 3000 ms]
    404: invalid: `URL` answered 404 Not Found: no such thing
    401: refused: `URL` answered 401 Unauthorized
    own: rate_limited: `URL` says: two at a time [again after 50 ms]
    html: invalid: `URL` answered as text/html: its answer is not JSON; it begins with `<html>Welcome to the proxy</html>`
    redirect: invalid: `URL` answered 302 Found, to http://169.254.169.254/latest/meta-data: redirects are not followed; write that address into the project
    half: unavailable: `URL` broke off: end of file before message length reached
    huge: invalid: `URL` answered with more than the 16777216 bytes allowed
    endless: invalid: `URL` answered with more than the 16777216 bytes allowed
    gone: unavailable: `URL` broke off: connection closed before message completed
    noise: unavailable: `URL` broke off: invalid HTTP version parsed
    binary: invalid: `URL` answered with what is not UTF-8
    "#);
}

#[tokio::test]
async fn what_cannot_be_reached_was_not_asked() {
    let mut shown = String::new();
    for url in ["http://127.0.0.1:1/", "http://no-such-host.invalid/", "not an address", "ftp://x/", "env:QUORATE_NO_SUCH_VARIABLE"] {
        shown += &format!("{url}: {}\n", told(service(&[url])).await);
    }
    // What is private is refused before anything is sent, by number and by name.
    for url in ["http://127.0.0.1:1/", "http://localhost:1/", "http://[::1]:1/"] {
        shown += &format!("{url}: {}\n", told(Service { reach: Reach::Public, ..service(&[url]) }).await);
    }
    let shown = shown.lines().map(|line| line.split(" (os error").next().unwrap_or(line)).collect::<Vec<_>>().join("\n");
    assert_snapshot!(shown, @"
    http://127.0.0.1:1/: unavailable: `URL` could not be reached: Connection refused
    http://no-such-host.invalid/: unavailable: `URL` could not be reached: failed to lookup address information: Name or service not known [not reached]
    not an address: invalid: `URL` cannot be called: it is no address (relative URL without a base) [not reached]
    ftp://x/: invalid: `URL` cannot be called: only http and https are [not reached]
    env:QUORATE_NO_SUCH_VARIABLE: invalid: the value of `URL` is missing: the variable is not set [not reached]
    http://127.0.0.1:1/: invalid: `URL` cannot be called: 127.0.0.1 is a private address; write `allow_private: true` if it is meant [not reached]
    http://localhost:1/: invalid: `URL` cannot be called: localhost is 127.0.0.1, a private address; write `allow_private: true` if it is meant [not reached]
    http://[::1]:1/: invalid: `URL` cannot be called: ::1 is a private address; write `allow_private: true` if it is meant [not reached]
    ");
}

#[tokio::test]
async fn a_service_is_asked_with_everything_it_needs_to_know() {
    let server = Server::start(|_, _| json("true")).await;
    let service = Service { headers: vec![("X-Team".into(), secret("recon"))], ..service(&[&server.address]) };
    assert_eq!(told(service).await, "true");
    let asked = server.asked().remove(0);
    let header = |name: &str| asked.headers.get(name).cloned().unwrap_or_default();
    assert_eq!(header("idempotency-key"), format!("{}/ask", RunId(7)));
    assert_eq!(header("x-team"), "recon");
    assert!(header("traceparent").starts_with(&format!("00-{}-", RunId(7))), "{}", header("traceparent"));
    assert_snapshot!(asked.body.trim(), @r#"{"run":"00000000000000000000000000000007","task":"ask","attempt":1,"idempotency_key":"00000000000000000000000000000007/ask","input":{"n": 3},"params":null,"outputs":{},"skills":[],"session":null}"#);
}

#[tokio::test]
async fn a_call_that_is_cancelled_ends_at_once() {
    let server = Server::start(|_, _| vec![(Duration::from_secs(60), Vec::new())]).await;
    let agent = Agent::from_service("slow", service(&[&server.address]));
    let cancel = Cancel::new();
    let begun = Instant::now();
    let asking = Call { cancel: cancel.clone(), ..Call::new(request()) };
    let (outcome, ()) = tokio::join!(call(&agent, asking), async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        cancel.raise();
    });
    assert!(outcome.is_err() && begun.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_secret_goes_to_the_service_and_nowhere_else() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("token"), "hunter2-and-more\n").unwrap();
    let server = Server::start(|asked, _| match asked.path.as_str() {
        "/error" => answer("401 Unauthorized", "", &format!("wrong key: {}", asked.headers["authorization"])),
        _ => json(&format!(r#"{{"you sent": "{}"}}"#, asked.headers["authorization"])),
    })
    .await;
    let token = Secret::parse("Bearer file:token", folder.path());
    let with =
        |path: &str| Service { headers: vec![("Authorization".into(), token.clone())], ..service(&[&format!("{}{path}", server.address)]) };
    assert_snapshot!(told(with("/error")).await, @"refused: `URL` answered 401 Unauthorized: wrong key: Bearer (file:token)");
    assert_snapshot!(told(with("/echo")).await, @"invalid: its answer contains the value of `file:token`, which is a secret, and is not kept");
    assert_eq!(server.asked()[0].headers["authorization"], "Bearer hunter2-and-more");
    assert!(!format!("{:?}", with("/")).contains("hunter2"));
}

#[tokio::test]
async fn whoever_asks_how_a_service_is_learns_it() {
    let server = Server::start(|asked, count| match (asked.path.as_str(), count) {
        ("/health", 1) => answer("200 OK", "", "fine"),
        ("/health", _) => answer("503 Service Unavailable", "", ""),
        _ => answer("405 Method Not Allowed", "", ""),
    })
    .await;
    let with = |health: Option<&str>| Service { health: health.map(str::to_owned), ..service(&[&server.address]) };
    let ask = |service: Service| async move {
        let agent = Agent::from_service("it", service);
        let probe = Arc::clone(agent.probe().unwrap());
        probe(0).await.map_err(|failure| failure.class.to_string())
    };
    assert_eq!(ask(with(Some("/health"))).await, Ok(()));
    assert_eq!(ask(with(Some("/health"))).await, Err("unavailable".to_owned()));
    // Without a path it is well if it answers at all.
    assert_eq!(ask(with(None)).await, Ok(()));
    assert_eq!(ask(service(&["http://127.0.0.1:1/"])).await, Err("unavailable".to_owned()));
}
