//! What was expected and what was found, in words.

use serde_json::Value as Json;

use super::names_of;
use crate::size;
use crate::tree::{Node, ScalarKind, Value};

/// What a (resolved) schema wants: "a whole number such as 1000".
pub(super) fn expected(schema: &Json) -> String {
    if schema["format"] == size::FORMAT {
        return "a size such as 512M or 4G".into();
    }
    if let Some(names) = names_of(schema) {
        return match names.as_slice() {
            [only] => format!("`{only}`"),
            _ => format!("one of {}", names.join(", ")),
        };
    }
    if schema.get("anyOf").is_some() {
        return "a number or text".into();
    }
    let what = match schema["type"].as_str() {
        Some("object") if schema.get("properties").is_some() => return "a mapping (lines of `key: value`)".into(),
        Some("object") => return "a mapping with a name as each key".into(),
        Some("array") => "a list",
        Some("integer") => "a whole number",
        Some("boolean") => return "true or false".into(),
        _ => "text",
    };
    match example(schema) {
        Some(example) => format!("{what} such as {example}"),
        None => what.into(),
    }
}

/// The schema's first example, in YAML's flow style.
pub(super) fn example(schema: &Json) -> Option<String> {
    let shown = match schema["examples"].as_array()?.first()? {
        Json::String(text) if text.contains(['\n', ':', '"']) => format!("{text:?}"),
        Json::String(text) => text.clone(),
        Json::Array(items) => {
            let items: Vec<&str> = items.iter().filter_map(Json::as_str).collect();
            format!("[{}]", items.iter().map(|i| quoted_in_list(i)).collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    };
    Some(shown)
}

fn quoted_in_list(text: &str) -> String {
    match text.contains([',', ':', '*', ' ']) {
        true => format!("\"{text}\""),
        false => text.to_owned(),
    }
}

/// What a node is, in words: "the number 12".
pub(super) fn found(node: &Node) -> String {
    match &node.value {
        Value::Sequence(items) if items.is_empty() => "an empty list".into(),
        Value::Sequence(_) => "a list".into(),
        Value::Mapping(_) => "a mapping".into(),
        Value::Refused => "something else".into(),
        Value::Scalar(scalar) => match scalar.kind() {
            ScalarKind::Null => "nothing".into(),
            ScalarKind::Bool(_) => format!("`{}`", scalar.text),
            ScalarKind::Decimal | ScalarKind::OtherInteger | ScalarKind::Float => {
                format!("the number {}", short(&scalar.text))
            }
            ScalarKind::Text => format!("the text \"{}\"", short(&scalar.text)),
        },
    }
}

/// The first line of a text, not too long.
pub(super) fn short(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    let cut: String = line.chars().take(60).collect();
    if cut.len() < text.trim_end().len() { format!("{cut}...") } else { cut }
}

/// The least and the greatest number that a schema of an integer allows.
pub(super) fn bounds(schema: &Json) -> (i128, i128) {
    let (least, most) = match schema["format"].as_str() {
        Some("uint32") => (0, u32::MAX.into()),
        Some("uint64") => (0, u64::MAX.into()),
        _ => (i64::MIN.into(), i64::MAX.into()),
    };
    let of = |key: &str| schema[key].as_i64().map(i128::from);
    (of("minimum").unwrap_or(least), of("maximum").unwrap_or(most))
}
