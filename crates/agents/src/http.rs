//! Services as agents: what is asked is posted as JSON, and the body of the answer is the answer.

use std::sync::Arc;

use quorate_core::{Digest, Failure, FailureClass, MAX_VALUE_BYTES, Request, Timestamp};
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderValue, LOCATION};
use reqwest::{Method, RequestBuilder, Response};

use tracing::Instrument as _;

use crate::breaker::BreakerRule;
use crate::net::{Reach, beginning, body, class_of, client, header, retry_after, told_of, unanswered, url};
use crate::secret::{Revealed, Secret};
use crate::skill::Shelf;
use crate::wire::{answer, invalid, now, question, without_mark};
use crate::{Agent, Call, Outcome};

/// A service that does work.
#[derive(Clone, Debug, Default)]
pub struct Service {
    /// Where it is; several are places of the same service, any of which will do.
    pub urls: Vec<Secret>,
    /// What is sent along with every call.
    pub headers: Vec<(String, Secret)>,
    /// Where it may be.
    pub reach: Reach,
    /// How many bytes it may answer; 16 MiB where it is not given.
    pub max_output: Option<usize>,
    /// Where it says that it is well: a path, which is asked for with GET.
    pub health: Option<String>,
}

impl Agent {
    /// An agent that is a service.
    #[must_use]
    pub fn from_service(id: &str, service: Service) -> Agent {
        let service = Arc::new(service);
        let names: Vec<String> = if service.urls.len() > 1 { service.urls.iter().map(Secret::to_string).collect() } else { Vec::new() };
        let probed = service.clone();
        let agent = Agent::from_async(id, move |call| {
            let service = service.clone();
            async move { service.call(call).await }
        });
        let agent = agent.breaker(BreakerRule::default()).endpoints(names.iter().map(String::as_str));
        agent.probed_by(move |endpoint| {
            let service = probed.clone();
            async move { service.probe(endpoint).await }
        })
    }
}

impl Service {
    async fn call(&self, call: Call) -> Outcome {
        let cancel = call.cancel.clone();
        tokio::select! {
            outcome = async {
                let mut revealed = Revealed::default();
                let outcome = self.ask(&call, &mut revealed).await;
                revealed.kept_out_of(outcome)
            } => outcome,
            () = cancel.raised() => Err(Failure::new(FailureClass::Unavailable, "it was told to stop")),
        }
    }

    fn place(&self, endpoint: usize) -> Result<&Secret, Failure> {
        self.urls.get(endpoint).ok_or_else(|| invalid("it has no address".to_owned()))
    }

    async fn ask(&self, call: &Call, revealed: &mut Revealed) -> Outcome {
        let place = self.place(call.endpoint)?;
        let named = |failure: Failure| told_of(place, failure);
        let url = url(&revealed.reveal(place)?, place, self.reach)?;
        let line = question(&call.request, None, &Shelf::default())?;
        let request = client(self.reach)?
            .request(Method::POST, url)
            .header(CONTENT_TYPE, "application/json")
            .header(ACCEPT, "application/json")
            .header("idempotency-key", call.request.idempotency_key())
            .header("traceparent", traceparent(&call.request))
            .body(line);
        let request = self.dressed(request, revealed)?;
        let span =
            tracing::info_span!("request", otel.name = "POST", otel.kind = "client", http.request.method = "POST", server.address = %place);
        let answered = async {
            let response = request.send().await.map_err(|wrong| unanswered(&wrong))?;
            self.read(response).await
        };
        answered.instrument(span).await.map_err(named)
    }

    /// A request with the headers that the project gives it.
    fn dressed(&self, mut request: RequestBuilder, revealed: &mut Revealed) -> Result<RequestBuilder, Failure> {
        for (name, value) in &self.headers {
            let (name, value) = header(name, value, revealed)?;
            request = request.header(name, value);
        }
        Ok(request)
    }

    async fn read(&self, response: Response) -> Outcome {
        let (status, headers) = (response.status(), response.headers().clone());
        if status.is_redirection() {
            let to = headers.get(LOCATION).and_then(|to| to.to_str().ok()).unwrap_or("nowhere");
            let to = beginning(to.as_bytes());
            return Err(invalid(format!("answered {status}, to {to}: redirects are not followed; write that address into the project")));
        }
        let limit = self.max_output.unwrap_or(MAX_VALUE_BYTES);
        let written = body(response, limit).await?;
        if status.is_success() {
            return match std::str::from_utf8(&written) {
                Ok(text) => answer(text).map_err(|failure| with_type(failure, headers.get(CONTENT_TYPE))),
                Err(_) => Err(invalid("answered with what is not UTF-8".to_owned())),
            };
        }
        // A service that knows Quorate says itself what is wrong.
        let own = std::str::from_utf8(&written).ok().filter(|text| without_mark(text).starts_with('{')).map(answer);
        let now = Timestamp::from_micros(now());
        let failure = match own {
            Some(Err(own)) if own.class != FailureClass::Invalid || status.is_client_error() => {
                Failure { message: format!("says: {}", own.message), ..own }
            }
            _ => {
                let said = beginning(&written);
                let said = if said.is_empty() { String::new() } else { format!(": {said}") };
                Failure::new(class_of(status), format!("answered {status}{said}"))
            }
        };
        let rest = failure.retry_after.or_else(|| retry_after(&headers, now));
        Err(failure.retry_after(rest))
    }

    /// Asks whether it is well.
    async fn probe(&self, endpoint: usize) -> Result<(), Failure> {
        let mut revealed = Revealed::default();
        let outcome = self.look_after(endpoint, &mut revealed).await;
        outcome.map_err(|failure| Failure { message: revealed.redacted(&failure.message), ..failure })
    }

    async fn look_after(&self, endpoint: usize, revealed: &mut Revealed) -> Result<(), Failure> {
        let place = self.place(endpoint)?;
        let mut address = url(&revealed.reveal(place)?, place, self.reach)?;
        if let Some(path) = &self.health {
            address = address.join(path).map_err(|wrong| invalid(format!("`{path}` is no path of a service ({wrong})")))?;
        }
        // Without a place to ask, it is well when it answers at all.
        let method = if self.health.is_some() { Method::GET } else { Method::HEAD };
        let request = self.dressed(client(self.reach)?.request(method, address), revealed)?;
        let named = |failure: Failure| told_of(place, failure);
        let response = request.send().await.map_err(|wrong| named(unanswered(&wrong)))?;
        match response.status() {
            status if status.is_success() => Ok(()),
            status if self.health.is_none() && !status.is_server_error() => Ok(()),
            status => Err(named(Failure::new(class_of(status), format!("answered {status} when asked how it is")))),
        }
    }
}

fn with_type(failure: Failure, kind: Option<&HeaderValue>) -> Failure {
    let kind = kind.and_then(|kind| kind.to_str().ok()).filter(|kind| !kind.contains("json"));
    match kind {
        Some(kind) => Failure { message: format!("answered as {}: {}", beginning(kind.as_bytes()), failure.message), ..failure },
        None => failure,
    }
}

/// The span that calls, where somebody traces; else the run is the trace, and the attempt a span of it.
fn traceparent(request: &Request) -> String {
    #[cfg(feature = "otel")]
    if let Some(current) = current_span() {
        return current;
    }
    let attempt = Digest::of_parts(&[&request.run.0.to_be_bytes(), request.task.as_bytes(), &request.attempt.to_be_bytes()]);
    format!("00-{}-{}-01", request.run, &attempt.to_string()[..16])
}

#[cfg(feature = "otel")]
fn current_span() -> Option<String> {
    use opentelemetry::trace::TraceContextExt as _;
    use tracing_opentelemetry::OpenTelemetrySpanExt as _;

    let context = tracing::Span::current().context();
    let span = context.span();
    let span = span.span_context();
    span.is_valid().then(|| format!("00-{}-{}-{:02x}", span.trace_id(), span.span_id(), span.trace_flags().to_u8()))
}
