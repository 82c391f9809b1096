//! Text of strangers on its way to a terminal. Names, titles and messages come from images, disks, packages and other programs; a
//! terminal takes control characters for orders, and text that runs backwards or cannot be seen deceives whoever reads it. Such a
//! character is shown by its number instead.

use std::borrow::Cow;

/// Whether a character is an order to a terminal or changes what is seen of others: control characters, line separators, what turns
/// the direction of text, what has no width.
pub fn is_deceptive(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}')
}

/// Text of several lines: line feeds and tabs stay as they are.
pub fn plain(text: &str) -> Cow<'_, str> {
    shown(text, |c| is_deceptive(c) && !matches!(c, '\n' | '\t'))
}

/// Text that must not become several lines.
pub fn one_line(text: &str) -> Cow<'_, str> {
    shown(text, is_deceptive)
}

fn shown(text: &str, bad: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.chars().any(&bad) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            c if !bad(c) => out.push(c),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if u32::from(c) < 0x100 => out.push_str(&format!("\\x{:02x}", u32::from(c))),
            c => out.push_str(&format!("\\u{{{:x}}}", u32::from(c))),
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_to_a_terminal_are_shown_and_not_given() {
        assert_eq!(plain("\x1b]0;pwn\x07\x1b[2J\x7f\u{9b}31m"), "\\x1b]0;pwn\\x07\\x1b[2J\\x7f\\x9b31m");
        assert_eq!(plain("a\r\nb\tc"), "a\\r\nb\tc");
        assert_eq!(one_line("a\r\nb\tc"), "a\\r\\nb\\tc");
    }

    #[test]
    fn what_cannot_be_seen_is_shown() {
        assert_eq!(
            plain("exe.\u{202e}txt\u{2066}\u{200b}\u{2028}\u{feff}"),
            "exe.\\u{202e}txt\\u{2066}\\u{200b}\\u{2028}\\u{feff}"
        );
    }

    #[test]
    fn ordinary_text_of_any_language_stays_and_is_not_copied() {
        for text in ["äöü ß", "日本語", "עברית", "naïve — \u{1f600}", "a\nb\tc"] {
            assert!(matches!(plain(text), Cow::Borrowed(same) if same == text), "{text}");
        }
    }
}
