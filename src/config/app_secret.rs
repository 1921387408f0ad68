//! Where the application secret comes from: given, or made once and kept in a file that only its owner reads.
//!
//! Invariants: the file appears whole or not at all, it is never readable by others for any moment, and two processes that
//! start together end with the same secret.

use super::reader::Reader;
use crate::db::{Engine, make_private_folder};
use crate::kernel::Random;
use crate::kernel::secrets::{AppSecret, BadAppSecret, token};
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

/// Where the application secret comes from.
#[derive(Clone, Debug)]
pub enum AppSecretSource {
    /// The setting `APP_SECRET`.
    Given(AppSecret),
    /// This file, made at the first start.
    File(PathBuf),
}

/// Why there is no application secret.
#[derive(Debug, thiserror::Error)]
pub enum AppSecretError {
    /// The file is there and cannot be read.
    #[error("cannot read the application secret in {0}: {1}")]
    Read(PathBuf, std::io::Error),
    /// The file cannot be made.
    #[error("cannot keep a new application secret in {0}: {1} (or set APP_SECRET)")]
    Create(PathBuf, std::io::Error),
    /// Others than the owner may read or write it.
    #[error("{0} has the permissions {1:03o}: others may have read the application secret. If nobody did: chmod 600 {0}")]
    Exposed(PathBuf, u32),
    /// It holds something else.
    #[error("the application secret in {0} {1}")]
    Bad(PathBuf, BadAppSecret),
}

impl AppSecretSource {
    /// The secret itself; makes the file at the first start.
    ///
    /// # Errors
    /// As [`AppSecretError`] says.
    pub fn open(&self, random: &Random) -> Result<AppSecret, AppSecretError> {
        match self {
            Self::Given(secret) => Ok(secret.clone()),
            Self::File(path) => match read_file(path)? {
                Some(secret) => Ok(secret),
                None => create_file(path, random),
            },
        }
    }
}

const APP_SECRET: &str = "APP_SECRET";

pub(super) fn read(reader: &mut Reader, engine: Engine, data_dir: &Path) -> AppSecretSource {
    let file = AppSecretSource::File(data_dir.join("app_secret"));
    match reader.text(APP_SECRET).map(|text| text.parse::<AppSecret>()) {
        Some(Ok(secret)) => return AppSecretSource::Given(secret),
        Some(Err(bad)) => reader.problem(APP_SECRET, bad.to_string()),
        None if engine == Engine::Postgres => {
            reader.problem(APP_SECRET, "must be set with PostgreSQL, since all nodes share it; make one with: openssl rand -hex 32");
        }
        None => {}
    }
    file
}

/// The secret in the file; none when there is no file.
fn read_file(path: &Path) -> Result<Option<AppSecret>, AppSecretError> {
    let failed = |error| AppSecretError::Read(path.to_owned(), error);
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    check_owner_only(path, &file)?;
    let mut text = zeroize::Zeroizing::new(String::new());
    file.read_to_string(&mut text).map_err(failed)?;
    text.parse().map(Some).map_err(|bad| AppSecretError::Bad(path.to_owned(), bad))
}

/// Writes a new secret beside its place and links it there, which fails when somebody was faster: then theirs counts.
fn create_file(path: &Path, random: &Random) -> Result<AppSecret, AppSecretError> {
    let failed = |error| AppSecretError::Create(path.to_owned(), error);
    let folder = path.parent().unwrap_or(Path::new("."));
    make_private_folder(folder).map_err(failed)?;
    let secret = AppSecret::generate(random);
    let draft = folder.join(format!(".app_secret.{}", token(random)));
    let linked = write_draft(&draft, &secret).and_then(|()| std::fs::hard_link(&draft, path));
    let _ = std::fs::remove_file(&draft);
    match linked {
        Ok(()) => {
            sync_folder(folder).map_err(failed)?;
            Ok(secret)
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => read_file(path)?.ok_or_else(|| failed(error)),
        Err(error) => Err(failed(error)),
    }
}

fn write_draft(path: &Path, secret: &AppSecret) -> std::io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(secret.to_hex().as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()
}

/// Makes the new name durable: a secret that vanishes with the power takes every sealed value with it.
fn sync_folder(folder: &Path) -> std::io::Result<()> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

#[cfg(unix)]
fn check_owner_only(path: &Path, file: &File) -> Result<(), AppSecretError> {
    use std::os::unix::fs::PermissionsExt;
    let mode = file.metadata().map_err(|error| AppSecretError::Read(path.to_owned(), error))?.permissions().mode() & 0o777;
    if mode & 0o077 == 0 { Ok(()) } else { Err(AppSecretError::Exposed(path.to_owned(), mode)) }
}

#[cfg(not(unix))]
fn check_owner_only(_path: &Path, _file: &File) -> Result<(), AppSecretError> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_start_makes_it_and_the_next_finds_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data/app_secret");
        let source = AppSecretSource::File(path.clone());
        let made = source.open(&Random::seeded(1)).unwrap().to_hex();
        assert_eq!(source.open(&Random::seeded(2)).unwrap().to_hex(), made);
        let left: Vec<_> = std::fs::read_dir(folder.path().join("data")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["app_secret"]);
    }

    #[test]
    fn processes_that_start_together_share_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data/app_secret");
        let made: Vec<_> = std::thread::scope(|scope| {
            let starts: Vec<_> = (0..16)
                .map(|seed| {
                    scope.spawn({
                        let path = path.clone();
                        move || AppSecretSource::File(path).open(&Random::seeded(seed)).unwrap().to_hex()
                    })
                })
                .collect();
            starts.into_iter().map(|start| start.join().unwrap()).collect()
        });
        assert!(made.windows(2).all(|pair| pair[0] == pair[1]));
    }

    #[test]
    fn a_broken_file_is_refused_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("app_secret");
        write_draft(&path, &AppSecret::generate(&Random::seeded(1))).unwrap();
        std::fs::write(&path, "0".repeat(64)).unwrap();
        let error = AppSecretSource::File(path.clone()).open(&Random::seeded(2)).unwrap_err();
        assert!(matches!(error, AppSecretError::Bad(_, BadAppSecret::Example)), "{error}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "0".repeat(64));
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_may_read_it() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data/app_secret");
        let source = AppSecretSource::File(path.clone());
        source.open(&Random::seeded(1)).unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));

        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        let error = source.open(&Random::seeded(1)).unwrap_err().to_string();
        assert!(error.contains("644") && error.contains("chmod 600"), "{error}");
    }
}
