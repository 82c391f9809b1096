//! The JSON Schemas of the machine file and the hardware file, derived from the model.

use std::sync::LazyLock;

use schemars::generate::SchemaSettings;
use serde_json::Value;

use crate::model::{Hardware, InstallFile, Machine};

/// The JSON Schema (draft 2020-12) of the machine file, for editors and other programs.
pub fn schema() -> Value {
    machine().clone()
}

/// The JSON Schema (draft 2020-12) of the hardware file.
pub fn hardware_schema() -> Value {
    hardware().clone()
}

/// The JSON Schema (draft 2020-12) of the install file.
pub fn install_schema() -> Value {
    install_file().clone()
}

/// The install file's schema, made once.
pub(crate) fn install_file() -> &'static Value {
    static SCHEMA: LazyLock<Value> = LazyLock::new(|| made::<InstallFile>("Cairn install file, version 1"));
    &SCHEMA
}

/// The machine file's schema, made once.
pub(crate) fn machine() -> &'static Value {
    static SCHEMA: LazyLock<Value> = LazyLock::new(|| made::<Machine>("Cairn machine file, version 1"));
    &SCHEMA
}

/// The hardware file's schema, made once.
pub(crate) fn hardware() -> &'static Value {
    static SCHEMA: LazyLock<Value> = LazyLock::new(|| made::<Hardware>("Cairn hardware file, version 1"));
    &SCHEMA
}

fn made<T: schemars::JsonSchema>(title: &str) -> Value {
    let mut schema: Value = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<T>().into();
    tidy(&mut schema);
    schema["title"] = title.into();
    schema
}

/// Takes out what serde's view of the types adds and a file has no use for: `null` for what may be left out (a key
/// without a value is an error), and the defaults of whole sections.
fn tidy(schema: &mut Value) {
    match schema {
        Value::Array(items) => items.iter_mut().for_each(tidy),
        Value::Object(object) => {
            if let Some(Value::Array(types)) = object.get_mut("type") {
                types.retain(|t| t != "null");
                if let [only] = types.as_slice() {
                    let only = only.clone();
                    object.insert("type".into(), only);
                }
            }
            if let Some(Value::Array(any)) = object.get_mut("anyOf") {
                any.retain(|s| s["type"] != "null");
                if let [Value::Object(only)] = any.as_slice() {
                    let only = only.clone();
                    object.remove("anyOf");
                    object.extend(only);
                }
            }
            if object.get("default").is_some_and(|d| d.is_null() || d.is_object()) {
                object.remove("default");
            }
            object.values_mut().for_each(tidy);
        }
        _ => {}
    }
}
