//! Sends the spans of runs to an OpenTelemetry collector, where the project or the environment names one.

use quorate::host::Host;

use super::exit::Problem;

#[cfg(feature = "otel")]
pub(crate) use with::{begin, finish};

#[cfg(not(feature = "otel"))]
#[expect(clippy::unnecessary_wraps, reason = "with the feature it may fail")]
pub(crate) fn begin(_host: &Host) -> Result<(), Problem> {
    Ok(())
}

#[cfg(not(feature = "otel"))]
pub(crate) fn finish(_screen: &super::screen::Screen) {}

#[cfg(feature = "otel")]
mod with {
    use std::collections::HashMap;
    use std::sync::OnceLock;
    use std::time::Duration;

    use opentelemetry::trace::TracerProvider as _;
    use opentelemetry_otlp::{SpanExporter, WithExportConfig as _, WithHttpConfig as _};
    use opentelemetry_sdk::Resource;
    use opentelemetry_sdk::trace::SdkTracerProvider;
    use quorate::Secret;
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::{Host, Problem};
    use crate::cli::exit::Exit;
    use crate::cli::screen::Screen;

    /// The variable by which programs that export spans are told where to, as its standard has it.
    const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";

    /// How long the last spans may take.
    const PATIENCE: Duration = Duration::from_secs(3);

    static EXPORTING: OnceLock<SdkTracerProvider> = OnceLock::new();

    /// Begins to export, where somebody said where to.
    pub(crate) fn begin(host: &Host) -> Result<(), Problem> {
        let spec = host.project().telemetry.as_ref();
        let named = std::env::var(ENDPOINT).is_ok_and(|endpoint| !endpoint.is_empty());
        if (spec.is_none() && !named) || EXPORTING.get().is_some() {
            return Ok(());
        }
        let wrong = |why: String| Problem::new(Exit::Invalid, format!("could not set up the export of spans: {why}"));
        let reveal = |text: &str| Secret::parse(text, &host.folder).reveal().map_err(|failure| wrong(failure.message));
        // The exporter is built outside of async code, which its client wants.
        let mut exporter = SpanExporter::builder().with_http();
        if let Some(spec) = spec {
            let endpoint = format!("{}/v1/traces", reveal(&spec.endpoint)?.trim_end_matches('/'));
            let headers: HashMap<String, String> =
                spec.headers.iter().map(|(name, value)| Ok((name.clone(), reveal(value)?))).collect::<Result<_, Problem>>()?;
            exporter = exporter.with_endpoint(endpoint).with_headers(headers);
        }
        let build = std::thread::spawn(move || {
            // A program that this is part of may have chosen already.
            let _ = rustls::crypto::ring::default_provider().install_default();
            exporter.build()
        });
        let exporter = build.join().map_err(|_| wrong("its client panicked".to_owned()))?.map_err(|error| wrong(error.to_string()))?;
        let service = Resource::builder().with_service_name("quorate").build();
        let provider = SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(service).build();
        let layer = tracing_opentelemetry::layer().with_location(false).with_threads(false).with_tracer(provider.tracer("quorate"));
        let ours = tracing_subscriber::filter::filter_fn(|about| about.target().starts_with("quorate"));
        let subscriber = tracing_subscriber::registry().with(tracing_subscriber::Layer::with_filter(layer, ours));
        tracing::subscriber::set_global_default(subscriber).map_err(|error| wrong(error.to_string()))?;
        // Nobody else sets it.
        let _ = EXPORTING.set(provider);
        Ok(())
    }

    /// Sends what is left. A collector that does not answer holds nobody up for long.
    pub(crate) fn finish(screen: &Screen) {
        let sent = EXPORTING.get().map(|provider| (provider.force_flush(), provider.shutdown_with_timeout(PATIENCE)));
        if let Some((Err(wrong), _) | (Ok(()), Err(wrong))) = sent {
            screen.note(&format!("warning: spans could not be sent to the collector: {wrong}"));
        }
    }
}
