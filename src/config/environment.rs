//! The process environment and the file `.env` as one source of values.

use super::{ConfigError, Problem};
use std::collections::HashMap;
use std::path::Path;

/// Values by name. What stands in the environment wins over `.env`, and what the command line sets wins over both.
#[derive(Clone, Default)]
pub struct Environment {
    overrides: HashMap<String, String>,
    file: HashMap<String, String>,
}

impl Environment {
    /// Reads `.env` in the working folder, when there is one. The process environment is not changed.
    ///
    /// # Errors
    /// When the file is there and cannot be read or understood.
    pub fn read() -> Result<Self, ConfigError> {
        Self::read_file(Path::new(".env"))
    }

    /// As [`Environment::read`], from a file of another name.
    ///
    /// # Errors
    /// As [`Environment::read`].
    pub fn read_file(path: &Path) -> Result<Self, ConfigError> {
        let problem = |text: String| ConfigError(vec![Problem { setting: path.display().to_string(), text }]);
        let lines = match dotenvy::from_path_iter(path) {
            Ok(lines) => lines,
            Err(error) if error.not_found() => return Ok(Self::default()),
            Err(error) => return Err(problem(format!("cannot be read: {error}"))),
        };
        let mut file = HashMap::new();
        for (at, line) in lines.enumerate() {
            // The parser's message quotes the line, which may hold a password.
            let (name, value) =
                line.map_err(|_| problem(format!("cannot be understood after {at} settings; write NAME=value, in single quotes when it has spaces, # or $")))?;
            file.insert(name, value);
        }
        Ok(Self { overrides: HashMap::new(), file })
    }

    /// Sets a value that wins over the environment, for a flag of the command line.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.overrides.insert(name.to_owned(), value.into());
        self
    }

    /// The value of a setting.
    pub fn get(&self, name: &str) -> Option<String> {
        self.overrides.get(name).cloned().or_else(|| std::env::var(name).ok()).or_else(|| self.file.get(name).cloned())
    }
}

impl std::fmt::Debug for Environment {
    /// Without the values: some are secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Environment").finish_non_exhaustive()
    }
}
