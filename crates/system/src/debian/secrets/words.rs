//! What can be told from a file's bytes: whether it may have been drawn, and the words that would show it.

/// Shorter words are in some file of some package by accident.
const SHORTEST: usize = 8;
/// In what is no text, bytes that look like a word are none.
const SHORTEST_IN_BINARY: usize = 16;
/// A key of 16 bytes in hexadecimal digits, a byte at a time.
const HEX_BYTES: usize = 16;
/// How dense keys are, of 1: random bytes as few as a key's reach 0.85, databases and settings not half of it.
const DENSE: f64 = 0.8;

/// Signs of keys and of hashed passwords, for what everybody may read.
const SIGNS: [&[u8]; 5] = [
    b"PRIVATE KEY-----",
    b"PRIVATE KEY BLOCK-----",
    b"$argon2",
    b"{SSHA}",
    // The same in base64, as in LDIF.
    b"e1NTSEF9",
];

/// How the hashes of crypt(5) begin; what follows must look like a salt, for scripts have such arguments.
const HASHES: [&[u8]; 6] = [b"$1$", b"$5$", b"$6$", b"$y$", b"$2y$", b"$2b$"];
const SALT: usize = 8;

/// Compressed text is as dense as a key; keyrings with public keys hold nothing else.
const DENSE_AND_PUBLIC: [(usize, &[u8]); 4] =
    [(0, b"\x1f\x8b"), (0, b"\xfd7zXZ\0"), (0, b"\x28\xb5\x2f\xfd"), (8, b"KBXf")];

/// Whether a file holds what is a key or a password by its looks.
pub(super) fn looks_like_a_key(bytes: &[u8]) -> bool {
    let hash = |start: &[u8]| {
        let is_salt = |rest: &[u8]| {
            rest.len() >= SALT && rest[..SALT].iter().all(|b| b.is_ascii_alphanumeric() || b"./$".contains(b))
        };
        (0..bytes.len()).any(|at| bytes[at..].starts_with(start) && is_salt(&bytes[at + start.len()..]))
    };
    SIGNS.iter().any(|sign| bytes.windows(sign.len()).any(|w| w == *sign)) || HASHES.iter().any(|start| hash(start))
}

/// Whether a file was drawn for sure, and if not, the words of it that may have been.
pub(super) fn of(bytes: &[u8]) -> (bool, Vec<Vec<u8>>) {
    let text = std::str::from_utf8(bytes).ok().filter(|text| !text.contains('\0'));
    let mut words = Vec::new();
    match text {
        None => {
            each(bytes, |word| {
                if word.len() >= SHORTEST_IN_BINARY && is_telling(word) {
                    words.push(word.to_vec());
                }
            });
            (is_dense(bytes), words)
        }
        Some(text) => {
            let text = without_public_parts(text);
            each(text.as_bytes(), |word| {
                if is_telling(word) {
                    words.push(word.to_vec());
                }
            });
            (has_hex_bytes(&text), words)
        }
    }
}

/// Calls with each word: letters and digits, as many as there are in a row.
pub(super) fn each(bytes: &[u8], mut found: impl FnMut(&[u8])) {
    bytes.split(|b| !b.is_ascii_alphanumeric()).filter(|word| word.len() >= SHORTEST).for_each(&mut found);
}

/// Whether a word could have been drawn. Numbers and times are none: they count or date something.
fn is_telling(word: &[u8]) -> bool {
    let digits = word.iter().filter(|b| b.is_ascii_digit()).count();
    let is_time = word.iter().all(|b| b.is_ascii_digit() || matches!(b, b'T' | b'Z')) && digits + 2 >= word.len();
    if is_time {
        return digits == word.len() && digits > 14;
    }
    let capitals = word.iter().skip(1).filter(|b| b.is_ascii_uppercase()).count();
    digits > 0 || word.len() >= 16 || (capitals > 0 && word.iter().any(u8::is_ascii_lowercase))
}

/// A text without certificates, public keys and parameters in PEM.
fn without_public_parts(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut public = false;
    for line in text.lines() {
        if line.starts_with("-----BEGIN ") && !line.contains("PRIVATE") {
            public = true;
        }
        if !public {
            kept.push_str(line);
            kept.push('\n');
        }
        if line.starts_with("-----END ") {
            public = false;
        }
    }
    kept
}

/// Whether there is a row of bytes as `0x1f,0x8b` or `1f:8b`.
fn has_hex_bytes(text: &str) -> bool {
    let mut row = 0;
    for part in text.split([',', ':', ' ', '\t', '\n']).filter(|part| !part.is_empty()) {
        let digits = part.strip_prefix("0x").unwrap_or(part);
        let is_byte = digits.len() == 2 && digits.bytes().all(|b| b.is_ascii_hexdigit());
        row = if is_byte { row + 1 } else { 0 };
        if row >= HEX_BYTES {
            return true;
        }
    }
    false
}

/// Whether bytes are as evenly spread as those of a key.
#[expect(clippy::cast_precision_loss, reason = "a file has less than 2^52 bytes")]
fn is_dense(bytes: &[u8]) -> bool {
    if bytes.len() < 16
        || DENSE_AND_PUBLIC.iter().any(|(at, magic)| bytes.get(*at..).is_some_and(|b| b.starts_with(magic)))
    {
        return false;
    }
    let mut counts = [0_u64; 256];
    for byte in bytes {
        counts[usize::from(*byte)] += 1;
    }
    let all = bytes.len() as f64;
    let entropy: f64 = counts.iter().filter(|n| **n > 0).map(|n| *n as f64 / all).map(|p| -p * p.log2()).sum();
    entropy / all.min(256.0).log2() > DENSE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_count_date_or_name_something_tell_nothing() {
        for word in ["20261129030621Z", "20251129T030418Z", "12345678", "localdomain", "Generated"] {
            assert!(!is_telling(word.as_bytes()), "{word}");
        }
        for word in ["206f5e27863", "TgDwr9E50QFG", "QQRNJbFO", "ABCDEFGHIJKLMNOPQRST", "7566543928837465123"] {
            assert!(is_telling(word.as_bytes()), "{word}");
        }
    }

    #[test]
    fn keys_are_dense_and_databases_are_not() {
        let mut state = 1_u32;
        let random: Vec<u8> = (0..128)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                state.to_be_bytes()[0]
            })
            .collect();
        assert!(is_dense(&random) && is_dense(&random[..32]));
        let mut database = b"SQLite format 3\0".to_vec();
        database.resize(4096, 0);
        database.extend(b"CREATE TABLE sessions(id, name)\0\0\0");
        assert!(!is_dense(&database) && !is_dense(b"\0\x01\0\x02"));
        assert!(!is_dense(&[b"\x1f\x8b".as_slice(), &random].concat()));
    }

    #[test]
    fn rows_of_bytes_are_keys_and_addresses_are_not() {
        let row = ["0x1f"; 16].join(",");
        assert!(has_hex_bytes(&format!("pub_exp={row}\n")) || has_hex_bytes(&row));
        assert!(has_hex_bytes(&format!("[keys]\nmod= {row}\n")));
        assert!(!has_hex_bytes("ether 52:54:00:00:00:01\nfe80::1 10 20 30\n"));
    }
}
