//! The structural check: a tree of nodes against the JSON Schema of the model. It collects every problem, and makes a
//! value even of a file with mistakes, so that the rules that follow can look at what is not broken.

mod hints;
mod words;

use std::collections::BTreeSet;

use serde_json::{Map, Value as Json};

use crate::pointer::{child, readable};
use crate::problem::{Position, Problem};
use crate::size::{self, Size};
use crate::tree::{Entry, Node, Scalar, ScalarKind, Value};
use hints::Hints;
use words::{expected, found};

/// The key of the schema by which a text may have many lines: the contents of a file, a script.
const LINES: &str = "contentMediaType";

/// What a file says, as far as it says it well.
#[derive(Debug)]
pub(crate) struct Structure {
    /// The value, with stand-ins for what is missing or broken. Fits the schema.
    pub value: Json,
    /// What is wrong.
    pub problems: Vec<Problem>,
    /// Pointers to what is broken or missing.
    pub broken: BTreeSet<String>,
}

/// Checks a tree against a schema. `whole` says that the file was read to its end: only then is a key missing.
pub(crate) fn check(file: &str, tree: &Node, schema: &Json, whole: bool) -> Structure {
    let hints = Hints::new(schema);
    let mut walk = Walk { file, root: schema, whole, hints, problems: Vec::new(), broken: BTreeSet::new() };
    let value = walk.node(tree, schema, "").unwrap_or_else(|| walk.stand_in(schema));
    Structure { value, problems: walk.problems, broken: walk.broken }
}

struct Walk<'a> {
    file: &'a str,
    root: &'a Json,
    whole: bool,
    hints: Hints<'a>,
    problems: Vec<Problem>,
    broken: BTreeSet<String>,
}

impl<'a> Walk<'a> {
    /// A problem with the value at a pointer. The value is `None` from there on.
    fn wrong(&mut self, at: Position, pointer: &str, message: String, help: Option<String>) -> Option<Json> {
        let place = readable(pointer);
        let message = if place.is_empty() { message } else { format!("{place}: {message}") };
        self.problems.push(Problem::new(self.file, at, message, help));
        self.broken.insert(pointer.to_owned());
        None
    }

    fn mismatch(&mut self, node: &Node, schema: &Json, pointer: &str, help: Option<String>) -> Option<Json> {
        let message = format!("expected {}, but found {}", expected(schema), found(node));
        self.wrong(node.at, pointer, message, help)
    }

    /// Checks one node. `None` if it is broken, which has been said then.
    fn node(&mut self, node: &Node, schema: &'a Json, pointer: &str) -> Option<Json> {
        let schema = resolve(self.root, schema);
        if node.value == Value::Refused {
            self.broken.insert(pointer.to_owned());
            return None;
        }
        if schema["format"] == size::FORMAT {
            return self.size(node, schema, pointer);
        }
        if let Some(names) = names_of(schema) {
            return self.name(node, schema, &names, pointer);
        }
        if let Some((names, mapping)) = name_or_mapping(self.root, schema) {
            let is_mapping = matches!(node.value, Value::Mapping(_));
            return self.node(node, if is_mapping { mapping } else { names }, pointer);
        }
        if schema.get("anyOf").is_some() {
            return self.number_or_text(node, schema, pointer);
        }
        match schema["type"].as_str() {
            Some("object") => self.mapping(node, schema, pointer),
            Some("array") => self.sequence(node, schema, pointer),
            Some("integer") => self.integer(node, schema, pointer),
            Some("boolean") => self.boolean(node, schema, pointer),
            _ => self.text(node, schema, pointer),
        }
    }

    fn mapping(&mut self, node: &Node, schema: &'a Json, pointer: &str) -> Option<Json> {
        let entries: &[Entry] = match &node.value {
            Value::Mapping(mapping) => mapping.entries(),
            // `users: ` with every user commented out, or `alice:` with nothing to say about her.
            Value::Scalar(scalar) if scalar.kind() == ScalarKind::Null && !pointer.is_empty() => &[],
            _ => {
                let help = hints::for_mapping(node, schema);
                return self.mismatch(node, schema, pointer, help);
            }
        };
        let mut object = Map::new();
        let properties = schema["properties"].as_object();
        let mut meant = BTreeSet::new();
        let mut whole = self.whole;
        for entry in entries {
            let Some(key) = &entry.key else {
                whole = false; // What was meant there may be what is missing.
                continue;
            };
            let at = child(pointer, key);
            let known = properties.and_then(|p| p.get(key));
            let value_schema = match (known, schema.get("additionalProperties")) {
                (Some(schema), _) => schema,
                (None, Some(any @ Json::Object(_))) => any,
                (None, _) => {
                    meant.extend(self.unknown_key(entry, key, schema, pointer));
                    continue;
                }
            };
            let value = match self.node(&entry.value, value_schema, &at) {
                Some(value) => value,
                // A key of the model that is left out has its default; an entry of a table needs a stand-in.
                None if known.is_some() => continue,
                None => self.stand_in(value_schema),
            };
            // Of a key that is given twice the first counts.
            object.entry(key).or_insert(value);
        }
        for required in schema["required"].as_array().into_iter().flatten().filter_map(Json::as_str) {
            if object.contains_key(required) {
                continue;
            }
            let at = child(pointer, required);
            let value_schema = &schema["properties"][required];
            if !meant.contains(required) && self.broken.insert(at.clone()) && whole {
                self.missing(node, value_schema, pointer, required);
            }
            self.broken.insert(at);
            object.insert(required.to_owned(), self.stand_in(value_schema));
        }
        Some(Json::Object(object))
    }

    /// Says that a key is unknown; gives the known key that was probably meant.
    fn unknown_key(&mut self, entry: &Entry, key: &str, schema: &'a Json, pointer: &str) -> Option<&'a str> {
        let known = || schema["properties"].as_object().into_iter().flat_map(Map::keys).map(String::as_str);
        let nearest = crate::nearest(key, known());
        let help = hints::synonym(key, pointer)
            .map(|meant| format!("write {meant}"))
            .or_else(|| nearest.map(|nearest| format!("did you mean `{nearest}`?")))
            .or_else(|| self.hints.for_key(key))
            .unwrap_or_else(|| format!("the keys here are {}", known().collect::<Vec<_>>().join(", ")));
        let place = readable(pointer);
        let message = match place.is_empty() {
            true => format!("unknown key `{}`", words::short(key)),
            false => format!("{place}: unknown key `{}`", words::short(key)),
        };
        self.problems.push(Problem::new(self.file, entry.key_at, message, Some(help)));
        nearest.inspect(|key| {
            self.broken.insert(child(pointer, key));
        })
    }

    fn missing(&mut self, node: &Node, value_schema: &Json, pointer: &str, key: &str) {
        let resolved = resolve(self.root, value_schema);
        let example = words::example(value_schema).or_else(|| words::example(resolved));
        let help = match example {
            Some(example) => format!("add a line such as `{key}: {example}`"),
            None => format!("add `{key}:` with {}", expected(resolved)),
        };
        let place = readable(pointer);
        let message = match place.is_empty() {
            true => format!("the key `{key}` is missing"),
            false => format!("{place}: the key `{key}` is missing"),
        };
        self.problems.push(Problem::new(self.file, node.at, message, Some(help)));
    }

    fn sequence(&mut self, node: &Node, schema: &'a Json, pointer: &str) -> Option<Json> {
        let items = match &node.value {
            Value::Sequence(items) => items,
            Value::Scalar(scalar) if scalar.kind() == ScalarKind::Null => return Some(Json::Array(Vec::new())),
            _ => {
                let help = hints::for_sequence(node, pointer);
                return self.mismatch(node, schema, pointer, help);
            }
        };
        let item_schema = &schema["items"];
        let mut array = Vec::with_capacity(items.len());
        for (i, item) in items.iter().enumerate() {
            let value = self.node(item, item_schema, &child(pointer, i));
            array.push(value.unwrap_or_else(|| self.stand_in(item_schema)));
        }
        Some(Json::Array(array))
    }

    fn text(&mut self, node: &Node, schema: &'a Json, pointer: &str) -> Option<Json> {
        let Value::Scalar(scalar) = &node.value else {
            let help = hints::for_text(node);
            return self.mismatch(node, schema, pointer, help);
        };
        if scalar.kind() == ScalarKind::Null {
            return self.nothing(node, schema, pointer);
        }
        let line = one_line(&scalar.text);
        if schema["format"] == "uuid" && uuid::Uuid::try_parse(line).is_err() {
            let help = Some("`uuidgen` draws one".to_owned());
            return self.wrong(node.at, pointer, format!("`{}` is not a UUID", words::short(line)), help);
        }
        self.characters(node.at, &scalar.text, schema, pointer)
    }

    /// A text, if it has only characters that such a text may have. Nearly all texts become a line of some file, or a
    /// word on a terminal, and whatever reads those takes a control character for its own.
    fn characters(&mut self, at: Position, text: &str, schema: &Json, pointer: &str) -> Option<Json> {
        let lines = schema.get(LINES).is_some();
        let text = if lines { text } else { one_line(text) };
        let odd = |c: char| if lines { c == '\0' } else { c.is_control() && c != '\t' };
        let Some(found) = text.chars().find(|c| odd(*c)) else { return Some(text.into()) };
        let (message, help) = match found {
            '\n' | '\r' if text.trim_end_matches(['\n', '\r']).contains(['\n', '\r']) => {
                ("this is one line, and there is a line break in it".to_owned(), "write it as one line")
            }
            '\n' | '\r' => {
                let help = "write it on the line of its key; after a `|+` or `>+` it has line breaks at its end";
                ("this is one line, and there is more than a line break at its end".to_owned(), help)
            }
            other => (format!("the control character U+{:04X} is in it", u32::from(other)), "take it out"),
        };
        self.wrong(at, pointer, message, Some(help.to_owned()))
    }

    /// A key without a value, where a single value is wanted.
    fn nothing(&mut self, node: &Node, schema: &Json, pointer: &str) -> Option<Json> {
        let message = format!("there is no value; expected {}", expected(schema));
        self.wrong(node.at, pointer, message, Some("give a value, or remove the line".to_owned()))
    }

    fn scalar<'n>(&mut self, node: &'n Node, schema: &Json, pointer: &str) -> Option<&'n Scalar> {
        match &node.value {
            Value::Scalar(scalar) if scalar.kind() == ScalarKind::Null => {
                self.nothing(node, schema, pointer);
                None
            }
            Value::Scalar(scalar) => Some(scalar),
            _ => {
                self.mismatch(node, schema, pointer, None);
                None
            }
        }
    }

    fn size(&mut self, node: &Node, schema: &Json, pointer: &str) -> Option<Json> {
        let scalar = self.scalar(node, schema, pointer)?;
        match one_line(&scalar.text).parse::<Size>() {
            Ok(size) => Some(size.to_string().into()),
            Err(error) => self.wrong(node.at, pointer, error.to_string(), None),
        }
    }

    fn name(&mut self, node: &Node, schema: &Json, names: &[&str], pointer: &str) -> Option<Json> {
        let scalar = self.scalar(node, schema, pointer)?;
        let text = one_line(&scalar.text);
        if names.contains(&text) {
            return Some(text.into());
        }
        let help = match crate::nearest(text, names.iter().copied()) {
            Some(nearest) => format!("did you mean `{nearest}`?"),
            None if names.len() == 1 => format!("the only one so far is {}", names[0]),
            None => format!("it is one of {}", names.join(", ")),
        };
        let message = format!("`{}` is unknown here", words::short(text));
        self.wrong(node.at, pointer, message, Some(help))
    }

    /// The value of a kernel setting: a number, or text.
    fn number_or_text(&mut self, node: &Node, schema: &Json, pointer: &str) -> Option<Json> {
        let scalar = self.scalar(node, schema, pointer)?;
        match scalar.kind() {
            ScalarKind::Bool(on) => {
                let help = Some(format!("write {} for {}", u8::from(on), if on { "on" } else { "off" }));
                self.mismatch(node, schema, pointer, help)
            }
            ScalarKind::Decimal => match scalar.text.parse::<i64>() {
                Ok(number) => Some(number.into()),
                Err(_) => Some(scalar.text.clone().into()),
            },
            _ => self.characters(node.at, &scalar.text, schema, pointer),
        }
    }

    fn integer(&mut self, node: &Node, schema: &Json, pointer: &str) -> Option<Json> {
        let scalar = self.scalar(node, schema, pointer)?;
        match scalar.kind() {
            ScalarKind::Decimal => {}
            ScalarKind::OtherInteger => {
                let help = "write it in decimal, without a sign and without zeros in front".to_owned();
                return self.mismatch(node, schema, pointer, Some(help));
            }
            _ if !scalar.plain && scalar.text.bytes().all(|b| b.is_ascii_digit()) && !scalar.text.is_empty() => {
                return self.mismatch(node, schema, pointer, Some("take the quotes away".to_owned()));
            }
            _ => return self.mismatch(node, schema, pointer, None),
        }
        let (least, most) = words::bounds(schema);
        match scalar.text.parse::<i128>() {
            Ok(number) if (least..=most).contains(&number) => {
                // The bounds are those of 64-bit numbers or closer.
                i64::try_from(number).ok().map(Json::from).or_else(|| u64::try_from(number).ok().map(Json::from))
            }
            _ => {
                let shown = words::short(&scalar.text);
                let message = match least == most {
                    true => format!("{shown} is not known; the only possible value is {least}"),
                    false => format!("{shown} is out of range; it must be from {least} to {most}"),
                };
                self.wrong(node.at, pointer, message, None)
            }
        }
    }

    fn boolean(&mut self, node: &Node, schema: &Json, pointer: &str) -> Option<Json> {
        let scalar = self.scalar(node, schema, pointer)?;
        if let ScalarKind::Bool(value) = scalar.kind() {
            return Some(value.into());
        }
        let help = match scalar.text.to_ascii_lowercase().as_str() {
            "yes" | "on" | "y" | "1" | "true" => Some("write `true`".to_owned()),
            "no" | "off" | "n" | "0" | "false" => Some("write `false`".to_owned()),
            _ => None,
        };
        self.mismatch(node, schema, pointer, help)
    }

    /// The plainest value that fits a schema, in place of one that is broken; nothing about it is reported.
    fn stand_in(&self, schema: &Json) -> Json {
        let schema = resolve(self.root, schema);
        if let Some(names) = names_of(schema) {
            return names.first().copied().unwrap_or_default().into();
        }
        match schema["type"].as_str() {
            Some("object") => {
                let required = schema["required"].as_array().into_iter().flatten().filter_map(Json::as_str);
                required.map(|key| (key.to_owned(), self.stand_in(&schema["properties"][key]))).collect()
            }
            Some("array") => Json::Array(Vec::new()),
            Some("integer") => schema.get("minimum").cloned().unwrap_or_else(|| 0.into()),
            Some("boolean") => false.into(),
            _ if schema["format"] == size::FORMAT => "1M".into(),
            _ if schema["format"] == "uuid" => uuid::Uuid::nil().to_string().into(),
            _ => "".into(),
        }
    }
}

/// A value of one line, without the line break at its end: after a `|` or a `>` there is one, and nobody means it.
fn one_line(text: &str) -> &str {
    text.strip_suffix('\n').unwrap_or(text)
}

/// The two sides of a value that is one of some names, or a mapping.
pub(crate) fn name_or_mapping<'a>(root: &'a Json, schema: &'a Json) -> Option<(&'a Json, &'a Json)> {
    let [names, mapping] = schema["anyOf"].as_array()?.as_slice() else { return None };
    let (names, mapping) = (resolve(root, names), resolve(root, mapping));
    (names_of(names).is_some() && mapping["type"] == "object").then_some((names, mapping))
}

/// Follows `$ref`.
pub(crate) fn resolve<'a>(root: &'a Json, schema: &'a Json) -> &'a Json {
    let mut schema = schema;
    while let Some(name) = schema["$ref"].as_str().and_then(|r| r.strip_prefix("#/$defs/")) {
        schema = &root["$defs"][name];
    }
    schema
}

/// The names that an enumeration allows, in the model's order.
pub(crate) fn names_of(schema: &Json) -> Option<Vec<&str>> {
    if let Some(names) = schema["enum"].as_array() {
        return names.iter().map(Json::as_str).collect();
    }
    schema["oneOf"].as_array()?.iter().map(|one| one["const"].as_str()).collect()
}
