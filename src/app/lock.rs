//! One serving process per SQLite file: recovery at start may then take every open hold for a dead node's.

use crate::config::Config;
use crate::db::{Engine, make_private_folder, sqlite_path};
use std::fs::{File, OpenOptions, TryLockError};
use std::path::PathBuf;

/// Held as long as the process serves; the operating system frees it when the process dies.
pub(super) struct FileLock(#[allow(dead_code)] File);

/// Why the lock could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Somebody else has it.
    #[error("another farebox serves from this database ({0} is locked); stop it first, or use PostgreSQL for more than one node")]
    Taken(PathBuf),
    /// The file cannot be made.
    #[error("cannot lock {0}: {1}")]
    File(PathBuf, std::io::Error),
}

/// Takes the lock beside the file of an embedded database. PostgreSQL needs none.
pub(super) fn take(config: &Config) -> Result<Option<FileLock>, LockError> {
    if config.database.engine == Engine::Postgres {
        return Ok(None);
    }
    let Some(path) = sqlite_path(config.database.url.reveal()) else { return Ok(None) };
    let path = path.with_added_extension("lock");
    let failed = |error| LockError::File(path.clone(), error);
    if let Some(folder) = path.parent() {
        make_private_folder(folder).map_err(failed)?;
    }
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(FileLock(file))),
        Err(TryLockError::WouldBlock) => Err(LockError::Taken(path)),
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}
