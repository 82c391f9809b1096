//! JSON pointers (RFC 6901): how a value in a file is named, by Cairn's other parts too.

use std::fmt::Display;

/// The pointer to a key or item below another pointer. The root is the empty text.
/// `mode` of `/etc/motd` below `/files` is `/files/~1etc~1motd/mode`.
pub fn child(parent: impl AsRef<str>, key: impl Display) -> String {
    let key = key.to_string().replace('~', "~0").replace('/', "~1");
    format!("{}/{key}", parent.as_ref())
}

/// The keys of a pointer, unescaped; `None` if it is no pointer.
pub(crate) fn tokens(pointer: &str) -> Option<Vec<String>> {
    if pointer.is_empty() {
        return Some(Vec::new());
    }
    let rest = pointer.strip_prefix('/')?;
    Some(rest.split('/').map(|token| token.replace("~1", "/").replace("~0", "~")).collect())
}

/// A pointer as a person reads it: `users.alice.groups[2]`.
pub(crate) fn readable(pointer: &str) -> String {
    let mut text = String::new();
    for token in tokens(pointer).unwrap_or_default() {
        if !token.is_empty() && token.bytes().all(|b| b.is_ascii_digit()) && !text.is_empty() {
            text.push_str(&format!("[{token}]"));
            continue;
        }
        if !text.is_empty() {
            text.push('.');
        }
        // A key may be as long as a file, and have lines.
        let cut: String = token.chars().take(60).map(|c| if c.is_control() { ' ' } else { c }).collect();
        let more = if cut.len() < token.len() { "..." } else { "" };
        match cut.contains(['.', ' ', '/']) {
            true => text.push_str(&format!("\"{cut}{more}\"")),
            false => text.push_str(&format!("{cut}{more}")),
        }
    }
    text
}

/// The pointers to all that the value of a pointer is in, the root first.
pub(crate) fn within(pointer: &str) -> impl Iterator<Item = &str> {
    pointer.match_indices('/').map(|(end, _)| &pointer[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_are_escaped_and_read_back() {
        let pointer = child(child("", "a/b~c"), 3);
        assert_eq!(pointer, "/a~1b~0c/3");
        assert_eq!(tokens(&pointer), Some(vec!["a/b~c".to_owned(), "3".to_owned()]));
        assert_eq!(readable("/users/alice/groups/2"), "users.alice.groups[2]");
        assert_eq!(readable("/files/~1etc~1motd/mode"), "files.\"/etc/motd\".mode");
        assert_eq!(readable("/users/a\nb/uid"), "users.\"a b\".uid");
        assert_eq!(within("/a/b~1/0").collect::<Vec<_>>(), ["", "/a", "/a/b~1"]);
        assert_eq!(within("").count(), 0);
    }
}
