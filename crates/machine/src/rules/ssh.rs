//! The shape of SSH public keys, as in an authorized_keys file.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

const TYPES: [&str; 7] = [
    "ssh-ed25519",
    "ssh-rsa",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
];

/// What is wrong with a key, and what to do; `None` if nothing is.
pub(super) fn key_problem(key: &str) -> Option<(&'static str, &'static str)> {
    const HELP: &str = "copy the one line of a .pub file, such as `ssh-ed25519 AAAAC3Nz... name@host`";
    let key = key.trim();
    if key.contains("PRIVATE KEY") {
        let help =
            "take it out, and write the contents of the .pub file beside it; if this file was shared, make a new key";
        return Some(("this is a private key", help));
    }
    if key.contains(['\n', '\r']) {
        return Some(("there is more than one line in this key", "one key in each item of the list"));
    }
    if key.starts_with("ssh-dss") {
        return Some(("DSA keys are no longer accepted by OpenSSH", "make a new key with `ssh-keygen -t ed25519`"));
    }
    if key.starts_with('@') {
        let help =
            "in a list of keys that may log in, the option in front of a key is `cert-authority`, without the `@`";
        return Some(("this is a line of a known_hosts file", help));
    }
    // Options may stand before the type, with blanks inside quotes; the type is the first word that is one.
    let mut words = key.split([' ', '\t']).filter(|word| !word.is_empty());
    let Some(kind) = words.find(|word| TYPES.contains(word)) else {
        return Some(match key.ends_with(".pub") || key.starts_with(['/', '~', '.']) {
            true => ("this is the name of a file, not a key", HELP),
            false => ("this is not an SSH public key", HELP),
        });
    };
    let blob = words.next().and_then(|word| STANDARD.decode(word).ok());
    match blob.as_deref().and_then(fields) {
        Some(fields) if fields.len() > 1 && fields[0] == kind.as_bytes() => None,
        _ => Some(("this SSH public key is damaged or cut off", HELP)),
    }
}

/// The fields of a key: each has its length in front (RFC 4251). `None` if they do not fill the key.
fn fields(mut blob: &[u8]) -> Option<Vec<&[u8]>> {
    let mut fields = Vec::new();
    while !blob.is_empty() {
        let (length, rest) = blob.split_first_chunk::<4>()?;
        let (field, rest) = rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
        fields.push(field);
        blob = rest;
    }
    Some(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDwYJgVdFx0xHnWSbZPXNJqWVxE3gJ6bq2zKo0m3tq5d";

    #[test]
    fn keys_are_told_from_what_is_pasted_by_mistake() {
        assert_eq!(key_problem(KEY), None);
        assert_eq!(key_problem(&format!("{KEY} alice@laptop of hers")), None);
        assert_eq!(key_problem(&KEY.replace(' ', "\t")), None);
        assert_eq!(key_problem(&format!("cert-authority,principals=\"a b\"\t{KEY}")), None);
        assert_eq!(key_problem(&format!("no-pty,command=\"echo hi there\" {KEY}")), None);
        let says = |key: &str| key_problem(key).map(|(message, _)| message).unwrap_or_default();
        assert!(says(&KEY[..60]).contains("cut off"));
        assert!(says("~/.ssh/id_ed25519.pub").contains("name of a file"));
        assert!(says("-----BEGIN OPENSSH PRIVATE KEY-----").contains("private"));
        assert!(says("ssh-ed25519").contains("cut off"));
        assert!(says(&format!("@cert-authority * {KEY}")).contains("known_hosts"));
        assert!(says("alice").contains("not an SSH public key"));
        assert!(says(&KEY.replace("ssh-ed25519 ", "ssh-rsa ")).contains("damaged"));
    }
}
