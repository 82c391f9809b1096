//! Values of the Nix language, written so that they stay values, whatever is in them.

use std::fmt::Write as _;

/// A string.
pub fn string(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                quoted.push('\\');
                quoted.push(c);
            }
            // `${` would be an expression, `$${` none: after the backslash it is neither.
            '$' => quoted.push_str("\\$"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// A list of strings.
pub fn strings<'s>(all: impl IntoIterator<Item = &'s str>) -> String {
    let mut list = String::from("[ ");
    for one in all {
        // Writing to a String cannot fail.
        let _ = write!(list, "{} ", string(one));
    }
    list.push(']');
    list
}

/// An attribute's name, quoted where it is no identifier.
pub fn attribute(name: &str) -> String {
    let begins = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let plain = begins && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b));
    const WORDS: [&str; 9] = ["if", "then", "else", "assert", "with", "let", "in", "rec", "inherit"];
    if plain && !WORDS.contains(&name) { name.to_string() } else { string(name) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_string_ends_it_or_is_an_expression() {
        assert_eq!(string("a\"b\\c${x}$$d\n"), "\"a\\\"b\\\\c\\${x}\\$\\$d\\n\"");
        assert_eq!(strings(["a", "b"]), "[ \"a\" \"b\" ]");
        assert_eq!(strings([]), "[ ]");
    }

    #[test]
    fn names_are_quoted_where_they_must_be() {
        assert_eq!((attribute("enp1s0"), attribute("wl-x_1")), ("enp1s0".into(), "wl-x_1".into()));
        for odd in ["1a", "a.b", "in", ""] {
            assert_eq!(attribute(odd), format!("\"{odd}\""));
        }
    }
}
