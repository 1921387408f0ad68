//! Files for spreadsheets: cells that are quoted where they must be and never run as a formula, sent line by line.

use axum::body::{Body, Bytes};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures_util::stream::{Stream, StreamExt};
use std::fmt::Display;

/// One line of cells.
#[derive(Clone, Debug, Default)]
pub struct Row(String);

impl Row {
    /// With these cells, which people or providers have written.
    pub fn of<'a>(cells: impl IntoIterator<Item = &'a str>) -> Self {
        cells.into_iter().fold(Self::default(), Self::text)
    }

    /// A cell that somebody has written: what a spreadsheet would take for a formula begins with an apostrophe.
    pub fn text(mut self, cell: &str) -> Self {
        let first = cell.trim_start_matches([' ', '\u{a0}', '\u{3000}']).chars().next();
        let runs = first.is_some_and(|first| matches!(first, '=' | '+' | '-' | '@' | '\t' | '\r' | '\n' | '＝' | '＋' | '－' | '＠'));
        let cell = if runs { format!("'{cell}") } else { cell.to_owned() };
        let quoted = if cell.contains([',', '"', '\r', '\n', ';', '\t']) { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell };
        self.separate();
        self.0.push_str(&quoted);
        self
    }

    /// A number or a time of ours, which stays what it is.
    pub fn number(mut self, cell: impl Display) -> Self {
        self.separate();
        self.0.push_str(&cell.to_string());
        self
    }

    fn separate(&mut self) {
        if !self.0.is_empty() {
            self.0.push(',');
        }
    }

    /// The line, with its end.
    pub fn line(self) -> String {
        self.0 + "\r\n"
    }
}

/// A whole file.
pub fn whole(name: &str, text: String) -> Response {
    file(name, Body::from(text))
}

/// A file that is made while it is sent, a piece at a time. One that breaks off in the middle ends the connection, so that nobody takes it for whole.
pub fn stream<E>(name: &str, pieces: impl Stream<Item = Result<String, E>> + Send + 'static) -> Response
where
    E: std::error::Error + Send + Sync + 'static,
{
    file(name, Body::from_stream(pieces.map(|piece| piece.map(Bytes::from))))
}

fn file(name: &str, body: Body) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}.csv\"")),
        (header::CACHE_CONTROL, "no-store".to_owned()),
    ];
    (headers, body).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cell_runs_and_none_breaks_out() {
        for formula in ["=1+1", "+1", "-1", "@x", "\tx", "\rx", " =1", "＝1", "\n=1"] {
            let line = Row::of([formula]).line();
            assert!(line.trim_start_matches('"').starts_with('\''), "{formula:?}: {line:?}");
        }
        assert_eq!(Row::of(["a,b", "say \"x\"", "plain"]).number(-5).line(), "\"a,b\",\"say \"\"x\"\"\",plain,-5\r\n");
        assert_eq!(Row::of(["a\r\nb"]).line(), "\"a\r\nb\"\r\n");
    }
}
