//! A machine file as the values that are written in it: what two of them are compared by.

use serde_json::{Map, Number, Value as Json};

use crate::check::SourceFile;
use crate::problem::Problems;
use crate::tree::{Node, Scalar, ScalarKind, Value};
use crate::yaml;

/// What a machine file says, word by word: no defaults are filled in and nothing is checked, so that a file of another
/// version of Cairn, or one with mistakes, can be compared too.
///
/// # Errors
/// When it is not YAML.
pub fn values(file: &SourceFile) -> Result<Json, Problems> {
    let read = yaml::parse(&file.name, &file.bytes);
    match (read.tree, Problems::new(read.problems)) {
        (Some(tree), None) => Ok(json(&tree)),
        (_, Some(problems)) => Err(problems),
        (None, None) => Err(crate::Problem::new(&file.name, crate::Position::START, "not YAML", None).into()),
    }
}

fn json(node: &Node) -> Json {
    match &node.value {
        Value::Scalar(scalar) => of_scalar(scalar),
        Value::Sequence(nodes) => Json::Array(nodes.iter().map(json).collect()),
        Value::Mapping(mapping) => {
            let pairs = mapping.entries().iter().filter_map(|e| Some((e.key.clone()?, json(&e.value))));
            Json::Object(pairs.collect::<Map<_, _>>())
        }
        // Said among the problems, so there is no tree with it here.
        Value::Refused => Json::Null,
    }
}

fn of_scalar(scalar: &Scalar) -> Json {
    let text = || Json::String(scalar.text.clone());
    match scalar.kind() {
        ScalarKind::Null => Json::Null,
        ScalarKind::Bool(value) => Json::Bool(value),
        // A number that does not fit stays the text that it is.
        ScalarKind::Decimal => scalar.text.parse::<i64>().map_or_else(|_| text(), |n| Json::Number(Number::from(n))),
        ScalarKind::OtherInteger | ScalarKind::Float | ScalarKind::Text => text(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_what_is_written() {
        let text = "a: 1\nb: [x, 'true', true, ~]\nc: {d: 99999999999999999999, e: 0x10}\nunknown: yes\n";
        let found = values(&SourceFile::new("m.yaml", text)).unwrap();
        let expected = json!({
            "a": 1, "b": ["x", "true", true, null], "c": {"d": "99999999999999999999", "e": "0x10"}, "unknown": "yes"
        });
        assert_eq!(found, expected);
        assert!(values(&SourceFile::new("m.yaml", "a: [")).is_err());
    }
}
