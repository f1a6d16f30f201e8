//! The way out: one client for all that is called over HTTP, which goes where it is sent and nowhere else.
//!
//! It follows no redirects, uses no proxy, and does not connect to private addresses unless that is allowed, whatever a name
//! resolves to.

use std::error::Error as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::StreamExt as _;
use quorate_core::{Failure, FailureClass, Millis, Timestamp};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Client, Response, StatusCode, Url};

use crate::secret::{Revealed, Secret};

/// How long making a connection may take: whoever is there answers sooner, and a call has more to do than that.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How much of an answer that is none is shown.
const SHOWN: usize = 200;

/// Whether private addresses may be called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reach {
    /// Only what is public.
    #[default]
    Public,
    /// Also this machine and the networks around it.
    Private,
}

/// The client of a reach, made when it is first needed.
pub(crate) fn client(reach: Reach) -> Result<Client, Failure> {
    static PUBLIC: OnceLock<Result<Client, String>> = OnceLock::new();
    static PRIVATE: OnceLock<Result<Client, String>> = OnceLock::new();
    let made = match reach {
        Reach::Public => PUBLIC.get_or_init(|| made(reach)),
        Reach::Private => PRIVATE.get_or_init(|| made(reach)),
    };
    made.clone().map_err(|wrong| Failure::new(FailureClass::Internal, format!("could not set up HTTP: {wrong}")).unsent())
}

fn made(reach: Reach) -> Result<Client, String> {
    // A program that this is part of may have chosen already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .user_agent(concat!("quorate/", env!("CARGO_PKG_VERSION")))
        .tcp_nodelay(true);
    let builder = if reach == Reach::Public { builder.dns_resolver(Arc::new(OnlyPublic)) } else { builder };
    builder.build().map_err(|wrong| told(&wrong))
}

/// Resolves names, and leaves out what is private: a name may lead anywhere, and elsewhere the next time.
#[derive(Debug)]
struct OnlyPublic;

impl Resolve for OnlyPublic {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let public: Vec<SocketAddr> = found.iter().copied().filter(|address| !is_private(address.ip())).collect();
            match (public.is_empty(), found.first()) {
                (true, Some(address)) => Err(Forbidden { name: name.as_str().to_owned(), address: address.ip() }.into()),
                _ => Ok(Box::new(public.into_iter()) as Addrs),
            }
        })
    }
}

/// A name that leads where nobody may go.
#[derive(Debug, thiserror::Error)]
#[error("{name} is {address}, {PRIVATE}")]
struct Forbidden {
    name: String,
    address: IpAddr,
}

const PRIVATE: &str = "a private address; write `allow_private: true` if it is meant";

/// Reads an address, and refuses what may not be called.
pub(crate) fn url(text: &str, shown: &dyn std::fmt::Display, reach: Reach) -> Result<Url, Failure> {
    let invalid = |why: String| Failure::new(FailureClass::Invalid, format!("`{shown}` cannot be called: {why}")).unsent();
    let url = Url::parse(text).map_err(|wrong| invalid(format!("it is no address ({wrong})")))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(invalid("only http and https are".to_owned()));
    }
    let address = match url.host() {
        Some(url::Host::Ipv4(address)) => Some(IpAddr::V4(address)),
        Some(url::Host::Ipv6(address)) => Some(IpAddr::V6(address)),
        Some(url::Host::Domain(_)) => None,
        None => return Err(invalid("it names no host".to_owned())),
    };
    match address.filter(|address| reach == Reach::Public && is_private(*address)) {
        Some(address) => Err(invalid(format!("{address} is {PRIVATE}"))),
        None => Ok(url),
    }
}

/// A header as it is sent. Its value is shown nowhere.
pub(crate) fn header(name: &str, value: &Secret, revealed: &mut Revealed) -> Result<(HeaderName, HeaderValue), Failure> {
    let invalid = |why: String| Failure::new(FailureClass::Invalid, why).unsent();
    let header = HeaderName::try_from(name).map_err(|_| invalid(format!("`{name}` is no name of a header")))?;
    let sent = sensitive(&revealed.reveal(value)?);
    Ok((header, sent.ok_or_else(|| invalid(format!("the value of the header `{name}` ({value}) cannot be sent")))?))
}

pub(crate) fn sensitive(value: &str) -> Option<HeaderValue> {
    let mut sent = HeaderValue::try_from(value).ok()?;
    sent.set_sensitive(true);
    Some(sent)
}

/// Whether an address belongs to this machine, to a network around it, or to nobody.
fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_private_v4(address),
        IpAddr::V6(address) => match address.to_ipv4_mapped().or_else(|| carried(address)) {
            Some(inside) => is_private_v4(inside),
            None => {
                let first = address.segments()[0];
                address.is_loopback()
                    || address.is_unspecified()
                    || address.is_multicast()
                    || first & 0xfe00 == 0xfc00
                    || first & 0xffc0 == 0xfe80
                    // For documents.
                    || (first == 0x2001 && address.segments()[1] == 0x0db8)
            }
        },
    }
}

/// The address inside another one: those of NAT64 and 6to4 lead to it.
fn carried(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [first, second, third, .., seventh, eighth] = address.segments();
    let of = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match (first, second) {
        (0x0064, 0xff9b) => Some(of(seventh, eighth)),
        (0x2002, _) => Some(of(second, third)),
        _ => None,
    }
}

fn is_private_v4(address: Ipv4Addr) -> bool {
    let [first, second, third, _] = address.octets();
    address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_documentation()
        || first == 0
        || first >= 240
        || (first == 100 && second & 0xc0 == 64)
        || (first == 192 && second == 0 && third == 0)
        || (first == 198 && second & 0xfe == 18)
}

/// Why a request did not come to an answer.
pub(crate) fn unanswered(wrong: &reqwest::Error) -> Failure {
    if wrong.is_builder() {
        return Failure::new(FailureClass::Invalid, format!("could not be asked: {}", told(wrong))).unsent();
    }
    if let Some(forbidden) = causes(wrong).find_map(|cause| cause.downcast_ref::<Forbidden>()) {
        return Failure::new(FailureClass::Invalid, format!("cannot be called: {forbidden}")).unsent();
    }
    if wrong.is_connect() {
        return Failure::new(FailureClass::Unavailable, format!("could not be reached: {}", told(wrong))).unsent();
    }
    let class = if wrong.is_timeout() { FailureClass::Timeout } else { FailureClass::Unavailable };
    Failure::new(class, format!("broke off: {}", told(wrong)))
}

/// What went wrong, down to its cause. The address is not in it: secrets may be in that.
fn told(wrong: &reqwest::Error) -> String {
    // The cause at the end says most, and the ones before often say the same.
    causes(wrong).last().map_or_else(|| "the connection failed".to_owned(), ToString::to_string)
}

fn causes(wrong: &reqwest::Error) -> impl Iterator<Item = &(dyn std::error::Error + 'static)> {
    let mut next = wrong.source();
    std::iter::from_fn(move || {
        let cause = next?;
        next = cause.source();
        Some(cause)
    })
}

/// What a status that is no success says about the call.
pub(crate) fn class_of(status: StatusCode) -> FailureClass {
    match status.as_u16() {
        401 | 403 | 451 => FailureClass::Refused,
        408 => FailureClass::Timeout,
        429 => FailureClass::RateLimited,
        502..=504 | 529 => FailureClass::Unavailable,
        500..=599 => FailureClass::Internal,
        _ => FailureClass::Invalid,
    }
}

/// How long a service asks to be left alone: in seconds, or until a point in time.
pub(crate) fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Millis> {
    retry_after_text(headers.get(RETRY_AFTER)?.to_str().ok()?, now)
}

pub(crate) fn retry_after_text(text: &str, now: Timestamp) -> Option<Millis> {
    let text = text.trim();
    if let Ok(seconds) = text.parse::<u32>() {
        return Some(Millis(u64::from(seconds) * 1_000));
    }
    let date = text.strip_suffix("GMT").map(str::trim_end).unwrap_or(text);
    let at = jiff::fmt::strtime::parse("%a, %d %b %Y %H:%M:%S", date).and_then(|parts| parts.to_datetime()).ok()?;
    let at = at.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_microsecond();
    Some(Millis(u64::try_from(at.saturating_sub(now.micros())).unwrap_or_default().div_ceil(1_000)))
}

/// The whole body of an answer, as far as it may be long.
pub(crate) async fn body(response: Response, limit: usize) -> Result<Vec<u8>, Failure> {
    let too_much = || Failure::new(FailureClass::Invalid, format!("answered with more than the {limit} bytes allowed"));
    let known = response.content_length().and_then(|length| usize::try_from(length).ok());
    if known.is_some_and(|length| length > limit) {
        return Err(too_much());
    }
    let mut read = Vec::with_capacity(known.unwrap_or_default());
    let mut pieces = response.bytes_stream();
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|wrong| unanswered(&wrong))?;
        if read.len() + piece.len() > limit {
            return Err(too_much());
        }
        read.extend_from_slice(&piece);
    }
    Ok(read)
}

/// A failure, told with the place that it is about. What begins with a verb goes on from there.
pub(crate) fn told_of(place: &Secret, failure: Failure) -> Failure {
    let sentence = ["it ", "its ", "the "].iter().any(|first| failure.message.starts_with(first));
    let colon = if sentence { ":" } else { "" };
    Failure { message: format!("`{place}`{colon} {}", failure.message), ..failure }
}

/// The beginning of a text that somebody wrote, fit to be shown.
pub(crate) fn beginning(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let text = text.trim();
    let shown: String = text.chars().take(SHOWN).collect();
    let more = if shown.len() < text.len() { "…" } else { "" };
    format!("{}{more}", shown.escape_debug())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_addresses_are_known_however_they_are_written() {
        let cases = [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "255.255.255.255",
            "::1",
            "::",
            "fd00::1",
            "fe80::1",
            "::ffff:127.0.0.1",
            "64:ff9b::a00:1",
            "2002:7f00:1::",
            "ff02::1",
            "198.18.0.1",
            "224.0.0.1",
        ];
        for case in cases {
            assert!(is_private(case.parse().unwrap()), "{case}");
        }
        for case in ["8.8.8.8", "100.128.0.1", "172.32.0.1", "2606:4700::1111", "64:ff9b::808:808"] {
            assert!(!is_private(case.parse().unwrap()), "{case}");
        }
        for text in
            ["http://127.0.0.1/", "http://2130706433/", "http://0x7f.1/", "http://[::ffff:10.0.0.1]/", "https://169.254.169.254/latest"]
        {
            let failure = url(text, &"it", Reach::Public).unwrap_err();
            assert!(failure.message.contains("allow_private") && failure.unsent, "{failure}");
            assert!(url(text, &"it", Reach::Private).is_ok());
        }
        for text in ["ftp://example.com", "nonsense", "file:///etc/passwd", "http://"] {
            assert!(url(text, &"it", Reach::Private).is_err(), "{text}");
        }
    }

    #[test]
    fn a_service_says_in_two_ways_how_long_it_wants_to_be_left_alone() {
        let now: Timestamp = "2026-11-21T10:00:00Z".parse().unwrap();
        let after = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, text.parse().unwrap());
            retry_after(&headers, now)
        };
        assert_eq!(after("7"), Some(Millis(7_000)));
        assert_eq!(after("Sat, 21 Nov 2026 10:00:30 GMT"), Some(Millis(30_000)));
        assert_eq!(after("Sat, 21 Nov 2026 09:00:30 GMT"), Some(Millis(0)));
        assert_eq!(after("soon"), None);
    }
}
