//! The hash of GRUB's password.

use crate::rules::{Findings, short};

/// Below this a password is tried out quickly; `grub-mkpasswd-pbkdf2` takes 10,000.
const FEW_ROUNDS: u32 = 1000;

/// GRUB takes no more time than a person has.
const MOST_ROUNDS: u32 = 10_000_000;

pub(super) fn check(hash: &str, f: &mut Findings) {
    const AT: &str = "/boot/password_hash";
    const HELP: &str = "`grub-mkpasswd-pbkdf2` makes one from a password; copy what begins with `grub.pbkdf2`";
    let Some(rest) = hash.strip_prefix("grub.pbkdf2.sha512.") else {
        let message = match hash {
            _ if hash.starts_with('$') => "this is a hash for a login; GRUB has a form of its own",
            _ if hash.starts_with("grub.pbkdf2.") => "GRUB's hashes are made with SHA-512",
            _ => "this is not the hash of a password, and the password itself must not stand here",
        };
        return f.wrong(AT, message, HELP);
    };
    let parts: Vec<&str> = rest.split('.').collect();
    let hexadecimal =
        |text: &str| !text.is_empty() && text.len().is_multiple_of(2) && text.bytes().all(|b| b.is_ascii_hexdigit());
    let [rounds, salt, sum] = parts.as_slice() else {
        return f.wrong(AT, "the hash is damaged or cut off: it has not its four parts", HELP);
    };
    let digits = rounds.bytes().all(|b| b.is_ascii_digit()) && !rounds.starts_with('0');
    match rounds.parse::<u32>() {
        Ok(1..=MOST_ROUNDS) if !digits => f.wrong(AT, "the hash's number of rounds is not a plain number", HELP),
        Ok(1..FEW_ROUNDS) => {
            let help = "make one with at least 1000 rounds; `grub-mkpasswd-pbkdf2` takes 10000";
            f.doubtful(AT, format!("{} rounds are few: the password is soon found by trying", short(rounds)), help);
        }
        Ok(1..=MOST_ROUNDS) => {}
        _ => return f.wrong(AT, "the hash's number of rounds is not one from 1 to 10000000", HELP),
    }
    if !hexadecimal(salt) || !hexadecimal(sum) {
        f.wrong(AT, "the hash is damaged or cut off: salt and sum are pairs of hexadecimal digits", HELP);
    } else if sum.len() < 64 {
        f.wrong(AT, "the hash is damaged or cut off: its sum is too short", HELP);
    }
}
