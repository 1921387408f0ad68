//! Who is behind an e-mail address: many addresses may lead to one mailbox.

/// Hosts that ignore dots before the @, all of them one mail service.
const DOTLESS: [&str; 2] = ["gmail.com", "googlemail.com"];

/// The mailbox of an address: without what stands after a plus, and without dots where the host ignores them.
pub(super) fn person(email: &str) -> String {
    let email = email.to_ascii_lowercase();
    let Some((local, host)) = email.rsplit_once('@') else { return email };
    let base = local.split('+').next().filter(|base| !base.is_empty()).unwrap_or(local);
    if DOTLESS.contains(&host) { format!("{}@{}", base.replace('.', ""), DOTLESS[0]) } else { format!("{base}@{host}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_mailbox_is_one_person() {
        for (email, mailbox) in [
            ("Ann@Example.com", "ann@example.com"),
            ("ann+shop+2@example.com", "ann@example.com"),
            ("a.nn@example.com", "a.nn@example.com"),
            ("A.n.n+x@gmail.com", "ann@gmail.com"),
            ("ann@googlemail.com", "ann@gmail.com"),
            ("+ann@example.com", "+ann@example.com"),
            ("nonsense", "nonsense"),
        ] {
            assert_eq!(person(email), mailbox);
        }
    }
}
