//! Passwords: what may be one, and how they are hashed.

use crate::kernel::Random;
use crate::kernel::secrets::Secret;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _, phc};
use argon2::{Algorithm, Argon2, Params, Version};
use std::sync::Arc;
use tokio::sync::Semaphore;

/// The shortest password, in characters.
pub const MIN_CHARS: usize = 10;
/// The longest password, in characters.
pub const MAX_CHARS: usize = 200;

const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// A password that somebody may choose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Password(Secret<String>);

/// Why a text cannot be a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadPassword {
    /// Fewer than [`MIN_CHARS`] characters.
    #[error("is shorter than 10 characters")]
    TooShort,
    /// More than [`MAX_CHARS`] characters.
    #[error("is longer than 200 characters")]
    TooLong,
}

impl Password {
    /// Checks a chosen password. Any characters go; only the length counts.
    ///
    /// # Errors
    /// As [`BadPassword`] says.
    pub fn parse(text: &str) -> Result<Self, BadPassword> {
        match text.chars().count() {
            n if n < MIN_CHARS => Err(BadPassword::TooShort),
            n if n > MAX_CHARS => Err(BadPassword::TooLong),
            _ => Ok(Self(Secret::new(text.to_owned()))),
        }
    }
}

/// Hashes and verifies passwords (argon2id), away from the threads that serve requests and no more at once than there are
/// processors: each one in progress takes the memory that its parameters say.
#[derive(Clone)]
pub struct PasswordHasher {
    argon: Argon2<'static>,
    random: Random,
    turns: Arc<Semaphore>,
    /// The hash of a password that nobody knows, for log-ins to accounts that do not exist.
    decoy: Arc<str>,
}

/// A password could not be hashed: the machine is out of memory or shutting down.
#[derive(Debug, thiserror::Error)]
#[error("a password could not be hashed: {0}")]
pub struct HashError(String);

impl PasswordHasher {
    /// The parameters of production, those that OWASP recommends: 19 MiB, two passes, one lane.
    ///
    /// # Panics
    /// Never: the parameters are within argon2's limits.
    pub fn params() -> Params {
        Params::new(MEMORY_KIB, PASSES, LANES, None).expect("the parameters are within limits")
    }

    /// Parameters for tests only: almost no work.
    ///
    /// # Panics
    /// Never: the parameters are within argon2's limits.
    pub fn cheap_params() -> Params {
        Params::new(Params::MIN_M_COST, Params::MIN_T_COST, LANES, None).expect("the parameters are within limits")
    }

    /// A hasher. Making one hashes once.
    ///
    /// # Errors
    /// [`HashError`] when there is no memory for that.
    pub fn new(params: Params, random: Random) -> Result<Self, HashError> {
        let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let processors = std::thread::available_parallelism().map_or(2, usize::from);
        let unknown: [u8; 32] = random.bytes();
        let decoy = hash(&argon, &unknown, random.bytes())?.into();
        Ok(Self { argon, random, turns: Arc::new(Semaphore::new(processors)), decoy })
    }

    /// The hash to keep of a password.
    ///
    /// # Errors
    /// [`HashError`].
    pub async fn hash(&self, password: &Password) -> Result<String, HashError> {
        let (password, salt) = (password.clone(), self.random.bytes());
        self.work(move |argon| hash(argon, password.0.reveal().as_bytes(), salt)).await?
    }

    /// Whether `attempt` is the password of `known`. Without one the answer is no, after the same work.
    ///
    /// # Errors
    /// [`HashError`].
    pub async fn verify(&self, attempt: &str, known: Option<&str>) -> Result<bool, HashError> {
        let is_known = known.is_some();
        let against = known.map_or_else(|| self.decoy.clone(), Arc::from);
        // What is too long to have been accepted is cut: it costs no more than the longest password and never matches.
        let attempt = Secret::new(attempt.chars().take(MAX_CHARS + 1).collect::<String>());
        let matches = self.work(move |argon| argon.verify_password(attempt.reveal().as_bytes(), &*against).is_ok()).await?;
        Ok(matches && is_known)
    }

    /// Whether a hash was made with other parameters than today's.
    pub fn is_outdated(&self, known: &str) -> bool {
        let params = phc::PasswordHash::new(known).ok().and_then(|hash| Params::try_from(&hash).ok());
        let today = self.argon.params();
        params.is_none_or(|then| (then.m_cost(), then.t_cost(), then.p_cost()) != (today.m_cost(), today.t_cost(), today.p_cost()))
    }

    async fn work<T: Send + 'static>(&self, job: impl FnOnce(&Argon2<'static>) -> T + Send + 'static) -> Result<T, HashError> {
        let turn = self.turns.clone().acquire_owned().await.map_err(|error| HashError(error.to_string()))?;
        let argon = self.argon.clone();
        let done = tokio::task::spawn_blocking(move || {
            // The turn ends with the work, not with the request: a client that hangs up does not make room for another.
            let _turn = turn;
            job(&argon)
        });
        done.await.map_err(|error| HashError(error.to_string()))
    }
}

impl std::fmt::Debug for PasswordHasher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PasswordHasher")
    }
}

fn hash(argon: &Argon2<'_>, password: &[u8], salt: [u8; 16]) -> Result<String, HashError> {
    let hash: phc::PasswordHash = argon.hash_password_with_salt(password, &salt).map_err(|error| HashError(error.to_string()))?;
    Ok(hash.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_length_of_a_password_counts() {
        assert_eq!(Password::parse("123456789"), Err(BadPassword::TooShort));
        assert!(Password::parse("1234567890").is_ok());
        assert!(Password::parse("密码密码密码密码密码").is_ok());
        assert!(Password::parse(&"é".repeat(200)).is_ok());
        assert_eq!(Password::parse(&"é".repeat(201)), Err(BadPassword::TooLong));
        assert_eq!(format!("{:?}", Password::parse("1234567890")), "Ok(Password([secret]))");
    }

    #[tokio::test]
    async fn a_hash_says_its_parameters_and_verifies_only_its_password() {
        let hasher = PasswordHasher::new(PasswordHasher::cheap_params(), Random::seeded(1)).unwrap();
        let password = Password::parse("correct horse").unwrap();
        let kept = hasher.hash(&password).await.unwrap();
        assert!(kept.starts_with("$argon2id$v=19$m=8,t=1,p=1$"), "{kept}");
        assert_ne!(kept, hasher.hash(&password).await.unwrap());
        assert!(hasher.verify("correct horse", Some(&kept)).await.unwrap());
        assert!(!hasher.verify("correct house", Some(&kept)).await.unwrap());
        assert!(!hasher.verify("correct horse", None).await.unwrap());
        assert!(!hasher.verify("correct horse", Some("nonsense")).await.unwrap());
        assert!(!hasher.is_outdated(&kept));
        let dearer = PasswordHasher::new(PasswordHasher::params(), Random::seeded(1)).unwrap();
        assert!(dearer.is_outdated(&kept) && dearer.verify("correct horse", Some(&kept)).await.unwrap());
    }

    #[tokio::test]
    async fn the_longest_password_is_not_the_same_as_a_longer_one() {
        let hasher = PasswordHasher::new(PasswordHasher::cheap_params(), Random::seeded(1)).unwrap();
        let longest = "é".repeat(200);
        let kept = hasher.hash(&Password::parse(&longest).unwrap()).await.unwrap();
        assert!(hasher.verify(&longest, Some(&kept)).await.unwrap());
        assert!(!hasher.verify(&format!("{longest}é"), Some(&kept)).await.unwrap());
        assert!(!hasher.verify(&"é".repeat(100_000), Some(&kept)).await.unwrap());
    }
}
