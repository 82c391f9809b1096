//! A YAML document as a tree in which every node knows its place in the text.

use std::collections::BTreeMap;

use crate::pointer;
use crate::problem::Position;

/// A node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Node {
    /// Where it begins. An empty value stands where its key does.
    pub at: Position,
    /// What it is.
    pub value: Value,
}

/// What a node is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    /// One value.
    Scalar(Scalar),
    /// A list.
    Sequence(Vec<Node>),
    /// Keys and values, in the file's order. A key may stand here more than once, which has been said then.
    Mapping(Mapping),
    /// Something that a machine file cannot have, which has been said: an alias, or what stands at a key that is none.
    Refused,
}

/// Keys and values, with the entries found by their keys: a file may have a million of them, and something to say about
/// each.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Mapping {
    entries: Vec<Entry>,
    /// Where the first entry with a key is.
    index: BTreeMap<String, usize>,
}

impl Mapping {
    /// Adds an entry at the end.
    pub fn push(&mut self, entry: Entry) {
        if let Some(key) = &entry.key
            && !self.index.contains_key(key)
        {
            self.index.insert(key.clone(), self.entries.len());
        }
        self.entries.push(entry);
    }

    /// The entries in the file's order.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The first entry with a key.
    pub fn get(&self, key: &str) -> Option<&Entry> {
        self.entries.get(*self.index.get(key)?)
    }
}

/// One value as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Scalar {
    /// The text, quotes and escapes resolved.
    pub text: String,
    /// Written without quotes: may be a number, a truth value or nothing.
    pub plain: bool,
}

/// A key with its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The key; `None` for what cannot be one, which has been said then.
    pub key: Option<String>,
    /// Where the key begins.
    pub key_at: Position,
    /// The value.
    pub value: Node,
}

/// What a scalar is by the YAML 1.2 core schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ScalarKind {
    Null,
    Bool(bool),
    /// A whole number in the only form that every YAML version reads alike.
    Decimal,
    /// A whole number in another form (`0x1F`, `0o17`, `012`, `+1`).
    OtherInteger,
    Float,
    Text,
}

impl Scalar {
    /// What the text is by the core schema. `no`, `on`, `22:22` and the like are text.
    pub fn kind(&self) -> ScalarKind {
        if !self.plain {
            return ScalarKind::Text;
        }
        match self.text.as_str() {
            "" | "~" | "null" | "Null" | "NULL" => return ScalarKind::Null,
            "true" | "True" | "TRUE" => return ScalarKind::Bool(true),
            "false" | "False" | "FALSE" => return ScalarKind::Bool(false),
            _ => {}
        }
        let text = self.text.as_str();
        let digits = text.strip_prefix('-').unwrap_or(text);
        if all(digits, |c| c.is_ascii_digit()) && (digits == "0" || !digits.starts_with('0')) {
            return ScalarKind::Decimal;
        }
        let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
        let other = all(unsigned, |c| c.is_ascii_digit())
            || text.strip_prefix("0o").is_some_and(|d| all(d, |c| c.is_digit(8)))
            || text.strip_prefix("0x").is_some_and(|d| all(d, |c| c.is_ascii_hexdigit()));
        match other {
            true => ScalarKind::OtherInteger,
            false if is_float(unsigned) => ScalarKind::Float,
            false => ScalarKind::Text,
        }
    }
}

fn all(text: &str, test: impl Fn(char) -> bool) -> bool {
    !text.is_empty() && text.chars().all(test)
}

fn is_float(text: &str) -> bool {
    if matches!(text, ".inf" | ".Inf" | ".INF" | ".nan" | ".NaN" | ".NAN") {
        return true;
    }
    text.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && text.chars().all(|c| c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E' | '+' | '-'))
        && text.parse::<f64>().is_ok()
}

impl Node {
    fn entry(&self, key: &str) -> Option<&Entry> {
        match &self.value {
            Value::Mapping(mapping) => mapping.get(key),
            _ => None,
        }
    }

    /// The place of what a JSON pointer names: of a single value the value itself, of a list or mapping its key.
    pub fn position_of(&self, pointer: &str) -> Option<Position> {
        self.find(pointer).map(|(key_at, node)| match (&node.value, key_at) {
            (Value::Sequence(_) | Value::Mapping(_), Some(key_at)) => key_at,
            _ => node.at,
        })
    }

    /// The place of the key that a JSON pointer ends with (of an item of a list: the item).
    pub fn key_position_of(&self, pointer: &str) -> Option<Position> {
        self.find(pointer).map(|(key_at, node)| key_at.unwrap_or(node.at))
    }

    /// The place of the innermost part of what the pointer names that is in the file.
    pub fn nearest_position_of(&self, pointer: &str) -> Position {
        let mut pointer = pointer;
        loop {
            match (self.position_of(pointer), pointer.rfind('/')) {
                (Some(position), _) => return position,
                (None, Some(end)) => pointer = &pointer[..end],
                (None, None) => return self.at,
            }
        }
    }

    fn find(&self, pointer: &str) -> Option<(Option<Position>, &Node)> {
        let mut node = self;
        let mut key_at = None;
        for token in pointer::tokens(pointer)? {
            match &node.value {
                Value::Mapping(_) => {
                    let entry = node.entry(&token)?;
                    (key_at, node) = (Some(entry.key_at), &entry.value);
                }
                Value::Sequence(items) => (key_at, node) = (None, items.get(token.parse::<usize>().ok()?)?),
                Value::Scalar(_) | Value::Refused => return None,
            }
        }
        Some((key_at, node))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(text: &str) -> ScalarKind {
        Scalar { text: text.into(), plain: true }.kind()
    }

    #[test]
    fn the_classic_surprises_are_text() {
        for text in
            ["no", "No", "on", "off", "yes", "y", "22:22", "1_000", "12e", "1.2.3", "0b1", "-", ".", "e3", "infinity"]
        {
            assert_eq!(kind(text), ScalarKind::Text, "{text}");
        }
        assert_eq!(Scalar { text: "1".into(), plain: false }.kind(), ScalarKind::Text);
    }

    #[test]
    fn numbers_are_told_apart() {
        for text in ["0", "-1", "123", "99999999999999999999"] {
            assert_eq!(kind(text), ScalarKind::Decimal, "{text}");
        }
        for text in ["012", "+1", "0x1F", "0o17", "-012", "00"] {
            assert_eq!(kind(text), ScalarKind::OtherInteger, "{text}");
        }
        for text in ["1.5", "1e3", ".5", "-1.", ".inf", "+.INF", ".nan", "1E-3"] {
            assert_eq!(kind(text), ScalarKind::Float, "{text}");
        }
        assert_eq!(kind("~"), ScalarKind::Null);
        assert_eq!(kind("True"), ScalarKind::Bool(true));
    }
}
