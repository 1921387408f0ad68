//! The log: one subscriber for the process, to standard error, since standard output belongs to what a command prints
//! (`demo --json`, `audit`).

use crate::config::{LogConfig, LogFormat};
use std::io::IsTerminal;
use tracing::Subscriber;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::util::SubscriberInitExt;

/// Starts the log. A second call changes nothing: the first subscriber stays.
pub fn init(config: &LogConfig) {
    let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let _ = subscriber(config, colour, std::io::stderr).try_init();
}

fn subscriber<W>(config: &LogConfig, colour: bool, writer: W) -> Box<dyn Subscriber + Send + Sync>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    // The settings were validated: a filter that does not parse is seen only by a caller who built `LogConfig` by hand.
    let filter = EnvFilter::builder().parse(&config.filter).unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    match config.format {
        LogFormat::Text => Box::new(builder.with_ansi(colour).finish()),
        LogFormat::Json => Box::new(builder.json().flatten_event(true).with_current_span(true).with_span_list(false).finish()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl Write for Page {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn logged(format: LogFormat, filter: &str) -> String {
        let page = Page::default();
        let writer = page.clone();
        let subscriber = subscriber(&LogConfig { format, filter: filter.into() }, false, move || writer.clone());
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(request = "abc", "settled");
            tracing::debug!("detail");
        });
        let bytes = page.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn json_is_one_object_per_line_and_the_filter_holds() {
        let text = logged(LogFormat::Json, "info");
        let line: serde_json::Value = serde_json::from_str(text.trim_end()).unwrap();
        assert_eq!((&line["message"], &line["request"], &line["level"]), (&"settled".into(), &"abc".into(), &"INFO".into()));
    }

    #[test]
    fn text_is_for_people() {
        let text = logged(LogFormat::Text, "debug");
        assert!(text.contains("INFO") && text.contains("settled request=\"abc\"") && text.contains("detail"), "{text}");
    }
}
