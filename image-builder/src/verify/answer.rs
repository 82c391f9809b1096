//! What comes back from inside: lines of JSON on the port, with what the commands said in base64.

use std::collections::BTreeMap;

use serde::Deserialize;

/// One line from inside.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub(super) enum Line {
    /// A command ended.
    Answer {
        /// Which.
        id: String,
        /// How.
        exit: i32,
        /// Its standard output.
        #[serde(default)]
        out: Base64,
        /// Its standard error.
        #[serde(default)]
        err: Base64,
    },
    /// A word: `look` (waits for an answer), or `done`, the last one.
    Word {
        /// The word.
        say: String,
    },
}

/// What a command said and how it ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Answer {
    /// Exit status.
    pub exit: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Answer {
    /// The output in its parts: a line `== NAME` begins one.
    pub(crate) fn parts(&self) -> Parts<'_> {
        let mut parts: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        let mut name = "";
        for line in self.out.lines() {
            if let Some(next) = line.strip_prefix("== ") {
                name = next;
                parts.entry(name).or_default();
            } else {
                parts.entry(name).or_default().push(line);
            }
        }
        Parts(parts)
    }
}

/// Named parts of an output.
#[derive(Debug)]
pub(crate) struct Parts<'a>(BTreeMap<&'a str, Vec<&'a str>>);

impl<'a> Parts<'a> {
    /// A part's lines.
    pub(crate) fn lines(&self, name: &str) -> &[&'a str] {
        self.0.get(name).map_or(&[], Vec::as_slice)
    }

    /// A part's first line without blanks at its ends, or nothing.
    pub(crate) fn line(&self, name: &str) -> &'a str {
        self.lines(name).first().map_or("", |line| line.trim())
    }
}

/// Bytes as the guest's `base64` writes them; text when read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Base64(pub String);

impl TryFrom<String> for Base64 {
    type Error = String;
    fn try_from(text: String) -> Result<Base64, String> {
        let bytes = decode(text.as_bytes()).ok_or("this is no base64")?;
        Ok(Base64(String::from_utf8_lossy(&bytes).into_owned()))
    }
}

/// RFC 4648, with padding, without line breaks.
fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len() / 4 * 3);
    let (mut held, mut bits) = (0u32, 0);
    for byte in text.iter().take_while(|b| **b != b'=') {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        held = (held << 6 | u32::from(value)) & 0xffff;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            out.push((held >> bits).to_le_bytes()[0]);
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_and_words_are_told_apart() {
        let line = r#"{"id":"a","exit":3,"out":"aGVsbG8K","err":"eA=="}"#;
        let answer = Line::Answer { id: "a".into(), exit: 3, out: Base64("hello\n".into()), err: Base64("x".into()) };
        assert_eq!(serde_json::from_str::<Line>(line).unwrap(), answer);
        assert_eq!(serde_json::from_str::<Line>(r#"{"say":"done"}"#).unwrap(), Line::Word { say: "done".into() });
        assert!(serde_json::from_str::<Line>(r#"{"id":"a","exit":3,"out":"*"}"#).is_err());
    }

    #[test]
    fn parts_begin_with_their_names() {
        let answer = Answer { out: "== a\n1\n2\n== b\n== c\n 3 \n".into(), ..Answer::default() };
        let parts = answer.parts();
        assert_eq!(parts.lines("a"), ["1", "2"]);
        assert_eq!((parts.line("b"), parts.line("c"), parts.line("d")), ("", "3", ""));
    }
}
