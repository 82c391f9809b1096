//! How libkmod compares the name that is asked for with an alias: dashes are underscores, and aliases may have the wildcards
//! of `fnmatch(3)`. Pure.

/// Dashes as underscores, but for those of a range such as `[0-9]`: so are the patterns of an index, and what is asked.
pub fn underscores(pattern: &str) -> String {
    let mut inside = false;
    let plain = |c: char| {
        inside = (inside || c == '[') && c != ']';
        if c == '-' && !inside { '_' } else { c }
    };
    pattern.chars().map(plain).collect()
}

/// True if it has wildcards.
pub fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

/// True if the pattern matches all of the text. Both are names of modules, devices and files: bytes are compared.
pub fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    // Where to go on when what follows the last star does not fit: the star takes one more byte.
    let mut again: Option<(usize, usize)> = None;
    loop {
        if pattern.get(p) == Some(&b'*') {
            p += 1;
            again = Some((p, t));
            continue;
        }
        match text.get(t) {
            None if p == pattern.len() => return true,
            None => return false,
            Some(byte) => {
                if let Some(next) = step(pattern, p, *byte) {
                    (p, t) = (next, t + 1);
                    continue;
                }
            }
        }
        let Some((after, from)) = again else { return false };
        (p, t) = (after, from + 1);
        again = Some((p, t));
    }
}

/// The place in the pattern after what matches this one byte, if it does.
fn step(pattern: &[u8], at: usize, byte: u8) -> Option<usize> {
    match *pattern.get(at)? {
        b'?' => Some(at + 1),
        b'[' => match class(pattern, at + 1, byte) {
            Some((true, next)) => Some(next),
            Some((false, _)) => None,
            // A bracket that nobody closes is itself.
            None => (byte == b'[').then_some(at + 1),
        },
        b'\\' if at + 1 < pattern.len() => (pattern[at + 1] == byte).then_some(at + 2),
        other => (other == byte).then_some(at + 1),
    }
}

/// Whether the class that begins here has the byte, and where the pattern goes on; `None` if it is not closed.
fn class(pattern: &[u8], from: usize, byte: u8) -> Option<(bool, usize)> {
    let negated = matches!(pattern.get(from), Some(b'!' | b'^'));
    let first = from + usize::from(negated);
    let (mut at, mut found) = (first, false);
    loop {
        let low = *pattern.get(at)?;
        if low == b']' && at > first {
            return Some((found != negated, at + 1));
        }
        match (pattern.get(at + 1), pattern.get(at + 2)) {
            (Some(b'-'), Some(&high)) if high != b']' => {
                found |= (low..=high).contains(&byte);
                at += 3;
            }
            _ => {
                found |= low == byte;
                at += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_those_of_a_shell() {
        for (pattern, text) in [
            ("", ""),
            ("fs_ext4", "fs_ext4"),
            ("*", ""),
            ("scsi:t_0x00*", "scsi:t_0x00"),
            ("pci:v*d*sv*", "pci:v00001AF4d00001001sv1"),
            ("a*b*c", "abxbxc"),
            ("usb:v?p[0-9A-F]*", "usb:v1pEx"),
            ("[!0-9]x", "ax"),
            ("[^0-9]x", "ax"),
            ("[]]", "]"),
            ("[a-]", "-"),
            ("a[b", "a[b"),
            (r"a\*", "a*"),
        ] {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [
            ("", "a"),
            ("a", ""),
            ("fs_ext4", "fs_ext"),
            ("fs_ext", "fs_ext4"),
            ("a*b", "a*c"),
            ("?", ""),
            ("[0-9]x", "ax"),
            ("[!0-9]x", "1x"),
            ("a[b", "ab"),
            (r"a\*", "ab"),
        ] {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
    }

    /// Stars that have to be tried again do not make it slow.
    #[test]
    fn many_stars_are_no_trouble() {
        let pattern = "*a".repeat(2000) + "b";
        assert!(!matches(&pattern, &"a".repeat(20_000)));
    }

    #[test]
    fn dashes_are_underscores_but_in_ranges() {
        assert_eq!(underscores("crypto-crc32c"), "crypto_crc32c");
        assert_eq!(underscores("dmi:*[0-9]x-y*"), "dmi:*[0-9]x_y*");
    }
}
