//! Log lines as go-plugin reads them: one JSON object a line on standard error.

use std::{
    collections::BTreeMap,
    fmt,
    io::{self, Write},
};

use serde_json::Value as Json;
use time::{OffsetDateTime, format_description::BorrowedFormatItem, macros::format_description};
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
    level_filters::LevelFilter,
    span,
};
use tracing_subscriber::{Layer, layer::Context, layer::SubscriberExt, registry::LookupSpan};

/// hclog's form; with other than six digits Core shows the line as raw text.
const TIMESTAMP: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:6]Z");

/// Core reads lines of at most 64 KiB.
const LONGEST: usize = 60_000;

/// Sends all tracing to standard error. `TF_LOG_PROVIDER_<NAME>` goes over `TF_LOG_PROVIDER`, that
/// over `TF_LOG`; nothing is written without one of them.
pub(crate) fn install(name: &'static str, variable: impl Fn(&str) -> Option<String>) {
    let own = format!("TF_LOG_PROVIDER_{}", name.to_uppercase());
    let level = [own.as_str(), "TF_LOG_PROVIDER", "TF_LOG"]
        .iter()
        .find_map(|name| variable(name).filter(|value| !value.is_empty()))
        .map_or(LevelFilter::OFF, |text| level(&text));
    let layer = Lines { module: name }.with_filter(
        tracing_subscriber::filter::Targets::new()
            .with_default(level)
            // Their trace lines are about bytes on the wire and hold what passes there.
            .with_targets(
                [
                    "h2",
                    "hyper",
                    "hyper_util",
                    "rustls",
                    "russh",
                    "tonic",
                    "tower",
                    "reqwest",
                ]
                .map(|target| (target, level.min(LevelFilter::WARN))),
            ),
    );
    // A second call, as in tests, keeps the first subscriber.
    let _ = tracing::subscriber::set_global_default(tracing_subscriber::registry().with(layer));
}

fn level(text: &str) -> LevelFilter {
    match text.to_ascii_lowercase().as_str() {
        "off" => LevelFilter::OFF,
        "error" => LevelFilter::ERROR,
        "warn" => LevelFilter::WARN,
        "info" => LevelFilter::INFO,
        "debug" => LevelFilter::DEBUG,
        _ => LevelFilter::TRACE,
    }
}

/// An error with all its causes.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

struct Lines {
    module: &'static str,
}

#[derive(Default)]
struct Fields(BTreeMap<String, Json>);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0
            .insert(field.name().to_owned(), Json::String(format!("{value:?}")));
    }
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0
            .insert(field.name().to_owned(), Json::String(value.to_owned()));
    }
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.insert(field.name().to_owned(), value.into());
    }
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.insert(field.name().to_owned(), value.into());
    }
    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.0
            .insert(field.name().to_owned(), Json::String(chain(value)));
    }
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Lines {
    fn on_new_span(
        &self,
        attributes: &span::Attributes<'_>,
        id: &span::Id,
        context: Context<'_, S>,
    ) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(fields);
        }
    }

    fn on_record(&self, id: &span::Id, values: &span::Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
        {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut line = Fields::default();
        for span in context.event_scope(event).into_iter().flatten() {
            if let Some(fields) = span.extensions().get::<Fields>() {
                for (name, value) in &fields.0 {
                    line.0.entry(name.clone()).or_insert_with(|| value.clone());
                }
            }
        }
        event.record(&mut line);
        let text = compose(*event.metadata().level(), self.module, line.0);
        // Nobody can be told that standard error is gone.
        let _ = io::stderr().lock().write_all(text.as_bytes());
    }
}

/// A whole line.
fn compose(level: Level, module: &str, mut fields: BTreeMap<String, Json>) -> String {
    // Core takes it for text without looking, and dies of anything else.
    let message = match fields.remove("message") {
        None => String::new(),
        Some(Json::String(message)) => message,
        Some(other) => other.to_string(),
    };
    let level = match level {
        Level::ERROR => "error",
        Level::WARN => "warn",
        Level::INFO => "info",
        Level::DEBUG => "debug",
        Level::TRACE => "trace",
    };
    let now = OffsetDateTime::now_utc()
        .format(TIMESTAMP)
        .expect("a date of our time fits the format");
    let own = |message: String| {
        [
            ("@level", level.to_owned()),
            ("@message", message),
            ("@module", module.to_owned()),
            ("@timestamp", now.clone()),
        ]
        .map(|(name, text)| (name.to_owned(), Json::String(text)))
    };
    fields.extend(own(message.clone()));
    let text = |fields| serde_json::to_string(fields).expect("a map of JSON is JSON") + "\n";
    let line = text(&fields);
    if line.len() <= LONGEST {
        return line;
    }
    let begin: String = message.chars().take(1000).collect();
    text(&own(format!("{begin} (the rest of this line is too long)")).into())
}

/// Makes Core show a panic as one: it looks for this prefix, which Rust's own text does not have.
pub(crate) fn install_panic_hook() {
    std::panic::set_hook(Box::new(|info| {
        let backtrace = std::backtrace::Backtrace::force_capture();
        let text = format!("panic: {info}\n\n{backtrace}\n");
        let _ = io::stderr().lock().write_all(text.as_bytes());
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(fields: impl IntoIterator<Item = (&'static str, Json)>) -> Json {
        let fields = fields
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value));
        let text = compose(Level::INFO, "etcd", fields.collect());
        assert!(text.ends_with('\n') && text.len() < 64 << 10);
        serde_json::from_str(&text).expect("a line of JSON")
    }

    #[test]
    fn what_core_takes_for_text_is_text() {
        let json = line([
            ("message", 5.into()),
            ("@level", 7.into()),
            ("port", 22.into()),
        ]);
        assert_eq!(
            (&json["@message"], &json["@level"]),
            (&"5".into(), &"info".into())
        );
        assert_eq!(json["port"], 22);
        assert_eq!(line([])["@message"], "");
    }

    #[test]
    fn a_line_that_is_too_long_keeps_its_beginning() {
        let long = "x".repeat(100_000);
        let json = line([
            ("message", "read a file".into()),
            ("content", long.as_str().into()),
        ]);
        let message = json["@message"].as_str().unwrap_or_default();
        assert!(message.starts_with("read a file ("), "{message}");
        line([("message", "\u{1f600}".repeat(50_000).into())]);
    }

    #[test]
    fn levels_are_those_of_core() {
        for (text, wanted) in [
            ("off", LevelFilter::OFF),
            ("WARN", LevelFilter::WARN),
            ("debug", LevelFilter::DEBUG),
            ("JSON", LevelFilter::TRACE),
            ("anything", LevelFilter::TRACE),
        ] {
            assert_eq!(level(text), wanted, "{text}");
        }
    }

    #[test]
    fn an_error_is_told_with_its_causes() {
        let source = io::Error::other("cause");
        let error = crate::tls::Error::ClientCertificate(rustls::pki_types::pem::Error::Io(source));
        assert_eq!(
            chain(&error),
            "PLUGIN_CLIENT_CERT is not a certificate: I/O error: cause"
        );
    }
}
