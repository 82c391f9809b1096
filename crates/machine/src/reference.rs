//! The reference of all keys as Markdown tables, made from the schema, so that it cannot drift from it.

use std::fmt::Write as _;

use serde_json::Value as Json;

use crate::schema;
use crate::structure::{name_or_mapping, names_of, resolve};

/// The tables of every key of the machine file and the hardware file, for docs/machine-file.md.
pub fn reference() -> String {
    let mut text = String::new();
    section(&mut text, schema::machine(), schema::machine(), "");
    text.push_str("\n## Every key of the hardware file\n");
    section(&mut text, schema::hardware(), schema::hardware(), "");
    text.push_str("\n## Every key of the install file\n");
    section(&mut text, schema::install_file(), schema::install_file(), "");
    text
}

/// The table of one mapping, and then those of the mappings in it.
fn section(text: &mut String, root: &Json, schema: &Json, path: &str) {
    let schema = resolve(root, schema);
    let Some(properties) = schema["properties"].as_object() else { return };
    if path.is_empty() {
        text.push_str("\nThe outermost level:\n");
    } else {
        let description = schema["description"].as_str().unwrap_or_default();
        // Writing to a String cannot fail.
        let _ = writeln!(text, "\n### `{path}`\n\n{}", one_line(description));
    }
    text.push_str("\n| key | what it is | value | default |\n| --- | --- | --- | --- |\n");
    let required: Vec<&str> = schema["required"].as_array().into_iter().flatten().filter_map(Json::as_str).collect();
    for (key, property) in properties {
        let default = match (&property["default"], required.contains(&key.as_str())) {
            (_, true) => "**required**".to_owned(),
            (Json::Null, _) => String::new(),
            (Json::Array(items), _) if items.is_empty() => String::new(),
            (Json::String(default), _) => format!("`{default}`"),
            (default, _) => format!("`{}`", default.to_string().replace("\",\"", "\", \"")),
        };
        let description = one_line(property["description"].as_str().unwrap_or_default()).replace('|', "\\|");
        let _ = writeln!(text, "| `{key}` | {description} | {} | {default} |", kind(root, property));
    }
    for (key, property) in properties {
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        let property = resolve(root, property);
        if property["additionalProperties"].is_object() {
            section(text, root, &property["additionalProperties"], &format!("{path}.NAME"));
        } else if property["items"].is_object() {
            section(text, root, &property["items"], &format!("{path}[]"));
        } else {
            let mapping = name_or_mapping(root, property).map_or(property, |(_, mapping)| mapping);
            section(text, root, mapping, &path);
        }
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What kind of value a key has, in words.
fn kind(root: &Json, schema: &Json) -> String {
    let resolved = resolve(root, schema);
    if resolved["format"] == crate::size::FORMAT {
        return "size".into();
    }
    if let Some(names) = names_of(resolved) {
        return names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    }
    if let Some((names, mapping)) = name_or_mapping(root, resolved) {
        return format!("{}, or a {}", kind(root, names), kind(root, mapping));
    }
    if resolved.get("anyOf").is_some() {
        return "number or text".into();
    }
    match resolved["type"].as_str() {
        Some("object") if resolved["additionalProperties"].is_object() => {
            format!("by name: {}", kind(root, &resolved["additionalProperties"]))
        }
        Some("object") => "mapping".into(),
        Some("array") => format!("list of {}", kind(root, &resolved["items"])),
        Some("integer") => "whole number".into(),
        Some("boolean") => "`true`, `false`".into(),
        _ if resolved["format"] == "uuid" => "UUID".into(),
        _ => "text".into(),
    }
}
