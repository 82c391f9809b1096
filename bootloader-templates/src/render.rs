//! Rendering: one environment with every template in it, strict about names, and a check of every value.

use minijinja::value::ValueKind;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, Output, State, UndefinedBehavior, Value};
use serde::Serialize;

use crate::grub::quote;

/// The templates, by the names under which they are rendered.
const TEMPLATES: &[(&str, &str)] = &[
    ("grub/pointer.cfg", include_str!("../templates/grub/pointer.cfg")),
    ("grub/early.cfg", include_str!("../templates/grub/early.cfg")),
    ("grub/stub.cfg", include_str!("../templates/grub/stub.cfg")),
    ("grub/grub.cfg", include_str!("../templates/grub/grub.cfg")),
    ("grub/medium.cfg", include_str!("../templates/grub/medium.cfg")),
    ("grub/medium-first.cfg", include_str!("../templates/grub/medium-first.cfg")),
    ("systemd-boot/entry.conf", include_str!("../templates/systemd-boot/entry.conf")),
    ("systemd-boot/loader.conf", include_str!("../templates/systemd-boot/loader.conf")),
    ("systemd-boot/program.conf", include_str!("../templates/systemd-boot/program.conf")),
];

/// Why a loader's file could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TemplateError {
    /// A value that would change the meaning of the file around it.
    #[error("the boot entry's {field} holds {what}, which a boot loader's configuration cannot carry: {value:?}")]
    Value {
        /// The key of the entry.
        field: &'static str,
        /// What is wrong with the value.
        what: &'static str,
        /// The value.
        value: String,
    },
    /// A menu names a generation that it does not have.
    #[error("the {what} of the boot menu is to be generation {id}, which is not in it")]
    Unknown {
        /// What it was to be.
        what: &'static str,
        /// The name that was not found.
        id: String,
    },
    /// Two entries of one menu with the same name: only the first could ever be chosen by name.
    #[error("two entries of the boot menu have the name {0:?}")]
    Twice(String),
    /// The template itself is wrong.
    #[error("rendering the template {name}")]
    Template {
        /// Its name.
        name: &'static str,
        /// Why.
        source: minijinja::Error,
    },
}

/// An error about a value.
pub(crate) fn refuse<T>(field: &'static str, what: &'static str, value: &str) -> Result<T, TemplateError> {
    Err(TemplateError::Value { field, what, value: value.to_string() })
}

/// Refuses a value that no line can carry: an empty one, or one with control characters.
pub(crate) fn printable(field: &'static str, value: &str) -> Result<(), TemplateError> {
    if value.is_empty() {
        return refuse(field, "nothing", value);
    }
    if value.chars().any(char::is_control) {
        return refuse(field, "a line break or another control character", value);
    }
    Ok(())
}

/// Refuses a value that one line of `key value` cannot carry.
pub(crate) fn one_line(field: &'static str, value: &str) -> Result<(), TemplateError> {
    printable(field, value)?;
    if value.trim() != value {
        return refuse(field, "a blank at its start or end", value);
    }
    // systemd-boot takes an outer pair of quotation marks off a value.
    if value.starts_with(['"', '\'']) {
        return refuse(field, "a quotation mark at its start", value);
    }
    Ok(())
}

pub(crate) fn render(name: &'static str, values: impl Serialize) -> Result<String, TemplateError> {
    let attempt = || {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_keep_trailing_newline(true);
        environment.set_trim_blocks(true);
        environment.set_auto_escape_callback(|name| {
            if name.starts_with("grub/") { AutoEscape::Custom("grub") } else { AutoEscape::None }
        });
        environment.set_formatter(put);
        for (name, text) in TEMPLATES {
            environment.add_template(name, text)?;
        }
        environment.get_template(name)?.render(values)
    };
    attempt().map_err(|source| TemplateError::Template { name, source })
}

/// Puts a value into a file. In GRUB's files it is quoted, unless it is a number or the template says `| safe` (which
/// it may say of words of its own only).
fn put(out: &mut Output, state: &State, value: &Value) -> Result<(), Error> {
    if state.auto_escape() != AutoEscape::Custom("grub") {
        return minijinja::escape_formatter(out, state, value);
    }
    if value.is_safe() || value.kind() == ValueKind::Number {
        return write!(out, "{value}").map_err(Error::from);
    }
    let Some(text) = value.as_str() else {
        return Err(Error::new(ErrorKind::BadEscape, format!("a value of the kind {} has no text", value.kind())));
    };
    write!(out, "{}", quote(text)).map_err(Error::from)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::systemd_boot::{Entry, Program};

    #[test]
    fn a_value_that_a_template_names_and_nobody_gives_is_an_error() {
        let entry = Entry { initrd: vec!["/i".into()], options: vec!["quiet".into()], ..Entry::default() };
        let program = Program { options: vec!["-x".into()], ..Program::default() };
        for (name, values) in [
            ("systemd-boot/entry.conf", Value::from_serialize(entry)),
            ("systemd-boot/program.conf", Value::from_serialize(program)),
        ] {
            let all: BTreeMap<String, Value> =
                values.try_iter().unwrap().map(|key| (key.to_string(), values.get_item(&key).unwrap())).collect();
            render(name, &all).unwrap();
            for key in all.keys() {
                let mut fewer = all.clone();
                fewer.remove(key);
                assert!(matches!(render(name, fewer), Err(TemplateError::Template { .. })), "{name} without {key}");
            }
        }
    }
}
